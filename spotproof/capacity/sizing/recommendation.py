"""Sizes for the next run of a job, each with its reason."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotproof.capacity.sizing.forecast import (
    DEFAULT_BYTES_PER_S,
    DEFAULT_WRONG,
    Band,
    Expectation,
    Forecast,
    forecast,
)
from spotproof.capacity.sizing.history import JobHistory
from spotproof.capacity.sizing.pools import WorkerSize

MIB: Final = 2**20
MEMORY_LEVEL: Final = 0.99
MEMORY_HEADROOM: Final = 1.15  # page tables, the kernel's buffers, and an allocator that gives back late
MEMORY_STEP_MIB: Final = 128
MEMORY_MIN_MIB: Final = 256
CORES_SLACK: Final = 0.25  # of a processor more than reserved is no reason to pay for a whole one
SHARD_S_WANTED: Final = 300.0  # minutes of work: a table's few requests and a restore vanish in it
SHARDS_PER_WORKER_MIN: Final = 4  # fewer leave workers idle behind the last shard
SHARD_MIB_MIN: Final = 1
WORKER_S_WANTED: Final = 1800.0  # of work for each worker: ten times what its host takes to boot
WORKERS_MAX: Final = 10_000  # the largest array of Batch
SEARCH_DRAWS: Final = 60
SPREAD_WARNED: Final = 2.0  # shards so much larger than any seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One size and why. `value` is None where there is nothing to recommend."""

    value: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the submitter has decided."""

    workers: int | None = None
    within_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """For one run over one input, cut as planned."""

    runs: int  # of history behind it; 0: stated defaults
    memory_mib: Advice
    vcpus: Advice
    shard_bytes: Advice
    workers: Advice
    shard_s: Band  # of a shard of median size
    run: Forecast
    warnings: tuple[str, ...]

    def size(self, deployed: WorkerSize) -> WorkerSize:
        """Of a worker, where nothing is recommended as deployed."""
        return WorkerSize(
            vcpus=self.vcpus.value or deployed.vcpus, memory_mib=self.memory_mib.value or deployed.memory_mib
        )


def recommend(
    sizes: Sequence[int],
    history: JobHistory,
    *,
    deployed: WorkerSize,
    cut_by_size: bool,
    wishes: Wishes,
    rng: random.Random,
) -> Recommendation:
    """What to give the run, and what to expect of it.

    Args:
        sizes: bytes that each shard's lease reads, in the order of their numbers; at least one.
        deployed: what the job's definition reserves now.
        cut_by_size: whether the size of shards can be chosen freely.
    """
    expectation = Expectation.of(history)
    workers = advise_workers(sizes, expectation, wishes, rng=rng)
    assert workers.value is not None, "there is always a number of workers"
    ordered = sorted(sizes)
    middle = ordered[len(ordered) // 2]
    levels = (expectation.shard.quantile(middle, level) for level in (0.1, 0.5, 0.9))
    low, usual, high = levels
    return Recommendation(
        runs=history.runs,
        memory_mib=advise_memory(ordered[-1], history, deployed),
        vcpus=advise_vcpus(history, deployed),
        shard_bytes=advise_shard_size(sum(sizes), expectation, workers.value, cut_by_size=cut_by_size),
        workers=workers,
        shard_s=Band(low=low, middle=usual, high=high),
        run=forecast(sizes, workers.value, expectation, rng=rng),
        warnings=tuple(_warnings(ordered[-1], history)),
    )


def advise_memory(largest_bytes: int, history: JobHistory, deployed: WorkerSize) -> Advice:
    """So that the largest shard fits with high confidence; running out costs a lease, so the tail counts."""
    known = history.memory if history.runs else None
    if known is None:
        return Advice(value=None, reason=f"no run told its peak memory: as deployed, {deployed.memory_mib} MiB")
    expected = known.quantile(largest_bytes, MEMORY_LEVEL)
    highest = min(known.quantile(largest_bytes, 1.0), 2 * expected)
    needed = max(expected, highest) * MEMORY_HEADROOM
    value = max(MEMORY_MIN_MIB, math.ceil(needed / MEMORY_STEP_MIB) * MEMORY_STEP_MIB)
    return Advice(
        value=value,
        reason=f"99 % of shards as large as the largest peak below {expected:.0f} MiB, the worst near {highest:.0f} MiB",
    )


def advise_vcpus(history: JobHistory, deployed: WorkerSize) -> Advice:
    """Whole processors that most shards keep busy."""
    cores = history.cores
    if cores is None:
        return Advice(value=None, reason=f"no run told its processor time: as deployed, {deployed.vcpus}")
    return Advice(
        value=max(1, math.ceil(cores - CORES_SLACK)), reason=f"three shards in four keep at most {cores:.2f} busy"
    )


def advise_shard_size(total_bytes: int, expectation: Expectation, workers: int, *, cut_by_size: bool) -> Advice:
    """Some minutes of work, and enough shards that no worker waits long for the last one. A power of two in MiB."""
    if not cut_by_size:
        return Advice(value=None, reason="the input decides: this sharding does not cut by size")
    line, usual = expectation.shard.line, expectation.shard.score(0.5)
    if line.per_byte * usual <= 0:
        return Advice(value=None, reason="shards took as long whatever their size")
    by_time = max(0.0, SHARD_S_WANTED / usual - line.fixed) / line.per_byte
    by_count = total_bytes / (workers * SHARDS_PER_WORKER_MIN)
    wanted = max(float(SHARD_MIB_MIN), min(by_time, by_count) / MIB)
    value = 2 ** int(math.log2(wanted)) * MIB
    why = (
        f"about {SHARD_S_WANTED / 60:.0f} minutes of work" if by_time <= by_count
        else f"at least {SHARDS_PER_WORKER_MIN} shards for each of {workers} workers"
    )  # fmt: skip
    return Advice(value=value, reason=why)


def advise_workers(sizes: Sequence[int], expectation: Expectation, wishes: Wishes, *, rng: random.Random) -> Advice:
    """As given; or the fewest that end in time nine times in ten; or half an hour of work for each."""
    if wishes.workers is not None:
        return Advice(value=wishes.workers, reason="as given")
    most = min(len(sizes), WORKERS_MAX)
    if wishes.within_s is not None:
        return _fewest_in_time(sizes, expectation, wishes.within_s, most, rng)
    usual = expectation.shard.score(0.5)
    work_s = sum(expectation.shard.line.at(size) for size in sizes) * usual
    by_work = math.ceil(work_s / WORKER_S_WANTED)
    value = max(1, min(by_work, len(sizes) // SHARDS_PER_WORKER_MIN, WORKERS_MAX))
    if value == by_work:
        return Advice(value=value, reason=f"{_spoken(work_s)} of work, half an hour for each at most")
    return Advice(value=value, reason=f"{len(sizes)} shards, at least {SHARDS_PER_WORKER_MIN} for each worker")


def _fewest_in_time(
    sizes: Sequence[int], expectation: Expectation, within_s: float, most: int, rng: random.Random
) -> Advice:
    seed = rng.random()  # the same draws for each number: more workers are never slower by chance

    def ends_in_time(workers: int) -> bool:
        drawn = forecast(sizes, workers, expectation, rng=random.Random(seed), draws=SEARCH_DRAWS)  # noqa: S311 - no secret
        return drawn.wall_s.high <= within_s

    if not ends_in_time(most):
        return Advice(value=most, reason=f"one for each shard, and {within_s:.0f} s are still not likely to be met")
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if ends_in_time(middle) else (middle + 1, high)
    return Advice(value=high, reason=f"the fewest that end within {within_s:.0f} s nine times in ten")


def _spoken(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _warnings(largest_bytes: int, history: JobHistory) -> list[str]:
    if not history.runs:
        return [
            "no earlier run of this job left a record, so these are defaults: a worker is taken to get through "
            f"{DEFAULT_BYTES_PER_S // MIB} MiB/s, wrong up to {DEFAULT_WRONG:.0f}-fold either way"
        ]
    warnings = []
    if history.runs <= 2:
        warnings.append(f"only {history.runs} earlier run(s): how much runs differ is assumed, not measured")
    seen = history.seconds.bytes_max
    if largest_bytes > SPREAD_WARNED * seen:
        warnings.append(
            f"the largest shard has {largest_bytes / MIB:.0f} MiB, the largest ever seen {seen / MIB:.0f} MiB: "
            "beyond it the line is drawn out"
        )
    return warnings
