"""The fields of an event, read one by one, each with its type."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from spotproof.clock import from_epoch_ms, parse_utc
from spotproof.errors import EventRejectedError

TEXT_MAX: Final = 4096
EARLIEST: Final = datetime(2006, 1, 1, tzinfo=UTC)  # there was no EC2 before
AHEAD_MAX: Final = timedelta(days=1)

E = TypeVar("E", bound=StrEnum)


class EventFields:
    """A JSON object whose fields are read one by one, each with its type; `where` names it in errors."""

    def __init__(self, where: str, value: object) -> None:
        if not isinstance(value, dict):
            raise EventRejectedError(f"{where} must be an object, got {shown(value)}")
        self.where = where
        self.values: dict[object, object] = value

    def _name(self, name: str) -> str:
        return f"{self.where}.{name}"

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
            raise EventRejectedError(f"{self._name(name)} must be text of 1..{TEXT_MAX}, got {shown(value)}")
        return value

    def optional_text(self, name: str) -> str:
        value = self.values.get(name)
        if value is None or value == "":
            return ""
        return self.text(name)

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise EventRejectedError(f"{self._name(name)} must match {pattern.pattern}, got {shown(value)}")
        return value

    def choice(self, name: str, kind: type[E]) -> E:
        value = self.text(name)
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(kind)
            raise EventRejectedError(f"{self._name(name)} must be one of {known}, got {shown(value)}") from None

    def flag(self, name: str) -> bool:
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise EventRejectedError(f"{self._name(name)} must be true or false, got {shown(value)}")
        return value

    def optional_int(self, name: str, low: int, high: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise EventRejectedError(f"{self._name(name)} must be a whole number {low}..{high}, got {shown(value)}")
        return value

    def moment(self, name: str, now: datetime) -> datetime:
        text = self.text(name)
        try:
            moment = parse_utc(text)
        except (ValueError, OverflowError):
            raise EventRejectedError(f"{self._name(name)} must be ISO 8601 with zone, got {shown(text)}") from None
        return self._plausible(name, moment, now)

    def optional_moment_ms(self, name: str, now: datetime) -> datetime | None:
        """Batch gives milliseconds since 1970."""
        value = self.optional_int(name, 0, 253_402_300_799_000)
        return None if value is None else self._plausible(name, from_epoch_ms(value), now)

    def _plausible(self, name: str, moment: datetime, now: datetime) -> datetime:
        if not EARLIEST <= moment <= now + AHEAD_MAX:
            raise EventRejectedError(
                f"{self._name(name)} is not plausible: {moment.isoformat()}, now {now.isoformat()}"
            )
        return moment

    def optional_object(self, name: str) -> "EventFields":
        value = self.values.get(name)
        return EventFields(self._name(name), {} if value is None else value)

    def objects(self, name: str, *, count_max: int) -> list["EventFields"]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) > count_max:
            raise EventRejectedError(f"{self._name(name)} must be a list of at most {count_max}, got {shown(value)}")
        return [EventFields(f"{self._name(name)}[{position}]", item) for position, item in enumerate(value)]


def shown(value: object) -> str:
    """A short, printable picture of a hostile value: one line, no control characters."""
    return ascii(value)[:80] if not isinstance(value, dict | list) else f"{type(value).__name__} of {len(value)}"
