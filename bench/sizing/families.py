"""Made-up job families: runs that follow rules which the model under test does not know."""

import math
import random
from dataclasses import dataclass
from heapq import heapify, heapreplace

from spotproof.capacity.sizing.record import PoolUse, RunRecord, ShardSample

MIB = 2**20
DAY_MS = 86_400_000
EPOCH_MS = 1_767_225_600_000
TYPES = ("m5.large", "m6i.large", "c5.xlarge", "c6a.xlarge", "r5.large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one job behaves, in truth."""

    fixed_s: float
    s_per_mib: float
    exponent: float  # 1.0 = in proportion to the bytes
    run_sd: float  # of the logarithm: other days, other data
    shard_sd: float
    odd_share: float  # of shards that take two to four times as long
    type_sd: float  # between instance types
    memory_fixed_mib: float
    memory_per_mib: float
    memory_sd: float
    shard_mib: tuple[float, float]  # a run's usual shard is between these
    skew_sd: float  # of sizes within a run
    notices_per_h: float
    workers: tuple[int, int]
    presence: tuple[float, float]  # share of the time that Spot is there


def draw_family(rng: random.Random) -> Family:
    """One of very many."""
    small = math.exp(rng.uniform(math.log(4), math.log(128)))
    return Family(
        fixed_s=rng.choice((0.0, 2.0, 20.0)),
        s_per_mib=math.exp(rng.uniform(math.log(0.2), math.log(8))),
        exponent=rng.choice((0.9, 1.0, 1.0, 1.15)),
        run_sd=rng.choice((0.02, 0.08, 0.15, 0.25)),
        shard_sd=rng.choice((0.03, 0.1, 0.3)),
        odd_share=rng.choice((0.0, 0.0, 0.03)),
        type_sd=rng.choice((0.05, 0.15)),
        memory_fixed_mib=rng.uniform(120, 600),
        memory_per_mib=rng.choice((0.0, 0.5, 3.0)),
        memory_sd=rng.choice((0.01, 0.05, 0.15)),
        shard_mib=(small, small * rng.choice((1.0, 2.0, 4.0))),
        skew_sd=rng.choice((0.0, 0.2, 0.6)),
        notices_per_h=rng.choice((0.0, 0.05, 0.5)),
        workers=(4, rng.choice((8, 32))),
        presence=(rng.choice((0.6, 0.9)), 1.0),
    )


def play_run(family: Family, number: int, rng: random.Random) -> tuple[RunRecord, list[int]]:
    """One run of the family: its record, and its shards' sizes in the order of their numbers.

    Workers lease in that order; each shard takes its own time on its worker's type; a notice costs a worker five
    minutes now and then; and for a part of the time there are no workers at all.
    """
    workers = rng.randint(*family.workers)
    shards = workers * rng.randint(4, 12)
    usual_mib = rng.uniform(*family.shard_mib)
    sizes = sorted(
        (round(usual_mib * MIB * math.exp(rng.gauss(0, family.skew_sd))) + 1 for _ in range(shards)), reverse=True
    )
    of_type = {name: math.exp(rng.gauss(0, family.type_sd)) for name in TYPES}
    of_run = math.exp(rng.gauss(0, family.run_sd))
    memory_of_run = math.exp(rng.gauss(0, family.memory_sd / 2))
    types = [rng.choice(TYPES) for _ in range(workers)]
    free_at = [(0.0, worker) for worker in range(workers)]
    heapify(free_at)
    samples, lost_s, notices = [], 0.0, 0
    for size in sizes:
        began, worker = free_at[0]
        work_s = _work_s(family, size, rng) * of_run * of_type[types[worker]]
        taken_s = work_s * 1.03
        if rng.random() < 1 - math.exp(-family.notices_per_h * work_s / 3600):
            notices, lost_s, taken_s = notices + 1, lost_s + 300.0, taken_s + 300.0
        heapreplace(free_at, (began + taken_s, worker))
        peak = (family.memory_fixed_mib + family.memory_per_mib * size / MIB) * memory_of_run
        samples.append(
            ShardSample(
                input_bytes=size, work_ms=round(work_s * 1000), peak_mib=round(peak * math.exp(rng.gauss(0, family.memory_sd))),
                cpu_ms=round(work_s * 950), lease_ms=round(work_s * 1000), instance_type=types[worker],
            )
        )  # fmt: skip
    busy_s = max(at for at, _ in free_at)
    wall_s = busy_s / rng.uniform(*family.presence)
    return _record(samples, number, workers, busy_s, wall_s, lost_s, notices), sizes


def _work_s(family: Family, size: int, rng: random.Random) -> float:
    work_s = family.fixed_s + family.s_per_mib * math.pow(size / MIB, family.exponent)
    odd = rng.uniform(2, 4) if rng.random() < family.odd_share else 1.0
    return max(0.05, work_s) * odd * math.exp(rng.gauss(0, family.shard_sd))


def _record(
    samples: list[ShardSample], number: int, workers: int, busy_s: float, wall_s: float, lost_s: float, notices: int
) -> RunRecord:
    created = EPOCH_MS + number * DAY_MS
    work_ms = sum(sample.work_ms for sample in samples)
    session_ms = round(busy_s * workers * 1000)
    pool = PoolUse(
        instance_type="m5.large", zone="us-east-1a", lifecycle="spot", sessions=workers + notices,
        session_ms=session_ms, interruptions=notices,
    )  # fmt: skip
    return RunRecord(
        job="made-up",
        run_id=f"run-{number}",
        created_at=created,
        ended_at=created + round(wall_s * 1000),
        shards=len(samples),
        workers=workers,
        session_ms=session_ms,
        work_ms=work_ms,
        checkpoint_ms=work_ms * 3 // 100,
        redone_ms=round(lost_s * 1000),
        idle_ms=max(0, session_ms - work_ms),
        vcpus=1.0,
        samples=tuple(samples),
        pools=(pool,),
    )
