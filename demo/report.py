"""Everything the demo found out, ready to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demo.hits import Aftermath, Hit
from demo.latencies import Spread
from demo.shard_usage import ShardUsageSummary
from demo.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A hit and what followed from it."""

    hit: Hit
    aftermaths: tuple[Aftermath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Times: seconds since 1970; `started_at` is when the disturbed run was submitted."""

    seed: int
    started_at: float
    run_s: float
    undisturbed_s: float
    shards: int
    flights: int
    workers: int
    attempts: int  # worker processes that were started for the disturbed run
    stories: Sequence[Story]
    redone_s: float
    work_s: float
    latencies: Mapping[str, Spread]
    usage: ShardUsageSummary
    cost: Mapping[str, object] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()

    @property
    def holds(self) -> bool:
        """Whether every promise holds."""
        return all(verdict.holds for verdict in self.verdicts if verdict.promise)
