"""What workers logged, from CloudWatch Logs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof.clock import Clock, from_epoch_ms
from spotproof.leases.model import RunId
from spotproof.metrics import MEMBERS
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_LATE_MS: Final = 10_000  # events may arrive so much later than their time; a follow looks back as far
_SEEN_MAX: Final = 50_000
_SHOWN_APART: Final = frozenset({"ts", "level", "event", "logger", "exception", "run_id", "shard", "instance_id"})
# The same on every line of one worker: in --json only.
_OF_THE_WORKER: Final = frozenset(
    {"job", "session_id", "batch_job_id", "attempt", "array_index", "instance_type", "zone", "lifecycle"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which lines to show; None means any."""

    run_id: RunId
    shard: int | None = None
    instance_id: str | None = None
    event: str | None = None

    def matches(self, fields: Mapping[str, Any]) -> bool:
        """Whether a parsed line is wanted."""
        wanted = {"run_id": self.run_id, "shard": self.shard, "instance_id": self.instance_id, "event": self.event}
        return all(value is None or fields.get(name) == value for name, value in wanted.items())

    def pattern(self) -> str:
        """The same as a JSON filter pattern, so that AWS reads the lines for us.

        Source: Amazon CloudWatch Logs user guide, "Filter pattern syntax".
        """
        terms = [f"$.run_id = {json.dumps(self.run_id)}"]
        if self.shard is not None:
            terms.append(f"$.shard = {self.shard}")
        if self.instance_id is not None:
            terms.append(f"$.instance_id = {json.dumps(self.instance_id)}")
        if self.event is not None:
            terms.append(f"$.event = {json.dumps(self.event)}")
        return "{ " + " && ".join(f"({term})" for term in terms) + " }"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a worker."""

    at_ms: int
    fields: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The line for people: time, level, event, where, and the fields that only this event has."""
        fields = self.fields
        where = " ".join(f"{name}={fields[name]}" for name in ("shard", "instance_id") if fields.get(name) is not None)
        rest = " ".join(
            f"{name}={value}" for name, value in fields.items() if name not in _SHOWN_APART | _OF_THE_WORKER | MEMBERS
        )
        moment = from_epoch_ms(self.at_ms).strftime("%H:%M:%S.%f")[:-3]
        words = (
            moment,
            str(fields.get("level", "")),
            str(fields.get("event", "")),
            where,
            rest,
            fields.get("exception", ""),
        )
        return " ".join(str(word) for word in words if word)


class WorkerLogs:
    """Reads one log group."""

    def __init__(
        self, *, logs: "CloudWatchLogsClient", retrier: Retrier, clock: Clock, group: str, server_side: bool
    ) -> None:
        self.logs = logs
        self.retrier = retrier
        self.clock = clock
        self.group = group
        self.server_side = server_side  # the local account has no JSON filter patterns; lines are always checked here

    def lines(self, wanted: LogFilter, *, since_ms: int) -> Iterator[LogLine]:
        """Lines since a moment, oldest first."""
        for event in self._events(wanted, since_ms=since_ms):
            line = parse_line(event)
            if line is not None and wanted.matches(line.fields):
                yield line

    def follow(self, wanted: LogFilter, *, since_ms: int, every_s: float) -> Iterator[LogLine | None]:
        """Lines as they come, for ever; None after each reading, so that the caller can decide to stop."""
        seen: dict[str, None] = {}
        while True:
            newest_ms = since_ms
            for event in self._events(wanted, since_ms=max(0, since_ms - _LATE_MS)):
                event_id = str(event["eventId"])
                line = parse_line(event)
                if event_id in seen or line is None or not wanted.matches(line.fields):
                    continue
                seen[event_id] = None
                newest_ms = max(newest_ms, line.at_ms)
                yield line
            since_ms = newest_ms
            while len(seen) > _SEEN_MAX:
                del seen[next(iter(seen))]
            yield None
            self.clock.sleep(every_s)

    def _events(self, wanted: LogFilter, *, since_ms: int) -> Iterator[Mapping[str, Any]]:
        pattern = {"filterPattern": wanted.pattern()} if self.server_side else {}
        token: dict[str, str] = {}
        doing = f"reading the log group {self.group}"
        while True:
            try:
                answer: Mapping[str, Any] = self.retrier.call(
                    doing,
                    self.logs.filter_log_events,
                    logGroupName=self.group,
                    startTime=since_ms,
                    **pattern,
                    **token,
                )
            except ClientError as error:
                raise as_aws_error(error, doing=doing) from error
            yield from answer["events"]
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}


def parse_line(event: Mapping[str, Any]) -> LogLine | None:
    """The worker's JSON line in a log event; None for anything else, such as a print of the user's code."""
    try:
        fields = json.loads(event["message"])
    except (ValueError, RecursionError):
        return None
    return LogLine(at_ms=int(event["timestamp"]), fields=fields) if isinstance(fields, dict) else None
