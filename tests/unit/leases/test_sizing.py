"""Claims about stripes and buckets: no partition passes its limit, and every process agrees."""

import pytest

from spotproof.leases.model import Run, SessionId
from spotproof.leases.sizing import (
    BUCKETS_MAX,
    PARTITION_WRITES_PER_S,
    SESSIONS_PER_BUCKET,
    SHARD_S_MIN,
    STRIPE_WRITES_PER_SHARD,
    STRIPES_MAX,
    choose_partitions,
    session_bucket,
)
from tests.fakes.leases import a_run

WORKERS = [1, 6, 125, 126, 1_000, 10_000]
SHARDS = [1, 2, 12, 1_000, 10_001, 1_000_000, 100_000_000]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("shards", SHARDS)
def test_no_partition_passes_its_limit_even_with_shards_of_seconds(shards: int, workers: int) -> None:
    chosen = choose_partitions(shards=shards, workers=workers)

    busy = min(workers, shards)
    assert busy * STRIPE_WRITES_PER_SHARD / SHARD_S_MIN / chosen.stripes <= PARTITION_WRITES_PER_S
    assert workers / chosen.session_buckets <= SESSIONS_PER_BUCKET < PARTITION_WRITES_PER_S
    assert 1 <= chosen.stripes <= min(shards, STRIPES_MAX)
    assert 1 <= chosen.session_buckets <= BUCKETS_MAX


def test_a_small_run_has_one_partition_of_each() -> None:
    chosen = choose_partitions(shards=12, workers=6)

    assert (chosen.stripes, chosen.session_buckets) == (1, 1)
    assert "6 workers" in chosen.reason


def test_a_full_array_on_few_shards_gets_few_stripes_and_buckets_of_five_hundred() -> None:
    chosen = choose_partitions(shards=20_000, workers=10_000)

    assert (chosen.stripes, chosen.session_buckets) == (16, 20)


def test_a_million_shards_are_walked_in_stripes_of_ten_thousand() -> None:
    assert choose_partitions(shards=1_000_000, workers=8).stripes == 100


@pytest.mark.parametrize(("shards", "workers"), [(0, 1), (1, 0), (-1, 5)])
def test_nothing_to_size_is_refused(shards: int, workers: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        choose_partitions(shards=shards, workers=workers)


def test_a_session_lives_in_the_same_bucket_in_every_process() -> None:
    assert [session_bucket(SessionId(f"i-0a.job:{n}.1.abc"), 8) for n in range(6)] == [6, 1, 1, 4, 3, 3]


def test_sessions_spread_over_the_buckets() -> None:
    counts = [0] * 10
    for number in range(10_000):
        counts[session_bucket(SessionId(f"i-0a.job:{number}.1.abc"), 10)] += 1

    assert 900 < min(counts) <= max(counts) < 1_100


@pytest.mark.parametrize(("shards", "stripes"), [(10, 3), (9, 3), (2, 2), (1, 1)])
def test_stripes_divide_the_shards(shards: int, stripes: int) -> None:
    run: Run = a_run(shards=shards, stripes=stripes)

    assert [run.shards_in_stripe(stripe) for stripe in range(stripes)] == [
        sum(1 for index in range(shards) if run.stripe_of(index) == stripe) for stripe in range(stripes)
    ]
