"""What a stop means for the shard at hand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.budget import StopChoice, StopDecision, decide_on_stop


def decide(window_s: float = 120, remaining_s: float | None = None, save_estimate_s: float = 1) -> StopDecision:
    return decide_on_stop(window_s=window_s, reserve_s=15, remaining_s=remaining_s, save_estimate_s=save_estimate_s)


def test_work_that_fits_is_finished() -> None:
    assert decide(remaining_s=90).choice is StopChoice.FINISH


def test_work_that_would_leave_no_room_for_a_save_is_saved() -> None:
    assert decide(remaining_s=104).choice is StopChoice.SAVE


def test_unknown_work_is_saved() -> None:
    assert decide(remaining_s=None).choice is StopChoice.SAVE


def test_when_no_save_fits_it_lets_go() -> None:
    assert decide(window_s=16, save_estimate_s=1).choice is StopChoice.LET_GO
    assert decide(window_s=-5).choice is StopChoice.LET_GO


def test_without_a_deadline_it_saves() -> None:
    assert decide(window_s=math.inf, remaining_s=5).choice is StopChoice.SAVE


def test_with_open_output_files_the_shard_is_finished_or_let_go_but_never_saved() -> None:
    for remaining_s, choice in ((104, StopChoice.FINISH), (106, StopChoice.LET_GO), (None, StopChoice.LET_GO)):
        decision = decide_on_stop(
            window_s=120, reserve_s=15, remaining_s=remaining_s, save_estimate_s=1, can_save=False
        )
        assert decision.choice is choice


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.none() | st.floats(0, 1e4), st.floats(0, 1e4))
def test_nothing_is_ever_begun_that_is_not_expected_to_end_before_the_reserve(
    window_s: float, reserve_s: float, remaining_s: float | None, save_s: float
) -> None:
    decision = decide_on_stop(window_s=window_s, reserve_s=reserve_s, remaining_s=remaining_s, save_estimate_s=save_s)

    if decision.choice is StopChoice.FINISH:
        assert remaining_s is not None
        assert remaining_s <= window_s - reserve_s
    if decision.choice is StopChoice.SAVE:
        assert save_s <= window_s - reserve_s
