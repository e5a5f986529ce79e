"""The measures say what they claim to."""

import pytest

from bench.scale.journal import Wait
from bench.scale.measure import BARS, after_capacity_is_back, behind_ideal_queue, ideal_end_s, missed
from bench.scale.world import World
from tests.unit.bench_scale.scenes import scenario


def test_an_ideal_queue_gives_the_oldest_shard_to_the_next_worker_that_looks() -> None:
    waits = [Wait(claimable_at=10.0, leased_at=13.0), Wait(claimable_at=11.0, leased_at=12.5)]
    looked_at, leased_at = [5.0, 12.0, 12.5, 20.0], [5.1, 12.5, 13.0, 20.1]

    assert behind_ideal_queue(waits, looked_at, leased_at) == [1.0, 0.0]


def test_a_worker_that_was_looking_already_is_there_at_once() -> None:
    assert behind_ideal_queue([Wait(claimable_at=10.0, leased_at=11.5)], [4.0], [11.5]) == [1.5]


def test_capacity_is_back_when_the_fleet_is_whole_again() -> None:
    alive = [(0.0, 100), (50.0, 40), (90.0, 96), (95.0, 100)]
    waits = [
        Wait(claimable_at=10.0, leased_at=10.5),  # nothing is missing: it counts from the start
        Wait(claimable_at=60.0, leased_at=70.0),  # before capacity was back
        Wait(claimable_at=60.0, leased_at=93.0),
    ]

    assert after_capacity_is_back(waits, alive, workers=100) == [0.5, 0.0, 3.0]


@pytest.mark.parametrize(("work_s", "end_s"), [(100.0, 20.0), (150.0, 25.0), (250.0, 35.0)])
def test_the_ideal_end_is_when_live_workers_could_have_done_the_work(work_s: float, end_s: float) -> None:
    world = World(scenario(), seed=1)
    world.fleet.alive_over_time = [(0.0, 0), (10.0, 10)]

    assert ideal_end_s(world, work_s) == end_s


def test_a_bar_is_missed_above_it_and_not_at_it() -> None:
    numbers = {bar.name: bar.at_most for bar in BARS}

    assert missed(numbers) == []
    assert missed(numbers | {"claim_p99_ms": 100.1, "leased_again_after_capacity_is_back_max_s": None}) == [
        "claim_p99_ms"
    ]
