"""One invocation of the controller: what it did, and the time it keeps back."""

from dataclasses import dataclass, field
from typing import Final

from lambdas.controlling.gauges import Gauges
from spotproof.leases.model import Run

RESERVE_S: Final = 8.0  # of the invocation's time: nothing new is begun with less left


@dataclass
class Round:
    """What one invocation did."""

    runs: int = 0
    skipped: int = 0  # no time left for them; the next round begins elsewhere
    rescued: int = 0
    requeued: int = 0
    holes: int = 0
    announced: int = 0
    topped_up: int = 0
    orphans: int = 0  # objects of dead epochs that were deleted
    on_demand_added: int = 0  # workers
    on_demand_retired: int = 0
    paused: int = 0
    waiting: int = 0  # workers that wait for a host, of all runs
    stuck: int = 0  # of the waiting, those that only a person can help
    pools_open: int = 0  # Spot pools whose breaker is not closed
    quarantined: int = 0  # shards that lost too many workers
    looked: bool = False  # at Batch: without it, the gauges say nothing
    gauges: Gauges = field(default_factory=Gauges)
    going_on: list[Run] = field(default_factory=list)  # runs that were tended and have not ended
    failures: list[str] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        """Nothing to tend, nothing done, nobody waiting, nothing wrong."""
        numbers = {name: number for name, number in self.facts().items() if name != "pools_open"}
        return not (self.quarantined or any(numbers.values()))

    def facts(self) -> dict[str, int]:
        """The numbers, for the log."""
        return {
            "runs": self.runs,
            "skipped": self.skipped,
            "rescued": self.rescued,
            "requeued": self.requeued,
            "holes": self.holes,
            "announced": self.announced,
            "topped_up": self.topped_up,
            "orphans": self.orphans,
            "on_demand_added": self.on_demand_added,
            "on_demand_retired": self.on_demand_retired,
            "paused": self.paused,
            "waiting": self.waiting,
            "pools_open": self.pools_open,
            "failures": len(self.failures),
        }
