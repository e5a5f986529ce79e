"""When a safe point becomes a save."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.estimate import SaveCosts
from spotproof.checkpoints.intervals import daly_s
from spotproof.checkpoints.policy import (
    CAP_S,
    FIRST_SAVE_S,
    FLOOR_S,
    SAVE_SHARE_MAX,
    Interval,
    SaveChoice,
    choose_interval,
    decide_save,
)
from spotproof.checkpoints.presets import SavePlan
from spotproof.checkpoints.risk import Risk

AUTO = SavePlan(saves=True, interval_s=None, keeps_budget=True)
RISK = Risk(rate_per_h=0.05, reliability=0.9)
CHEAP = SaveCosts(stall_s=0.03, carry_s=0.2, requests=3)


def auto(costs: SaveCosts | None, risk: Risk = RISK) -> Interval:
    return choose_interval(plan=AUTO, costs=costs, restore_s=60, risk=risk)


def test_the_interval_is_the_optimum_of_the_form_with_prediction() -> None:
    interval = auto(CHEAP)

    assert interval.seconds == pytest.approx(math.sqrt(2 * 0.03 * 3600 / (0.05 * 0.1)))
    for said in ("207.8 s", "30 ms", "0.050 interruptions/h", "90%", "waste 0.11%"):
        assert said in interval.reason


def test_for_stalls_that_are_long_beside_the_time_between_interruptions_the_higher_order_counts() -> None:
    interval = auto(SaveCosts(stall_s=2.0, carry_s=2.0, requests=1), Risk(rate_per_h=30, reliability=0.9))

    assert interval.seconds == pytest.approx(2.0 + daly_s(save_s=2.0, rate_per_h=3))
    assert interval.seconds > 69.3  # which the first order says


def test_the_waste_in_the_reason_counts_what_is_lost_while_a_save_is_carried() -> None:
    quick, slow = SaveCosts(stall_s=0.03, carry_s=0.2, requests=3), SaveCosts(stall_s=0.03, carry_s=200, requests=3)

    assert "waste 0.11%" in auto(quick).reason
    assert "waste 0.14%" in auto(slow).reason


def test_more_interruptions_and_worse_warnings_make_saves_more_frequent() -> None:
    assert auto(CHEAP, Risk(rate_per_h=0.2, reliability=0.9)).seconds < auto(CHEAP).seconds
    assert auto(CHEAP, Risk(rate_per_h=0.05, reliability=0.5)).seconds < auto(CHEAP).seconds


def test_a_kill_without_warning_never_costs_more_than_the_cap() -> None:
    interval = auto(CHEAP, Risk(rate_per_h=1e-4, reliability=0.99))

    assert interval.seconds == CAP_S
    assert "(cap)" in interval.reason


def test_saves_that_cost_next_to_nothing_still_leave_the_store_alone() -> None:
    interval = auto(SaveCosts(stall_s=0.0, carry_s=0.01, requests=0), Risk(rate_per_h=5, reliability=0.1))

    assert interval.seconds == FLOOR_S
    assert "(floor)" in interval.reason


def test_requests_may_cost_a_hundredth_of_the_host() -> None:
    assert auto(SaveCosts(stall_s=0.0, carry_s=0.01, requests=3)).seconds == pytest.approx(39)


def test_a_slow_carry_spaces_saves_by_its_own_length_and_not_by_a_multiple() -> None:
    assert auto(SaveCosts(stall_s=0.001, carry_s=100, requests=3)).seconds == 100
    assert auto(SaveCosts(stall_s=0.001, carry_s=4000, requests=3)).seconds == CAP_S


def test_a_save_that_the_budget_asks_for_waits_for_no_carry_and_no_price() -> None:
    assert auto(SaveCosts(stall_s=0.001, carry_s=100, requests=60)).spacing_s == FLOOR_S
    assert auto(SaveCosts(stall_s=1.0, carry_s=100, requests=60)).spacing_s == pytest.approx(1.0 / SAVE_SHARE_MAX)


def test_a_long_stall_is_the_only_thing_that_lifts_the_interval_over_the_cap() -> None:
    assert auto(SaveCosts(stall_s=60, carry_s=60, requests=3)).seconds == pytest.approx(60 / SAVE_SHARE_MAX)


def test_the_first_save_comes_early_because_it_tells_what_saves_cost() -> None:
    assert auto(None).seconds == FIRST_SAVE_S


@pytest.mark.parametrize("costs", [None, CHEAP, SaveCosts(stall_s=60, carry_s=900, requests=900)])
def test_an_interval_of_the_submitter_is_kept_to_exactly(costs: SaveCosts | None) -> None:
    plan = SavePlan(saves=True, interval_s=0.5, keeps_budget=True)

    assert choose_interval(plan=plan, costs=costs, restore_s=0, risk=RISK).seconds == 0.5


@given(st.floats(0, 100), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(1e-5, 100), st.floats(0.001, 0.999))
def test_stalls_never_take_more_than_their_share_of_the_time(
    stall_s: float, carry_s: float, requests: float, rate: float, reliability: float
) -> None:
    costs = SaveCosts(stall_s=stall_s, carry_s=carry_s, requests=requests)
    interval = auto(costs, Risk(rate_per_h=rate, reliability=reliability))

    assert stall_s <= SAVE_SHARE_MAX * interval.seconds * (1 + 1e-9)
    assert FLOOR_S <= interval.seconds <= max(CAP_S, stall_s / SAVE_SHARE_MAX)


QUIET: dict[str, Any] = {
    "interval": Interval(seconds=60.0, spacing_s=5.0, reason="interval of 60 s"),
    "since_save_s": 10.0,
    "dirty_bytes": 100,
    "budget_bytes": 1000,
    "in_flight": False,
    "hint_pending": False,
}


@pytest.mark.parametrize(
    ("changes", "choice", "reason"),
    [
        ({}, SaveChoice.GO_ON, "10.0 s into the interval of 60 s"),
        ({"since_save_s": 59.9}, SaveChoice.GO_ON, "59.9 s into"),
        ({"since_save_s": 60.0}, SaveChoice.SAVE, "interval of 60 s"),
        ({"since_save_s": 99.0, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"hint_pending": True}, SaveChoice.SAVE, "rebalance"),
        ({"hint_pending": True, "since_save_s": 0.0}, SaveChoice.SAVE, "rebalance"),
        ({"hint_pending": True, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"dirty_bytes": 499}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": 500}, SaveChoice.SAVE, "500 bytes changed, 1000 fit"),
        ({"dirty_bytes": 500, "since_save_s": 4.9}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": 1000, "since_save_s": 0.0}, SaveChoice.SAVE, "1000 bytes changed"),
        ({"dirty_bytes": 999, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"dirty_bytes": 1000, "in_flight": True}, SaveChoice.WAIT, "1000 still fit"),
        ({"dirty_bytes": 1, "budget_bytes": 0, "in_flight": True}, SaveChoice.WAIT, "0 still fit"),
        ({"dirty_bytes": 0, "budget_bytes": 0, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"dirty_bytes": 10**9, "budget_bytes": None}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": 10**9, "budget_bytes": None, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"dirty_bytes": None, "since_save_s": 2.9}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": None, "since_save_s": 3.0}, SaveChoice.SAVE, "to learn how much changes"),
        ({"dirty_bytes": None, "since_save_s": 3.0, "in_flight": True}, SaveChoice.GO_ON, "in flight"),
        ({"dirty_bytes": None, "budget_bytes": None}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": None, "budget_bytes": None, "since_save_s": 60.0}, SaveChoice.SAVE, "interval"),
        ({"dirty_bytes": 9, "budget_bytes": 0, "since_save_s": 5.0}, SaveChoice.SAVE, "0 fit the window"),
        ({"dirty_bytes": 9, "budget_bytes": 0, "since_save_s": 1.0}, SaveChoice.GO_ON, "into"),
        ({"dirty_bytes": 0, "budget_bytes": 0}, SaveChoice.GO_ON, "into"),
        ({"hint_pending": True, "since_save_s": 99.0, "output_started": True}, SaveChoice.GO_ON, "output files"),
        ({"dirty_bytes": 2000, "in_flight": True, "output_started": True}, SaveChoice.GO_ON, "output files"),
    ],
)
def test_a_safe_point_becomes_a_checkpoint_when_it_pays(
    changes: dict[str, Any], choice: SaveChoice, reason: str
) -> None:
    decision = decide_save(**{**QUIET, **changes})

    assert decision.choice is choice
    assert decision.save is (choice is SaveChoice.SAVE)
    assert reason in decision.reason


def test_a_run_that_never_saves_does_not_even_answer_a_hint() -> None:
    plan = SavePlan(saves=False, interval_s=None, keeps_budget=False)
    interval = choose_interval(plan=plan, costs=None, restore_s=0, risk=RISK)

    decision = decide_save(**{**QUIET, "interval": interval, "hint_pending": True, "since_save_s": 1e9})

    assert decision.choice is SaveChoice.GO_ON
    assert "naive" in decision.reason
