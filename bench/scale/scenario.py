"""What is simulated: the size of the run, how long shards take, and what happens to the fleet."""

import math
import random
from dataclasses import dataclass, field, replace
from typing import Final

from bench.scale.network import Lognormal
from spotproof.leases.model import RunOptions

STORE_LATENCY: Final = Lognormal(median_s=0.010, p99_s=0.040)
BUCKET_LATENCY: Final = Lognormal(median_s=0.040, p99_s=0.200)
INDEX_LAG: Final = Lognormal(median_s=0.080, p99_s=1.0, most_s=5.0)
INTERVAL_S: Final = 60.0  # between saves, whatever they cost: the model is about the table


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTimes:
    """How long shards take: lognormal, or Pareto for heavy tails; the mean is what it says."""

    mean_s: float = 30.0
    sigma: float = 0.4  # of the logarithm
    pareto_alpha: float | None = None
    most_s: float = 3600.0

    def draw(self, rng: random.Random) -> float:
        if self.pareto_alpha is not None:
            least_s = self.mean_s * (self.pareto_alpha - 1) / self.pareto_alpha
            return min(self.most_s, least_s * rng.paretovariate(self.pareto_alpha))
        return min(self.most_s, rng.lognormvariate(math.log(self.mean_s) - self.sigma**2 / 2, self.sigma))


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """EC2 takes a share of the instances, each at a random moment of a window."""

    at_s: float
    share: float
    window_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """No instance starts between these times; with `takes_all`, the whole fleet is reclaimed at the beginning."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """How EC2 and EventBridge treat us; shares are of reclaims or events."""

    unannounced: float = 0.1  # reclaims without any notice: the host is gone at once
    imds_lost: float = 0.02  # notices that IMDS never shows
    event_lost: float = 0.01
    event_late: float = 0.01  # up to five minutes
    event_twice: float = 0.02
    per_hour: float = 0.0  # background reclaims per instance
    rebalance: float = 0.0  # share of announced reclaims that a recommendation comes before
    rebalance_precision: float = 0.3  # share of recommendations that a reclaim follows
    boot_s: tuple[float, float] = (60.0, 150.0)  # of a replacement, from its request to its container


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything but the seed."""

    name: str
    shards: int
    workers: int
    times: ShardTimes = field(default_factory=ShardTimes)
    storms: tuple[Storm, ...] = ()
    starvation: Starvation | None = None
    spot: Spot = field(default_factory=Spot)
    options: RunOptions = field(default_factory=lambda: RunOptions(checkpoint_interval_s=INTERVAL_S))
    frozen: int = 0  # workers that stand still for `frozen_s`, each at a random moment
    frozen_s: float = 200.0
    workers_per_instance: int = 4  # one vCPU each on an *.xlarge
    first_boot_s: float = 120.0  # the fleet comes up evenly within
    safe_point_s: float = 1.0
    store_latency: Lognormal = STORE_LATENCY
    bucket_latency: Lognormal = BUCKET_LATENCY
    index_lag: Lognormal = INDEX_LAG
    partitions: tuple[int, int] | None = None  # stripes and session buckets; None: as the product chooses

    @property
    def ideal_s(self) -> float:
        """About how long the run takes if nothing happens."""
        return self.shards * self.times.mean_s / self.workers


def standard(shards: int, workers: int, *, mean_s: float | None = None) -> dict[str, Scenario]:
    """The scenarios of the issue at one size. Storms come when a third of the work is done."""
    times = ShardTimes(mean_s=mean_s or ShardTimes().mean_s)
    base = Scenario(name="undisturbed", shards=shards, workers=workers, times=times)
    at_s = base.first_boot_s + base.ideal_s / 3
    hour = Starvation(from_s=at_s, until_s=at_s + 3600.0)
    heavy = replace(times, pareto_alpha=1.5)

    def but(name: str, **changes: object) -> Scenario:
        return replace(base, name=name, **changes)  # type: ignore[arg-type]

    scenarios = (
        base,
        but("storm-50", storms=(Storm(at_s=at_s, share=0.5),)),
        but("storm-50-announced", storms=(Storm(at_s=at_s, share=0.5),), spot=Spot(unannounced=0.0)),
        but("storm-90", storms=(Storm(at_s=at_s, share=0.9),)),
        but("two-storms", storms=(Storm(at_s=at_s, share=0.5), Storm(at_s=at_s + base.ideal_s / 3, share=0.9))),
        but("starvation", storms=(Storm(at_s=at_s, share=1.0),), starvation=hour),
        but("heavy-tail", times=heavy),
        but("background", spot=Spot(per_hour=0.2)),
        but("rebalances", spot=Spot(per_hour=0.2, rebalance=0.8)),
        but(
            "mixed",
            times=heavy,
            storms=(Storm(at_s=at_s, share=0.5), Storm(at_s=at_s + 900.0, share=0.9)),
            starvation=Starvation(from_s=at_s + 900.0, until_s=at_s + 4500.0),
            spot=Spot(per_hour=0.1, rebalance=0.5),
            frozen=max(1, workers // 200),
        ),
    )
    return {scenario.name: scenario for scenario in scenarios}
