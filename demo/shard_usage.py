"""What shards asked of the table, as the workers logged it."""

from collections.abc import Sequence
from dataclasses import dataclass

from spotproof import events
from spotproof.worker.outcome import ShardOutcome
from spotproof_cli.game_day.log_entries import LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardUsageSummary:
    """Counts over committed shards."""

    shards: int
    requests_mean: float
    requests_max: float
    write_units_mean: float
    write_units_max: float


def summarize_usage(entries: Sequence[LogEntry]) -> ShardUsageSummary:
    """Mean and most over the shards that were committed by the worker that logged them."""
    own = [
        entry
        for entry in entries
        if entry.event == events.SHARD_USAGE and entry.fields.get("outcome") == ShardOutcome.COMMITTED
    ]
    requests = [entry.number("requests") or 0.0 for entry in own]
    writes = [entry.number("write_units") or 0.0 for entry in own]
    return ShardUsageSummary(
        shards=len(own),
        requests_mean=_mean(requests),
        requests_max=max(requests, default=0.0),
        write_units_mean=_mean(writes),
        write_units_max=max(writes, default=0.0),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
