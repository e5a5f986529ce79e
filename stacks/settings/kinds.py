"""The kinds of context values: text, words of a list, whole numbers, one of several."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from stacks.settings.declaration import refuse

C = TypeVar("C", bound=str)
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # RFC 1918
DIGITS = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a form; empty text only where that means "none"."""

    form: re.Pattern[str]
    allowed: str
    may_be_empty: bool = False

    def parse(self, value: object) -> str:
        text = _text(value)
        if text is None or not (self.form.fullmatch(text) or (self.may_be_empty and not text)):
            raise refuse(self.allowed, value)
        return text


@dataclass(frozen=True)
class Choice(Generic[C]):
    """One of several words."""

    choices: tuple[C, ...]

    @property
    def allowed(self) -> str:
        return " or ".join(self.choices) if len(self.choices) < 3 else f"one of {', '.join(self.choices)}"

    def parse(self, value: object) -> C:
        for choice in self.choices:
            if choice == _text(value):
                return choice
        raise refuse(self.allowed, value)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    least: int
    most: int = 100_000

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, value: object) -> int:
        number = _number(value)
        if number is None or not self.least <= number <= self.most:
            raise refuse(self.allowed, value)
        return number


@dataclass(frozen=True, slots=True)
class NumberOf:
    """One of the numbers that AWS takes."""

    numbers: tuple[int, ...]

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(map(str, self.numbers))}"

    def parse(self, value: object) -> int:
        number = _number(value)
        if number is None or number not in self.numbers:
            raise refuse(self.allowed, value)
        return number


@dataclass(frozen=True, slots=True)
class Words:
    """A list: comma-separated on the command line, an array in cdk.json."""

    form: re.Pattern[str]
    allowed: str
    may_be_empty: bool = True

    def parse(self, value: object) -> tuple[str, ...]:
        words = words_of(value)
        if words is None or not (words or self.may_be_empty):
            raise refuse(self.allowed, value)
        for word in words:
            if not self.form.fullmatch(word):
                raise refuse(self.allowed, word)
        return words


@dataclass(frozen=True)
class Choices(Generic[C]):
    """Some of several words, each once, at least one."""

    choices: tuple[C, ...]

    @property
    def allowed(self) -> str:
        return f"one or more of {', '.join(self.choices)}"

    def parse(self, value: object) -> tuple[C, ...]:
        words = words_of(value)
        found = tuple(choice for word in words or () for choice in self.choices if choice == word)
        if not words or len(found) < len(words) or len(set(found)) < len(found):
            raise refuse(self.allowed, value)
        return found


@dataclass(frozen=True, slots=True)
class PrivateRange:
    """An IPv4 range that a network of ours may have, of the size that the subnets are cut from."""

    allowed: str = "a private IPv4 range of 65,536 addresses, such as 10.0.0.0/16"

    def parse(self, value: object) -> str:
        try:
            found = ipaddress.IPv4Network(_text(value) or "")
        except ValueError:
            raise refuse(self.allowed, value) from None
        if found.prefixlen != 16 or not any(found.subnet_of(private) for private in PRIVATE):
            raise refuse(self.allowed, value)
        return str(found)


def words_of(value: object) -> tuple[str, ...] | None:
    """The words of a list without blanks around them, empty ones left out; None if it is no list of words."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return None
    return tuple(word for word in (part.strip() for part in parts) if word)


def _text(value: object) -> str | None:
    """Text without blanks around it; a number of cdk.json is what it looks like. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip()


def _number(value: object) -> int | None:
    text = _text(value)
    return int(text) if text is not None and DIGITS.fullmatch(text) else None
