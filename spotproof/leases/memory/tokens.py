"""The words of DynamoDB expressions, and a cursor over them."""

import re
from dataclasses import dataclass
from typing import Final

from spotproof.leases.memory.validation import InvalidExpressionError

_TOKEN: Final = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|#[A-Za-z0-9_]+|:[A-Za-z0-9_]+|[A-Za-z_][A-Za-z0-9_.]*)")


def tokens_of(text: str) -> tuple[str, ...]:
    """The words of an expression.

    Raises:
        InvalidExpressionError: at a character that starts no word.
    """
    words: list[str] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidExpressionError(f"syntax error near {text[position : position + 20]!r}")
        words.append(match.group(1))
        position = match.end()
    if not words:
        raise InvalidExpressionError("the expression can not be empty")
    return tuple(words)


@dataclass
class Cursor:
    """Reads words one by one."""

    words: tuple[str, ...]
    position: int = 0

    @property
    def word(self) -> str | None:
        """The next word, None at the end."""
        return self.words[self.position] if self.position < len(self.words) else None

    def take(self) -> str:
        word = self.word
        if word is None:
            raise InvalidExpressionError("the expression ends too early")
        self.position += 1
        return word

    def take_if(self, word: str) -> bool:
        if self.word != word:
            return False
        self.position += 1
        return True

    def expect(self, word: str) -> None:
        found = self.take()
        if found != word:
            raise InvalidExpressionError(f"expected {word!r}, found {found!r}")

    def take_name(self) -> str:
        """A `#name`; bare names are refused, because a reserved word among them would break on the service."""
        word = self.take()
        if not word.startswith("#"):
            raise InvalidExpressionError(f"bare name {word!r}: attribute names go through #names")
        return word

    def take_value(self) -> str:
        word = self.take()
        if not word.startswith(":"):
            raise InvalidExpressionError(f"expected a :value, found {word!r}")
        return word

    def expect_end(self) -> None:
        if self.word is not None:
            raise InvalidExpressionError(f"unexpected {self.word!r}")
