"""Everything the demo found out, ready to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demo.hits import Aftermath, Hit
from demo.shard_usage import ShardUsageSummary
from demo.starvation import StarvationReport
from spotproof_cli.game_day.spread import Spread
from spotproof_cli.game_day.verdicts import Verdict


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
    starvation: StarvationReport | None = None  # of the run that had no Spot for a while

    @property
    def holds(self) -> bool:
        """Whether every promise holds."""
        own = all(verdict.holds for verdict in self.verdicts if verdict.promise)
        return own and (self.starvation is None or self.starvation.holds)

    @property
    def broken(self) -> int:
        """How many promises do not."""
        all_verdicts = [*self.verdicts, *(self.starvation.verdicts if self.starvation else ())]
        return sum(not verdict.holds for verdict in all_verdicts if verdict.promise)
