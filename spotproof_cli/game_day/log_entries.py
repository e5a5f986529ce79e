"""What workers and functions logged, as values in time order."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One structured line. `at` is seconds since 1970, from the line itself."""

    at: float
    event: str
    stream: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """The field as a number, None if it is absent or null."""
        value = self.fields.get(name)
        return None if value is None else float(value)


def parse_line(text: str, *, stream: str) -> LogEntry | None:
    """The entry in a log line of a worker, or of a function, whose logger calls the fields message and timestamp.

    None for anything that is not one of our events, such as the user's own prints.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry_of(data, stream=stream) if isinstance(data, dict) else None


def entry_of(data: Mapping[str, Any], *, stream: str = "") -> LogEntry | None:
    """The entry in a parsed line; None if it is not one of our events."""
    event = data.get("event") or data.get("message")
    written = data.get("ts") or data.get("timestamp")
    if not event or not isinstance(event, str) or not isinstance(written, str):
        return None
    try:
        at = datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError):  # the user's code has fields of these names too
        return None
    return LogEntry(at=at, event=event, stream=stream, fields=data)


def in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Sorted by time; lines of one stream keep their order."""
    return sorted(entries, key=lambda entry: entry.at)
