"""How a run spreads over the partitions of the table."""

import hashlib
import math
from dataclasses import dataclass
from typing import Final

from spotproof.leases.model import SessionId

# "Best practices for designing partition keys" of the DynamoDB developer guide: 1,000 write units a second each.
PARTITION_WRITES_PER_S: Final = 1000
TARGET_SHARE: Final = 0.5  # of a partition: room for uneven hashing, retries and refused writes, which cost units too
# Shards are sized in minutes; sizing holds even if every one takes this long. With less, 10,000 workers write more than
# twice as often as a new table can take, however many partitions there are; and each stripe more costs every worker a
# part of a refused ticket when it ends (docs/decisions/0005).
SHARD_S_MIN: Final = 5.0
STRIPE_WRITES_PER_SHARD: Final = 4  # ticket, claim, one checkpoint pointer, commit
SESSIONS_PER_BUCKET: Final = 500  # each may hold or beat once a second
ROWS_PER_STRIPE: Final = 10_000  # a walk reads a stripe: at most about 5 MB, 1,250 read units
STRIPES_MAX: Final = 1_000  # four digits in the key; their set in the run's item stays below 2 KB
BUCKETS_MAX: Final = 100  # two digits in the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """The number of stripes (k) and of session buckets of a run, and why."""

    stripes: int
    session_buckets: int
    reason: str


def choose_partitions(*, shards: int, workers: int) -> Partitions:
    """Stripes and session buckets such that no partition passes 1,000 writes a second.

    A worker that finishes a shard every SHARD_S_MIN seconds writes STRIPE_WRITES_PER_SHARD times to stripes; each
    partition is loaded to TARGET_SHARE of its limit at most, also while a whole fleet opens its sessions. The
    claimable index has one partition per run and class: it sees requeued and drained shards only, four writes each, so
    a storm that takes 10,000 workers within the two minutes of a notice loads it to a third.

    Args:
        shards: n of the plan, at least 1.
        workers: the most that will run at a time, at least 1 (a Batch array has at most 10,000 children).

    Raises:
        ValueError: if either is below 1.
    """
    if shards < 1 or workers < 1:
        raise ValueError(f"shards and workers must be at least 1, got {shards} and {workers}")
    writes_per_s = PARTITION_WRITES_PER_S * TARGET_SHARE * SHARD_S_MIN
    by_workers = math.ceil(workers * STRIPE_WRITES_PER_SHARD / writes_per_s)
    by_rows = math.ceil(shards / ROWS_PER_STRIPE)
    stripes = min(max(by_workers, by_rows), shards, STRIPES_MAX)
    buckets = min(math.ceil(workers / SESSIONS_PER_BUCKET), BUCKETS_MAX)
    return Partitions(
        stripes=stripes,
        session_buckets=buckets,
        reason=f"{workers} workers need {by_workers} stripes, {shards} shards need {by_rows}",
    )


def session_bucket(session_id: SessionId, buckets: int) -> int:
    """The bucket a session lives in, the same in every process."""
    digest = hashlib.sha256(session_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % buckets
