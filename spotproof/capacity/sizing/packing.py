"""How long workers take that lease shard after shard, each the next one as soon as it is free."""

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final

SHARDS_PACKED: Final = 4_000  # one by one; more are thinned out with the workers, or are sand that fills every gap


def makespan_s(shards_s: Sequence[float], workers: int) -> float:
    """When the last worker is done, from when the first begins.

    Workers lease in the order given. Longest first it is at most 4/3 of the shortest possible (Graham, "Bounds on
    multiprocessing timing anomalies", 1969), in any order at most twice that.

    Args:
        shards_s: seconds of each shard, in the order of leasing.
        workers: at least 1; they all begin at once and stay.

    Raises:
        ValueError: there is no worker.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if len(shards_s) <= workers:
        return max(shards_s, default=0.0)
    step = -(-len(shards_s) // SHARDS_PACKED)
    if step > 1 and workers < 8 * step:
        return max(max(shards_s), sum(shards_s) / workers + min(shards_s[-workers:]) / 2)
    free_at = [0.0] * max(1, round(workers / step))
    heapify(free_at)
    for shard_s in shards_s[::step]:
        heapreplace(free_at, free_at[0] + shard_s)
    return max(free_at)


def longest_first(shards_s: Sequence[float]) -> list[float]:
    """The order that ends earliest."""
    return sorted(shards_s, reverse=True)
