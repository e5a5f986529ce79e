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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line as CloudWatch Logs keeps it. `at` is seconds since 1970."""

    stream: str
    at: float
    text: str


def parse_line(text: str, *, stream: str) -> LogEntry | None:
    """The entry in a log line of a worker, or of a function, whose logger calls the fields message and timestamp.

    None for anything that is not one of our events, such as the user's own prints.
    """
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    event = data.get("event") or data.get("message")
    written = data.get("ts") or data.get("timestamp")
    if not isinstance(event, str) or not isinstance(written, str):
        return None
    return LogEntry(at=datetime.fromisoformat(written).timestamp(), event=event, stream=stream, fields=data)


def read_log(client: "CloudWatchLogsClient", *, run: str) -> list[LogEntry]:
    """Every event of the run, and every one that belongs to no run, from all log groups, in time order."""
    lines = (line for group in log_groups(client) for line in raw_lines(client, group))
    found = (parse_line(line.text, stream=line.stream) for line in lines)
    return in_order(entry for entry in found if entry is not None and entry.fields.get("run_id") in (run, None))


def in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Sorted by time; lines of one stream keep their order."""
    return sorted(entries, key=lambda entry: entry.at)


def log_groups(client: "CloudWatchLogsClient") -> list[str]:
    """The names of all log groups of the account."""
    pages = client.get_paginator("describe_log_groups").paginate()
    return [group["logGroupName"] for page in pages for group in page.get("logGroups", [])]


def raw_lines(client: "CloudWatchLogsClient", group: str) -> Iterator[LogLine]:
    """Every line in the log group."""
    for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
        for line in page.get("events", []):
            yield LogLine(stream=line["logStreamName"], at=line["timestamp"] / 1000, text=line["message"])
