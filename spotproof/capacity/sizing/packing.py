"""How long workers take that lease shard after shard, each the next one as soon as it is free."""

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final, TypeVar

SCALED_MIN: Final = 8  # fewer workers than this are not scaled down with the shards: they would no longer be like them
T = TypeVar("T")


def makespan_s(shards_s: Sequence[float], workers: int, *, copies: float = 1.0) -> float:
    """When the last worker is done, from when the first begins.

    Workers lease in the order given, as the plan's numbers are. Longest first it is at most 4/3 of the shortest
    possible, in any order at most twice that (Graham, "Bounds on multiprocessing timing anomalies", 1969).

    Args:
        shards_s: seconds of each shard, in the order of leasing, at least one.
        workers: at least 1; they all begin at once and stay.
        copies: so many shards each one listed stands for; 1.0 unless the list was thinned.

    Raises:
        ValueError: there is no worker or no shard.
    """
    if workers < 1 or not shards_s:
        raise ValueError(f"a makespan needs workers and shards, got {workers} and {len(shards_s)}")
    if len(shards_s) * copies <= workers:
        return max(shards_s)
    if copies > 1 and workers < SCALED_MIN * copies:  # a great many shards for each: they fill all gaps but the last
        last = shards_s[-max(1, round(workers / copies)) :]
        return max(max(shards_s), sum(shards_s) * copies / workers + max(last) / 2)
    free_at = [0.0] * max(1, round(workers / copies))
    heapify(free_at)
    for shard_s in shards_s:
        heapreplace(free_at, free_at[0] + shard_s)
    return max(free_at)


def thinned_evenly(values: Sequence[T], most: int) -> tuple[Sequence[T], float]:
    """At most `most` of them, evenly spread, and how many each one stands for."""
    if len(values) <= most:
        return values, 1.0
    return [values[number * len(values) // most] for number in range(most)], len(values) / most
