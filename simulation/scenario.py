"""What one seed means: the job, its workers, and how often which fault strikes."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulation.cloud.timing import USUAL, Timing
from simulation.faults.rates import draw_rates
from simulation.gate import PAUSE_S
from simulation.workload import Workload, draw_workload

PEACE_S: Final = (60.0, 700.0)  # faults end somewhere between


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that is decided before the world begins."""

    seed: int
    workload: Workload
    workers: int  # size of the submitted array
    options: Mapping[str, str]  # of the run, as text
    rates: Mapping[str, float]  # chance per opportunity, by fault
    peace_s: float  # when the faults end
    skew_s: float  # at most so far are wall clocks off
    page_bytes_max: int  # of table queries
    page_keys_max: int  # of S3 listings
    pause_s: float = PAUSE_S  # how long a paused process stands still
    timing: Timing = USUAL


def draw_scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = random.Random(f"scenario {seed}")
    rates = draw_rates(rng)
    poisoned = rng.random() < 0.1
    return Scenario(
        seed=seed,
        workload=draw_workload(rng, poisoned=poisoned),
        workers=rng.choice((1, 2, 2, 3, 4)),
        options=_draw_options(rng, poisoned=poisoned),
        rates=rates,
        peace_s=PEACE_S[0] + rng.random() * (PEACE_S[1] - PEACE_S[0]),
        skew_s=rng.choice((0.0, 0.0, 1.0, 60.0, 600.0)),
        page_bytes_max=rng.choice((1_000, 2_500, 1024 * 1024)),
        page_keys_max=rng.choice((2, 3, 1000)),
    )


def _draw_options(rng: random.Random, *, poisoned: bool) -> dict[str, str]:
    ttl_s = rng.choice((30, 60, 90))
    return {
        "ttl_s": str(ttl_s),
        "heartbeat_s": str(ttl_s // 3),
        "checkpoint_interval_s": str(rng.choice((2, 10, 60))),
        "poll_s": str(rng.choice((2, 5))),
        "failures_max": "2" if poisoned else "1000",  # bugs that come and go must not quarantine a healthy shard here
        "losses_max": "1000",
    }
