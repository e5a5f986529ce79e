"""When to save, and what a stop means."""

import math
from typing import Any

import pytest

from spotproof.checkpoints.budget import SaveEstimate, StopChoice, decide_on_stop
from spotproof.checkpoints.policy import decide_save, next_interval_s

QUIET: dict[str, Any] = {"interval_s": 60.0, "since_save_s": 10.0, "save_cost_s": 0.2, "dirty_bytes": 100}


@pytest.mark.parametrize(
    ("changes", "save", "reason"),
    [
        ({}, False, "10.0 s since the last save, interval 60.0 s"),
        ({"since_save_s": 60.0}, True, "reach 60.0 s"),
        ({"since_save_s": 60.0, "save_cost_s": 6.1}, False, "costs 6.1 s, too much"),
        ({"since_save_s": 61.0, "save_cost_s": 6.1}, True, "since the last save"),
        ({"hint_pending": True}, True, "rebalance"),
        ({"hint_pending": True, "save_cost_s": 50.0}, True, "rebalance"),
        ({"dirty_bytes": 5000, "dirty_bytes_max": 5000}, True, "5000 changed bytes"),
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


@pytest.mark.parametrize(
    ("remaining_s", "save_estimate_s", "window_s", "can_save", "choice"),
    [
        (100, 5, 120, True, StopChoice.FINISH),
        (105, 5, 120, True, StopChoice.FINISH),
        (106, 5, 120, True, StopChoice.SAVE),
        (None, 5, 120, True, StopChoice.SAVE),
        (None, 106, 120, True, StopChoice.LET_GO),
        (None, 5, 10, True, StopChoice.LET_GO),
        (None, 0, -3, True, StopChoice.LET_GO),
        (1e9, 5, math.inf, True, StopChoice.FINISH),
        (None, 5, math.inf, True, StopChoice.SAVE),
        (None, 5, 120, False, StopChoice.LET_GO),
        (100, 5, 120, False, StopChoice.FINISH),
    ],
)
def test_a_stop_finishes_saves_or_lets_go_whichever_fits_first(
    remaining_s: float | None, save_estimate_s: float, window_s: float, can_save: bool, choice: StopChoice
) -> None:
    decision = decide_on_stop(
        window_s=window_s, reserve_s=15, remaining_s=remaining_s, save_estimate_s=save_estimate_s, can_save=can_save
    )

    assert decision.choice is choice
    assert decision.reason


def test_the_estimate_learns_latency_from_small_saves_and_bandwidth_from_big_ones() -> None:
    estimate = SaveEstimate()
    for _ in range(30):
        estimate = estimate.observe(size_bytes=1000, duration_s=0.1)
        estimate = estimate.observe(size_bytes=50_000_000, duration_s=1.1)

    assert estimate.latency_s == pytest.approx(0.1, rel=0.01)
    assert estimate.bytes_per_s == pytest.approx(50e6, rel=0.01)
    assert estimate.seconds(100_000_000) == pytest.approx(2 * 2.1, rel=0.02)


def test_before_any_save_the_estimate_is_cautious_but_lets_small_states_through() -> None:
    assert 0.5 < SaveEstimate().seconds(1000) < 5
    assert SaveEstimate().seconds(10**9) > 100
    assert SaveEstimate().observe(size_bytes=10**6, duration_s=0.0).seconds(10) > 0
