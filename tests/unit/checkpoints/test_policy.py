"""When a shard's state is saved."""

import math

import pytest

from spotproof.checkpoints.policy import DIRTY_BYTES_MAX, SaveDecision, decide_save, next_interval_s


def decide(
    since_save_s: float = 10, save_cost_s: float = 0.1, dirty_bytes: int = 0, hint_pending: bool = False
) -> SaveDecision:
    return decide_save(
        interval_s=60,
        since_save_s=since_save_s,
        save_cost_s=save_cost_s,
        dirty_bytes=dirty_bytes,
        hint_pending=hint_pending,
    )


def test_it_saves_when_the_interval_is_over_and_not_before() -> None:
    assert not decide(since_save_s=59.9).save
    assert decide(since_save_s=60).save


def test_a_rebalance_recommendation_is_answered_at_the_next_safe_point() -> None:
    decision = decide(since_save_s=0, hint_pending=True)

    assert decision.save
    assert "rebalance" in decision.reason


def test_much_changed_data_is_saved_before_the_interval_is_over() -> None:
    assert decide(dirty_bytes=DIRTY_BYTES_MAX).save


def test_dear_saves_take_at_most_a_twentieth_of_the_time() -> None:
    assert not decide(since_save_s=60, save_cost_s=4).save
    assert decide(since_save_s=81, save_cost_s=4).save


def test_the_interval_is_youngs_without_warnings_and_grows_with_them() -> None:
    young = next_interval_s(save_s=3.5, mtbf_s=20 * 3600)

    assert young == pytest.approx(math.sqrt(2 * 3.5 * 72000))
    assert next_interval_s(save_s=3.5, mtbf_s=20 * 3600, warned=0.9) == pytest.approx(young * math.sqrt(10))


def test_the_interval_has_a_floor_and_a_cap() -> None:
    assert next_interval_s(save_s=1e-6, mtbf_s=1) == 1
    assert next_interval_s(save_s=60, mtbf_s=1e9, warned=1) == 3600


@pytest.mark.parametrize(("save_s", "mtbf_s", "warned"), [(0, 1, 0), (1, -1, 0), (1, 1, 1.1)])
def test_nonsense_is_refused(save_s: float, mtbf_s: float, warned: float) -> None:
    with pytest.raises(ValueError, match="got"):
        next_interval_s(save_s=save_s, mtbf_s=mtbf_s, warned=warned)
