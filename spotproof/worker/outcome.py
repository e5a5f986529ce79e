"""How a worker's time with one shard ended."""

from enum import StrEnum


class ShardOutcome(StrEnum):
    COMMITTED = "committed"
    RELEASED = "released"  # handed back with its progress, because of a stop or because AWS stayed down
    FAILED = "failed"  # recorded on the shard; it is tried again later
    QUARANTINED = "quarantined"
    UNFIT = "unfit"  # recorded as failed for want of memory or disk: this worker would fail every other shard too
    LOST = "lost"  # somebody else may own it by now; nothing of ours was committed
