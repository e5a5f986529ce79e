"""What saves cost, how long the next one takes, and how fast the state changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.estimate import OVERRUN_MAX, SMALL_BYTES, ChangeRate, SaveCosts, SaveEstimate

observations = st.lists(st.tuples(st.integers(0, 10**10), st.floats(0, 1000)), max_size=12)


def learned(seen: list[tuple[int, float]]) -> SaveEstimate:
    estimate = SaveEstimate()
    for size_bytes, duration_s in seen:
        estimate = estimate.observe(size_bytes=size_bytes, duration_s=duration_s)
    return estimate


def test_the_estimate_learns_latency_from_small_saves_and_bandwidth_from_big_ones() -> None:
    estimate = learned([(1000, 0.1), (50_000_000, 1.1)] * 30)

    assert estimate.latency_s == pytest.approx(0.1, rel=0.01)
    assert estimate.bytes_per_s == pytest.approx(50e6, rel=0.01)
    assert estimate.seconds(100_000_000) == pytest.approx(2.1, rel=0.02)


def test_before_any_save_the_estimate_is_cautious_but_lets_small_states_through() -> None:
    assert 0.5 <= SaveEstimate().seconds(1000) < 2
    assert SaveEstimate().seconds(10**9) > 60
    assert SaveEstimate().observe(size_bytes=10**6, duration_s=0.0).seconds(10) > 0


def test_one_big_save_over_a_slow_network_is_believed_at_once() -> None:
    assert learned([(100_000_000, 100.0)]).bytes_per_s == pytest.approx(1e6, rel=0.1)


def test_a_tiny_save_can_not_fake_a_fast_network() -> None:
    assert learned([(SMALL_BYTES, 0.001)]).bytes_per_s < 2 * SaveEstimate().bytes_per_s


def test_a_latency_nobody_measured_does_not_make_the_bandwidth_look_better() -> None:
    estimate = learned([(10_000_000, 1.0)] * 20)

    assert estimate.bytes_per_s == pytest.approx(10e6, rel=0.01)
    assert estimate.seconds(100_000_000) >= 10


def test_saves_of_uneven_speed_are_expected_to_take_as_long_as_the_slow_ones() -> None:
    estimate = learned([(10_000_000, 1.0), (10_000_000, 1.0), (10_000_000, 3.0), (10_000_000, 1.0)])

    assert estimate.seconds(10_000_000) >= 2.4


def test_a_slow_save_is_forgotten_after_many_steady_ones() -> None:
    assert learned([(10_000_000, 9.0)] + [(10_000_000, 1.0)] * 30).overrun < 0.01


def test_a_hiccup_of_minutes_does_not_take_the_budget_away_for_good() -> None:
    assert learned([(10**11, 100.0), (10**5, 600.0)]).overrun == OVERRUN_MAX


def test_a_save_that_was_given_up_is_news_only_if_it_took_longer_than_expected() -> None:
    estimate = learned([(10_000_000, 1.0)] * 10)

    assert estimate.observe_unfinished(size_bytes=10_000_000, waited_s=0.5) == estimate
    assert estimate.observe_unfinished(size_bytes=10_000_000, waited_s=30).seconds(10_000_000) > 10


def test_an_overdue_save_is_expected_to_take_as_long_again() -> None:
    estimate = learned([(10_000_000, 1.0)] * 40)
    expected_s = estimate.seconds(10_000_000)

    assert estimate.left_s(10_000_000, elapsed_s=0.5) == pytest.approx(expected_s - 0.5)
    assert estimate.left_s(10_000_000, elapsed_s=expected_s + 5) == pytest.approx(5 + estimate.latency_s)


@given(observations, st.floats(0, 1000))
def test_the_largest_save_that_fits_does_fit(seen: list[tuple[int, float]], within_s: float) -> None:
    estimate = learned(seen)
    largest = estimate.largest_bytes(within_s=within_s)

    assert largest == 0 or estimate.seconds(largest) <= within_s * (1 + 1e-9)
    assert estimate.seconds(largest + 2 + largest // 10**9) > within_s


@given(observations, st.integers(0, 10**12), st.integers(0, 10**12))
def test_more_bytes_never_take_less_time(seen: list[tuple[int, float]], one: int, other: int) -> None:
    estimate = learned(seen)

    assert 0 < estimate.seconds(min(one, other)) <= estimate.seconds(max(one, other))


def test_costs_follow_the_newest_saves_gently() -> None:
    costs = SaveCosts(stall_s=1.0, carry_s=10.0, requests=2.0).observe(
        SaveCosts(stall_s=0.0, carry_s=20.0, requests=4.0)
    )

    assert (costs.stall_s, costs.carry_s, costs.requests) == pytest.approx((0.7, 13.0, 2.6))


def test_the_change_rate_rises_at_once_and_falls_slowly() -> None:
    rate = ChangeRate().observe(size_bytes=1000, worked_s=10)
    assert rate.bytes_in(5) == 500

    faster = rate.observe(size_bytes=9000, worked_s=10)
    assert faster.bytes_in(1) == 900
    assert faster.observe(size_bytes=0, worked_s=10).bytes_in(1) == 630


def test_before_any_save_nobody_knows_what_work_changes() -> None:
    assert ChangeRate().bytes_in(10) is None
