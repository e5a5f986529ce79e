"""What the workers and Lambdas logged, read from all log groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spotproof_cli.game_day.log_entries import LogEntry, in_order, parse_line

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line as CloudWatch Logs keeps it. `at` is seconds since 1970."""

    stream: str
    at: float
    text: str


def read_log(client: "CloudWatchLogsClient", *, run: str) -> list[LogEntry]:
    """Every event of the run, and every one that belongs to no run, from all log groups, in time order."""
    lines = (line for group in log_groups(client) for line in raw_lines(client, group))
    found = (parse_line(line.text, stream=line.stream) for line in lines)
    return in_order(entry for entry in found if entry is not None and entry.fields.get("run_id") in (run, None))


def log_groups(client: "CloudWatchLogsClient") -> list[str]:
    """The names of all log groups of the account."""
    pages = client.get_paginator("describe_log_groups").paginate()
    return [group["logGroupName"] for page in pages for group in page.get("logGroups", [])]


def raw_lines(client: "CloudWatchLogsClient", group: str) -> Iterator[LogLine]:
    """Every line in the log group."""
    for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
        for line in page.get("events", []):
            yield LogLine(stream=line["logStreamName"], at=line["timestamp"] / 1000, text=line["message"])
