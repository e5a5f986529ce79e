"""Records of runs as tests of the sizing need them."""

import math
import random
from dataclasses import replace
from typing import Any

from spotproof.capacity.sizing.record import PoolUse, RunRecord, ShardSample

NOON = 1_795_348_800_000
MIB = 2**20


def a_sample(**changes: Any) -> ShardSample:
    sample = ShardSample(
        input_bytes=64 * MIB, work_ms=60_000, peak_mib=700, cpu_ms=54_000, lease_ms=60_000, instance_type="m5.large"
    )
    return replace(sample, **changes)


def a_record(run_id: str = "run-1", **changes: Any) -> RunRecord:
    record = RunRecord(
        job="flight-delays",
        run_id=run_id,
        created_at=NOON,
        ended_at=NOON + 600_000,
        shards=10,
        workers=2,
        session_ms=1_200_000,
        work_ms=600_000,
        checkpoint_ms=30_000,
        redone_ms=30_000,
        idle_ms=100_000,
        vcpus=1.0,
        samples=(a_sample(),) * 10,
        pools=(
            PoolUse(
                instance_type="m5.large", zone="eu-west-1a", lifecycle="spot", sessions=2, session_ms=1_200_000,
                interruptions=1,
            ),
        ),
    )  # fmt: skip
    return replace(record, **changes)


def varied_runs(rng: random.Random, runs: int, *, shards: int = 60, run_sd: float = 0.15) -> list[RunRecord]:
    """Runs of one job: 2 s a shard and 1 s for each MiB, with a factor of the run's own and one of each shard's."""
    records = []
    for number in range(runs):
        factor = math.exp(rng.gauss(0, run_sd))
        sizes = [rng.randint(20 * MIB, 100 * MIB) for _ in range(shards)]
        samples = tuple(
            a_sample(
                input_bytes=size,
                work_ms=round(1000 * (2 + size / MIB) * factor * math.exp(rng.gauss(0, 0.2))),
                peak_mib=round((300 + 2 * size / MIB) * math.exp(rng.gauss(0, 0.05))),
            )
            for size in sizes
        )
        work_ms = sum(sample.work_ms for sample in samples)
        records.append(
            a_record(
                f"run-{number}",
                samples=samples,
                shards=shards,
                created_at=NOON + number * 86_400_000,
                ended_at=NOON + number * 86_400_000 + work_ms // 3,
                workers=4,
                work_ms=work_ms,
                checkpoint_ms=work_ms // 50,
                redone_ms=work_ms // 50,
                session_ms=work_ms * 5 // 4,
            )
        )
    return records
