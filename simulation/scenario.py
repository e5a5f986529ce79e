"""What one seed means: the job, its workers, and how often which fault strikes."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from simulation.cloud.batch import AGENT_STOP_GRACE_S
from simulation.cloud.batch_api import LIST_MAX
from simulation.cloud.batch_job import ATTEMPT_S, ATTEMPTS
from simulation.cloud.timing import USUAL, Timing
from simulation.faults.calls import CallFault
from simulation.faults.rates import draw_rates, in_a_storm
from simulation.fold import KINDS
from simulation.gate import PAUSE_S
from simulation.run_options import change_saving, draw_capacity_options, draw_options
from simulation.workload import GIANT, HANGS, Workload, draw_workload
from spotproof import contract
from spotproof.checkpoints.carry import EngineSizes
from spotproof.commits.buckets import DEFAULT_SIZES, PartSizes

PEACE_S: Final = (60.0, 700.0)  # faults end somewhere between
SHORT_ATTEMPT_S: Final = 600  # where the user's code hangs, Batch has to end the attempt
STORMY: Final = 0.25  # of the worlds
KILLED: Final = frozenset({CallFault.KILLED_BEFORE.value, CallFault.KILLED_AFTER.value})
KILLS: Final = 4.0  # times as many, there
STORMY_IF_KEPT: Final = 0.7  # of those whose state is more than a small map: it is about what is restored
GRACES_S: Final = (contract.STOP_GRACE_S, AGENT_STOP_GRACE_S)  # what Batch promises, what our agent gives
TINY_PARTS: Final = PartSizes(single_write_max=60, write_part_bytes=100, single_copy_max=60, copy_part_bytes=80)
# Small states take every path: segments in the manifest, packs of several, slices that are objects by themselves.
TINY_PORTIONS: Final = (
    EngineSizes(slice_bytes=4096, pack_bytes=1024, delta_bytes=512, chain_max=3, inline_bytes=0, width=2),
    EngineSizes(slice_bytes=8192, pack_bytes=4096, delta_bytes=1024, chain_max=2, inline_bytes=400, width=3),
    EngineSizes(slice_bytes=4096, pack_bytes=16_384, delta_bytes=256, chain_max=5, inline_bytes=4000, width=2),
)
DEFAULT_PORTIONS: Final = EngineSizes()
KEEPS: Final = (frozenset[str](),) * 15 + tuple(frozenset({kind}) for kind in (*KINDS, "map")) + (frozenset(KINDS),)
BURSTS: Final = (20,) * 30 + (1_000,)  # spot warnings at once: rarely as many as in a storm


STARVED: Final = 0.15  # of the worlds
FOR_GOOD: Final = 0.7  # of those whose runs need no Spot workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """EC2 has no Spot instances from a moment on."""

    from_s: float
    takes_hosts: bool  # those that live get their notice when it begins
    outlasts_peace: bool  # what is left to do is done on on-demand workers, or never


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
    on_demand: bool = False  # the job is submitted to the on-demand queue
    attempt_s: int = ATTEMPT_S  # time-out of the job definition
    attempts_max: int = ATTEMPTS  # of a job; with few of them workers have to be replaced
    stop_grace_s: float = contract.STOP_GRACE_S  # from SIGTERM to SIGKILL
    page_jobs_max: int = LIST_MAX  # of Batch's listings
    burst: int = BURSTS[0]
    in_parts: PartSizes = DEFAULT_SIZES
    in_portions: EngineSizes = DEFAULT_PORTIONS
    repeats_completion: bool = False  # see SimS3
    starvation: Starvation | None = None
    resumes_after_s: float = 120.0  # somebody raises the budget of a paused run after so long


# What a world has from its beginning, by the catalogue's ids.
PROPERTIES: Final[Mapping[str, Callable[[Scenario], bool]]] = {
    "A6 written in parts": lambda scenario: scenario.in_parts != DEFAULT_SIZES,
    "A15 queries in pages": lambda scenario: scenario.page_bytes_max < 10_000,
    "C1 wrong clocks": lambda scenario: scenario.skew_s > 0,
    "C4 time shards over a change of clocks": lambda scenario: scenario.workload.shard_by.startswith("time:"),
    "D3 poison record": lambda scenario: bool(scenario.workload.poison),
    "D4 empty object": lambda scenario: min(scenario.workload.sizes) == 0,
    "D5 giant object": lambda scenario: max(scenario.workload.sizes) >= GIANT,
    "D7 equal values at range boundaries": lambda scenario: scenario.workload.shard_by.startswith("range:"),
    "P11 spot dries up": lambda scenario: scenario.starvation is not None,
    "P11 spot dries up for good": lambda scenario: _outlasts_peace(scenario),
    "D8 unicode keys": lambda scenario: any(not key.isascii() for key in scenario.workload.objects),
}


def _outlasts_peace(scenario: Scenario) -> bool:
    return scenario.starvation is not None and scenario.starvation.outlasts_peace


def draw_scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = random.Random(f"scenario {seed}")
    rates = draw_rates(rng)
    hangs = rng.random() < 0.1
    poisoned = rng.random() < 0.1
    of_state = random.Random(f"state {seed}")
    workload = draw_workload(rng, poisoned=poisoned)
    keeps = of_state.choice(KEEPS)
    if keeps:  # long shards, so that some are interrupted after many saves
        workload = replace(
            workload,
            keeps=keeps,
            pace_s=of_state.choice((1.0, 2.0, 4.0)),
            batch_records=of_state.choice((1, 2)),
            toils=of_state.random() < 0.5,
        )
    workers = rng.choice((1, 2, 2, 3, 4))
    if random.Random(f"storm {seed}").random() < (STORMY_IF_KEPT if workload.keeps else STORMY):
        rates = in_a_storm(rates)
    of_capacity = random.Random(f"capacity {seed}")
    options = draw_options(rng, poisoned=poisoned)
    if workload.keeps:
        rates = {name: rate * KILLS if name in KILLED else rate for name, rate in rates.items()}
        options["checkpoint_interval_s"] = of_state.choice(("1", "2", "10"))  # chains of saves are what it is about
    else:
        options = change_saving(options, of_capacity)
    options |= draw_capacity_options(of_capacity)
    peace_s = PEACE_S[0] + rng.random() * (PEACE_S[1] - PEACE_S[0])
    return Scenario(
        seed=seed,
        workload=workload,
        workers=workers,
        options=options,
        rates=rates if hangs else {**rates, HANGS: 0.0},
        peace_s=peace_s,
        skew_s=rng.choice((0.0, 0.0, 1.0, 60.0, 600.0)),
        page_bytes_max=rng.choice((1_000, 2_500, 1024 * 1024)),
        page_keys_max=rng.choice((2, 3, 1000)),
        on_demand=rng.random() < 0.1,
        attempt_s=SHORT_ATTEMPT_S if hangs else ATTEMPT_S,
        stop_grace_s=rng.choice(GRACES_S),
        page_jobs_max=rng.choice((1, 2, LIST_MAX)),
        burst=rng.choice(BURSTS),
        in_parts=TINY_PARTS if workload.opens_file else DEFAULT_SIZES,
        in_portions=of_state.choice((*TINY_PORTIONS, *TINY_PORTIONS[:2], DEFAULT_PORTIONS)),
        repeats_completion=rng.random() < 0.5,
        attempts_max=rng.choice((1, 3, ATTEMPTS)),
        starvation=_draw_starvation(of_capacity, options, peace_s=peace_s),
        resumes_after_s=of_capacity.choice((30.0, 120.0, 600.0)),
    )


def _draw_starvation(rng: random.Random, options: Mapping[str, str], *, peace_s: float) -> Starvation | None:
    """A market that dries up for good unless the run depends on it."""
    if rng.random() >= STARVED:
        return None
    depends = options.keys() & {"on_demand_share_max", "on_demand_workers_max", "usd_per_hour_max", "usd_max"}
    return Starvation(
        from_s=0.0 if rng.random() < 0.4 else peace_s * rng.random(),
        takes_hosts=rng.random() < 0.6,
        outlasts_peace=not depends and rng.random() < FOR_GOOD,
    )
