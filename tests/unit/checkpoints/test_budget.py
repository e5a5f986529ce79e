"""What fits the window, and what a stop means for the shard at hand."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.budget import (
    SAVE_MARGIN,
    WORTH_S,
    StateSize,
    StopChoice,
    StopDecision,
    decide_on_stop,
    dirty_budget_bytes,
    reserve_s,
)
from spotproof.checkpoints.estimate import SaveEstimate


def decide(**changes: Any) -> StopDecision:
    return decide_on_stop(
        **{"window_s": 120.0, "reserve_s": 15.0, "remaining_s": None, "save_estimate_s": 1.0, **changes}
    )


def working(**changes: Any) -> StopDecision:
    """A worker that may use its window, with a safe point every second."""
    return decide(**{"may_work_on": True, "step_s": 1.0, **changes})


def test_the_reserve_is_a_share_of_the_window_and_none_without_a_deadline() -> None:
    assert reserve_s(120) == 15
    assert reserve_s(30) == 3.75
    assert reserve_s(math.inf) == 0
    assert reserve_s(-3) == 0


def test_the_budget_is_half_the_bandwidth_times_the_usable_window() -> None:
    estimate = SaveEstimate(latency_s=0.0, carried_bytes=100e6, carrying_s=1.0)

    assert dirty_budget_bytes(window_s=120, estimate=estimate) == 0.5 * 100e6 * 105
    assert dirty_budget_bytes(window_s=120, estimate=estimate, notice_lag_s=5) == 0.5 * 100e6 * 100
    assert dirty_budget_bytes(window_s=120, estimate=estimate, in_flight_s=40, notice_lag_s=5) == 0.5 * 100e6 * 60


def test_a_window_that_not_even_an_empty_save_fits_has_no_budget() -> None:
    assert dirty_budget_bytes(window_s=1, estimate=SaveEstimate()) == 0


@given(st.floats(1, 3600), st.floats(0, 60), st.floats(0, 100), st.floats(0.001, 5), st.floats(1e5, 1e10))
def test_a_save_of_the_whole_budget_fits_with_its_margin(
    window_s: float, lag_s: float, in_flight_s: float, latency_s: float, bandwidth: float
) -> None:
    estimate = SaveEstimate(latency_s=latency_s, carried_bytes=bandwidth, carrying_s=1.0)
    budget = dirty_budget_bytes(window_s=window_s, estimate=estimate, notice_lag_s=lag_s, in_flight_s=in_flight_s)

    usable_s = window_s - reserve_s(window_s) - lag_s - in_flight_s
    assert budget is not None
    assert budget == 0 or SAVE_MARGIN * estimate.seconds(budget) <= usable_s * (1 + 1e-9)


def test_what_there_is_room_for_travels_alone_and_anything_more_may_take_all_with_it() -> None:
    size = StateSize(total_bytes=1000, room_bytes=10)

    assert [size.carried_at_most(dirty) for dirty in (10, 11, 1001)] == [10, 1000, 1001]


FAST = SaveEstimate(latency_s=0.0, carried_bytes=100e6, carrying_s=1.0)
WHOLE = 5_250_000_000  # of a window of 120 s


def test_a_state_that_fits_whole_may_change_whole() -> None:
    size = StateSize(total_bytes=WHOLE, room_bytes=1000)

    assert dirty_budget_bytes(window_s=120, estimate=FAST, size=size) == WHOLE


def test_of_a_state_that_does_not_fit_no_more_may_change_than_there_is_room_for_copies() -> None:
    size = StateSize(total_bytes=WHOLE + 1, room_bytes=1000)

    assert dirty_budget_bytes(window_s=120, estimate=FAST, size=size) == 1000
    assert dirty_budget_bytes(window_s=120, estimate=FAST, size=size, in_flight_s=105) == 0


def test_a_job_whose_every_step_changes_more_than_the_window_takes_is_not_held_back_for_nothing() -> None:
    assert dirty_budget_bytes(window_s=120, estimate=FAST, step_bytes=WHOLE) == WHOLE
    assert dirty_budget_bytes(window_s=120, estimate=FAST, step_bytes=WHOLE + 1) is None


def test_work_that_fits_is_finished_once_what_there_is_has_been_saved() -> None:
    assert decide(remaining_s=90).choice is StopChoice.SAVE_AND_GO_ON
    assert decide(remaining_s=90, saved_since_stop=True).choice is StopChoice.FINISH


def test_work_that_takes_no_longer_than_a_save_is_finished_without_one() -> None:
    assert decide(remaining_s=0.9).choice is StopChoice.FINISH


def test_work_that_would_leave_no_room_for_a_save_is_saved() -> None:
    assert decide(remaining_s=104).choice is StopChoice.SAVE_AND_LEAVE


def test_unknown_work_is_saved() -> None:
    assert decide(remaining_s=None).choice is StopChoice.SAVE_AND_LEAVE


def test_when_no_save_can_fit_it_lets_go() -> None:
    assert decide(window_s=15.0).choice is StopChoice.LET_GO
    assert decide(window_s=-5.0).choice is StopChoice.LET_GO
    assert decide(save_estimate_s=210.0).choice is StopChoice.LET_GO


def test_a_save_that_is_expected_to_be_too_long_is_tried_all_the_same_as_a_late_one_tears_nothing() -> None:
    decision = decide(save_estimate_s=209.0)

    assert decision.choice is StopChoice.SAVE_AND_LEAVE
    assert "may fit" in decision.reason


def test_a_save_that_fits_without_its_margin_is_tried_whatever_one_more_step_would_add() -> None:
    assert decide(save_estimate_s=90.0).choice is StopChoice.SAVE_AND_LEAVE
    assert working(save_estimate_s=90.0, step_save_s=90.0).choice is StopChoice.SAVE_AND_LEAVE


def test_without_a_deadline_it_saves_and_leaves_even_if_the_window_may_be_used() -> None:
    assert decide(window_s=math.inf, remaining_s=5.0).choice is StopChoice.SAVE_AND_LEAVE
    assert working(window_s=math.inf).choice is StopChoice.SAVE_AND_LEAVE


@pytest.mark.parametrize(
    ("remaining_s", "choice"), [(104.0, StopChoice.FINISH), (106.0, StopChoice.LET_GO), (None, StopChoice.LET_GO)]
)
def test_with_open_output_files_the_shard_is_finished_or_let_go_but_never_saved(
    remaining_s: float | None, choice: StopChoice
) -> None:
    assert decide(remaining_s=remaining_s, can_save=False).choice is choice
    assert working(remaining_s=remaining_s, can_save=False).choice is choice


def test_after_a_notice_it_saves_at_once_works_on_and_saves_again_at_the_last_moment() -> None:
    first = working()
    assert first.choice is StopChoice.SAVE_AND_GO_ON
    assert "101.0 s can be worked" in first.reason

    later = working(saved_since_stop=True, window_s=60.0)
    assert later.choice is StopChoice.GO_ON
    assert later.again_in_s == pytest.approx(60 - 15 - 2 * (1 + 1))

    assert working(saved_since_stop=True, window_s=19.0).choice is StopChoice.GO_ON
    assert working(saved_since_stop=True, window_s=19.0, step_save_s=0.1).choice is StopChoice.SAVE_AND_LEAVE
    assert working(saved_since_stop=True, window_s=18.9).choice is StopChoice.SAVE_AND_LEAVE


@pytest.mark.parametrize(
    "changes",
    [
        {"may_work_on": False},
        {"step_s": None},
        {"window_s": 15.0 + WORTH_S + 3.9},
        {"step_s": 60.0},
    ],
)
def test_a_window_that_may_not_or_can_not_be_used_is_for_leaving(changes: dict[str, Any]) -> None:
    assert working(**changes).choice is StopChoice.SAVE_AND_LEAVE


def test_a_last_save_that_grew_is_made_small_by_one_more_round() -> None:
    assert working(saved_since_stop=True, save_estimate_s=20.0).choice is StopChoice.SAVE_AND_GO_ON
    assert working(saved_since_stop=True, save_estimate_s=10.0).choice is StopChoice.GO_ON


def test_a_save_in_flight_is_worked_behind_while_its_delta_still_fits() -> None:
    decision = working(in_flight_s=20.0)

    assert decision.choice is StopChoice.GO_ON
    assert decision.again_in_s == pytest.approx(105 - 20 - 2 * (1 + 1))


def test_a_save_in_flight_is_waited_for_when_leaving_or_when_time_is_short() -> None:
    assert decide(in_flight_s=20.0) == StopDecision(
        choice=StopChoice.WAIT, reason="the save in flight needs 20.0 s of 105.0 s", again_in_s=105.0
    )
    assert working(in_flight_s=102.0).choice is StopChoice.WAIT
    assert decide(in_flight_s=20.0, window_s=math.inf).again_in_s is None
    assert working(in_flight_s=20.0, can_save=False).choice is StopChoice.WAIT


def test_a_save_in_flight_that_will_not_end_in_time_is_let_go_of() -> None:
    assert decide(in_flight_s=209.0).choice is StopChoice.WAIT
    assert decide(in_flight_s=210.0).choice is StopChoice.LET_GO


def test_finishing_needs_no_further_round_behind_a_save_in_flight() -> None:
    assert decide(remaining_s=50.0, in_flight_s=20.0).choice is StopChoice.FINISH


times = st.floats(0, 1e4)


@given(
    window_s=st.floats(-10, 1e4),
    reserve=times,
    remaining_s=st.none() | times,
    save_s=times,
    can_save=st.booleans(),
    in_flight_s=st.none() | times,
    step_s=st.none() | times,
    saved=st.booleans(),
    may_work_on=st.booleans(),
)
def test_going_on_is_always_expected_to_end_before_the_reserve_and_giving_up_has_no_hope(
    window_s: float, reserve: float, remaining_s: float | None, save_s: float, can_save: bool,
    in_flight_s: float | None, step_s: float | None, saved: bool, may_work_on: bool,
) -> None:  # fmt: skip
    decision = decide_on_stop(
        window_s=window_s,
        reserve_s=reserve,
        remaining_s=remaining_s,
        save_estimate_s=save_s,
        can_save=can_save,
        in_flight_s=in_flight_s,
        step_s=step_s,
        saved_since_stop=saved,
        may_work_on=may_work_on,
    )

    usable_s = window_s - reserve
    match decision.choice:
        case StopChoice.FINISH:
            assert remaining_s is not None
            assert remaining_s <= usable_s
        case StopChoice.SAVE_AND_LEAVE:
            assert can_save
            assert in_flight_s is None
            assert save_s < SAVE_MARGIN * usable_s
        case StopChoice.SAVE_AND_GO_ON:
            assert can_save
            assert in_flight_s is None
            assert SAVE_MARGIN * save_s <= usable_s
        case StopChoice.GO_ON:
            assert may_work_on
            assert step_s is not None
            assert (in_flight_s or 0.0) + step_s + save_s <= usable_s
        case StopChoice.WAIT:
            assert in_flight_s is not None
            assert usable_s > 0
        case StopChoice.LET_GO:
            assert not can_save or (save_s if in_flight_s is None else in_flight_s) >= SAVE_MARGIN * usable_s
