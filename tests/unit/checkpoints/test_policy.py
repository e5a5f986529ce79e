"""When a save pays, and how long it takes."""

import math
from typing import Any

import pytest

from spotproof.checkpoints.budget import SaveEstimate
from spotproof.checkpoints.policy import DIRTY_BYTES_MAX, decide_save, next_interval_s

QUIET: dict[str, Any] = {
    "interval_s": 60.0,
    "since_save_s": 10.0,
    "save_cost_s": 0.2,
    "dirty_bytes": 100,
    "hint_pending": False,
}


@pytest.mark.parametrize(
    ("changes", "save", "reason"),
    [
        ({}, False, "within the interval"),
        ({"since_save_s": 59.9}, False, "within the interval"),
        ({"since_save_s": 60.0}, True, "interval of 60 s"),
        ({"since_save_s": 60.0, "save_cost_s": 4}, False, "takes 4.0 s: too soon"),
        ({"since_save_s": 81.0, "save_cost_s": 4}, True, "interval"),
        ({"hint_pending": True}, True, "rebalance"),
        ({"hint_pending": True, "since_save_s": 0.0, "save_cost_s": 50.0}, True, "rebalance"),
        ({"dirty_bytes": DIRTY_BYTES_MAX}, True, "bytes changed"),
        ({"hint_pending": True, "since_save_s": 99.0, "output_started": True}, False, "output files are open"),
    ],
)
def test_a_safe_point_becomes_a_checkpoint_when_it_pays(changes: dict[str, Any], save: bool, reason: str) -> None:
    decision = decide_save(**{**QUIET, **changes})

    assert decision.save is save
    assert reason in decision.reason


def test_the_interval_is_youngs_optimum_without_warnings() -> None:
    expected = math.sqrt(2 * 3.5 / (0.05 / 3600))

    got = next_interval_s(save_cost_s=3.5, interruptions_per_hour=0.05, warned_share=0, cap_s=1e9)

    assert got == pytest.approx(expected)
    assert got == pytest.approx(11.8 * 60, rel=0.01)


def test_warnings_that_work_stretch_the_interval() -> None:
    got = next_interval_s(save_cost_s=0.03, interruptions_per_hour=0.05, warned_share=0.9, cap_s=1e9)

    assert got == pytest.approx(3.5 * 60, rel=0.02)


def test_the_optimum_beats_its_neighbours() -> None:
    cost, rate, warned = 1.0, 0.2, 0.5
    best = next_interval_s(save_cost_s=cost, interruptions_per_hour=rate, warned_share=warned, cap_s=1e9)

    def waste(interval_s: float) -> float:
        return cost / interval_s + rate / 3600 * (1 - warned) * interval_s / 2

    assert waste(best) <= min(waste(best * 0.9), waste(best * 1.1))


def test_floor_and_cap_hold_at_the_extremes() -> None:
    assert next_interval_s(save_cost_s=0, interruptions_per_hour=5, warned_share=0) == 5.0
    assert next_interval_s(save_cost_s=9, interruptions_per_hour=0, warned_share=0) == 600.0
    assert next_interval_s(save_cost_s=9, interruptions_per_hour=5, warned_share=1) == 600.0


@pytest.mark.parametrize(
    "bad",
    [{"save_cost_s": -1}, {"interruptions_per_hour": -1}, {"warned_share": 1.1}, {"floor_s": 0}, {"floor_s": 900}],
)
def test_numbers_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        next_interval_s(**{"save_cost_s": 1, "interruptions_per_hour": 1, "warned_share": 0, **bad})


def test_the_estimate_learns_latency_from_small_saves_and_bandwidth_from_big_ones() -> None:
    estimate = SaveEstimate()
    for _ in range(30):
        estimate = estimate.observe(size_bytes=1000, duration_s=0.1)
        estimate = estimate.observe(size_bytes=50_000_000, duration_s=1.1)

    assert estimate.latency_s == pytest.approx(0.1, rel=0.01)
    assert estimate.bytes_per_s == pytest.approx(50e6, rel=0.01)
    assert estimate.seconds(100_000_000) == pytest.approx(2.1, rel=0.02)


def test_before_any_save_the_estimate_is_cautious_but_lets_small_states_through() -> None:
    assert 0.5 <= SaveEstimate().seconds(1000) < 2
    assert SaveEstimate().seconds(10**9) > 60
    assert SaveEstimate().observe(size_bytes=10**6, duration_s=0.0).seconds(10) > 0
