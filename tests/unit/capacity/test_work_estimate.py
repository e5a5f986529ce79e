"""Tests of the work left."""

import random

import pytest

from spotproof.capacity.work_estimate import estimate_work


def test_no_shard_left_is_no_work() -> None:
    estimate = estimate_work(shard_s=[10.0], running_s=[], waiting=0)

    assert estimate is not None
    assert (estimate.mean_s, estimate.high_s, estimate.shard_s) == (0.0, 0.0, 0.0)


def test_waiting_shards_take_the_mean_of_those_done() -> None:
    estimate = estimate_work(shard_s=[90.0, 100.0, 110.0], running_s=[], waiting=7)

    assert estimate is not None
    assert estimate.mean_s == 700.0
    # 1.645 * stdev 10 * sqrt(7 + 49 / 3)
    assert estimate.high_s == pytest.approx(700 + 79.46, abs=0.01)
    assert estimate.shard_s == 110.0
    assert "7 shards left at 100.0 s each (3 done)" in estimate.reason


def test_a_running_shard_has_left_what_longer_ones_took_beyond_its_age() -> None:
    estimate = estimate_work(shard_s=[50.0, 100.0, 120.0], running_s=[80.0], waiting=0)

    assert estimate is not None
    assert estimate.mean_s == 30.0
    assert estimate.shard_s == 40.0


def test_a_shard_older_than_all_that_are_done_is_worth_another_mean() -> None:
    estimate = estimate_work(shard_s=[50.0, 100.0], running_s=[300.0], waiting=1)

    assert estimate is not None
    assert estimate.mean_s == 150.0
    assert estimate.shard_s == 100.0


def test_one_shard_tells_no_spread_so_half_as_much_is_added() -> None:
    estimate = estimate_work(shard_s=[60.0], running_s=[], waiting=10)

    assert estimate is not None
    assert (estimate.mean_s, estimate.high_s) == (600.0, 900.0)


def test_with_none_done_a_shard_takes_twice_the_age_of_the_oldest() -> None:
    estimate = estimate_work(shard_s=[], running_s=[30.0, 10.0], waiting=4)

    assert estimate is not None
    assert estimate.mean_s == 4 * 60 + 30 + 50


def test_nothing_known_is_no_estimate() -> None:
    assert estimate_work(shard_s=[], running_s=[], waiting=4) is None
    assert estimate_work(shard_s=[], running_s=[0.0], waiting=4) is None


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_impossible_times_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not be negative"):
        estimate_work(shard_s=[bad], running_s=[], waiting=1)


def test_the_high_estimate_is_exceeded_by_one_run_in_twenty() -> None:
    rng = random.Random(11)
    runs, exceeded = 2000, 0
    for _ in range(runs):
        done = [rng.lognormvariate(4, 0.4) for _ in range(20)]
        left = [rng.lognormvariate(4, 0.4) for _ in range(50)]
        estimate = estimate_work(shard_s=done, running_s=[], waiting=50)
        assert estimate is not None
        exceeded += sum(left) > estimate.high_s

    assert 0.03 < exceeded / runs < 0.10
