"""What the workers and Lambdas logged, as values in time order."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient


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
    """The entry in a log line; None for anything that is not one of our events, such as the user's own prints."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict) or "event" not in data or "ts" not in data:
        return None
    at = datetime.fromisoformat(str(data["ts"])).timestamp()
    return LogEntry(at=at, event=str(data["event"]), stream=stream, fields=data)


def read_log(client: "CloudWatchLogsClient", group: str, *, run: str) -> list[LogEntry]:
    """Every event of the run in the log group, in time order."""
    found = (parse_line(text, stream=stream) for stream, text in raw_lines(client, group))
    return in_order(entry for entry in found if entry is not None and entry.fields.get("run_id") in (run, None))


def in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Sorted by time; lines of one stream keep their order."""
    return sorted(entries, key=lambda entry: entry.at)


def raw_lines(client: "CloudWatchLogsClient", group: str) -> Iterator[tuple[str, str]]:
    """Stream and text of every line in the log group."""
    for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
        for line in page.get("events", []):
            yield line["logStreamName"], line["message"]
