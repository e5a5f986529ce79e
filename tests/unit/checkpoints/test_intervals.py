"""The closed forms: their values, their limits, and that they are optima of the waste they stand for."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.intervals import (
    daly_s,
    expected_waste,
    first_order_holds,
    waste_without_saves,
    with_prediction_s,
    young_s,
)

rates = st.floats(0.001, 2.0)
costs = st.floats(0.001, 30.0)
shares = st.floats(0.0, 0.99)


def test_young_is_the_square_root_of_twice_the_cost_times_the_time_between_interruptions() -> None:
    assert young_s(save_s=3.5, rate_per_h=0.05) == pytest.approx(math.sqrt(2 * 3.5 * 72_000))
    assert young_s(save_s=60, rate_per_h=0.05) / 60 == pytest.approx(49, abs=0.5)  # minutes


def test_warnings_make_saves_rarer_by_the_root_of_what_they_miss() -> None:
    without = young_s(save_s=0.03, rate_per_h=0.05)

    assert with_prediction_s(save_s=0.03, rate_per_h=0.05, reliability=0.0) == pytest.approx(without)
    assert with_prediction_s(save_s=0.03, rate_per_h=0.05, reliability=0.75) == pytest.approx(2 * without)
    assert with_prediction_s(save_s=0.03, rate_per_h=0.05, reliability=1.0) == math.inf


def test_daly_meets_young_where_saves_are_short_and_differs_where_they_are_not() -> None:
    assert daly_s(save_s=0.01, rate_per_h=0.05) == pytest.approx(young_s(save_s=0.01, rate_per_h=0.05), rel=1e-3)
    assert daly_s(save_s=60, rate_per_h=1) == pytest.approx(617.88, abs=0.01)
    assert daly_s(save_s=600, rate_per_h=1) < 0.9 * young_s(save_s=600, rate_per_h=1)
    assert daly_s(save_s=7200, rate_per_h=1) == 3600


@given(cost=st.floats(0.01, 600.0), rate=st.floats(0.01, 2.0), factor=st.sampled_from((0.5, 0.8, 1.25, 2.0)))
def test_no_other_interval_does_better_than_dalys_in_the_exact_model(cost: float, rate: float, factor: float) -> None:
    def exact_time_per_work(interval_s: float) -> float:
        mean_s = 3600 / rate
        return mean_s * math.expm1((interval_s + cost) / mean_s) / interval_s  # Daly 2006, complete model

    best_s = daly_s(save_s=cost, rate_per_h=rate)

    assert exact_time_per_work(best_s) <= exact_time_per_work(factor * best_s) * 1.002


@given(cost=costs, rate=rates, reliability=shares, factor=st.floats(0.2, 5.0))
def test_no_other_interval_wastes_less_than_the_one_with_prediction(
    cost: float, rate: float, reliability: float, factor: float
) -> None:
    best_s = with_prediction_s(save_s=cost, rate_per_h=rate, reliability=reliability)

    def waste(interval_s: float) -> float:
        return expected_waste(
            interval_s=interval_s, save_s=cost, rate_per_h=rate, reliability=reliability, restart_s=60, lag_s=1
        )

    assert waste(best_s) <= waste(factor * best_s) + 1e-12


def test_the_waste_is_the_sum_of_its_parts() -> None:
    waste = expected_waste(
        interval_s=200, save_s=2, rate_per_h=3.6, reliability=0.9, restart_s=60, warned_idle_s=5, lag_s=10
    )

    assert waste == pytest.approx(2 / 200 + 0.001 * (60 + 0.1 * (100 + 10) + 0.9 * 5))


def test_with_perfect_warnings_an_infinite_interval_wastes_only_the_restarts() -> None:
    waste = expected_waste(interval_s=math.inf, save_s=2, rate_per_h=3.6, reliability=1.0, restart_s=60)

    assert waste == pytest.approx(0.06)


def test_starting_again_without_saves_costs_what_trials_show() -> None:
    rng, trials, total = random.Random(1), 20_000, 0.0
    for _ in range(trials):
        while (until_s := rng.expovariate(0.5 / 3600)) < 3600:
            total += until_s + 60
        total += 3600

    expected = waste_without_saves(work_s=3600, rate_per_h=0.5, restart_s=60)
    assert total / trials / 3600 - 1 == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("rate", "waste"), [(0.05, 0.0263), (0.2, 0.1107)])
def test_an_hour_without_saves_is_dear(rate: float, waste: float) -> None:
    assert waste_without_saves(work_s=3600, rate_per_h=rate, restart_s=60) == pytest.approx(waste, abs=1e-4)


def test_the_first_order_is_trusted_while_saves_are_short() -> None:
    assert first_order_holds(save_s=60, rate_per_h=0.06)
    assert not first_order_holds(save_s=60, rate_per_h=0.061)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["save_s", "rate_per_h"])
def test_what_is_not_positive_and_finite_is_refused_by_name(name: str, bad: float) -> None:
    arguments = {"save_s": 1.0, "rate_per_h": 1.0, name: bad}

    for form in (young_s, daly_s, first_order_holds):
        with pytest.raises(ValueError, match=name):
            form(**arguments)
    with pytest.raises(ValueError, match=name):
        with_prediction_s(**arguments, reliability=0.5)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_a_reliability_is_a_share(bad: float) -> None:
    with pytest.raises(ValueError, match="reliability"):
        with_prediction_s(save_s=1, rate_per_h=1, reliability=bad)
    with pytest.raises(ValueError, match="reliability"):
        expected_waste(interval_s=1, save_s=1, rate_per_h=1, reliability=bad)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"interval_s": 0.0}, "interval_s"),
        ({"save_s": -1.0}, "save_s"),
        ({"rate_per_h": math.nan}, "rate_per_h"),
        ({"restart_s": -1.0}, "restart_s"),
        ({"warned_idle_s": math.inf}, "warned_idle_s"),
        ({"lag_s": -0.1}, "lag_s"),
    ],
)
def test_waste_of_impossible_times_is_refused_by_name(changes: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        expected_waste(**{"interval_s": 60.0, "save_s": 1.0, "rate_per_h": 1.0, **changes})


def test_impossible_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="work_s"):
        waste_without_saves(work_s=0, rate_per_h=1, restart_s=1)
    with pytest.raises(ValueError, match="restart_s"):
        waste_without_saves(work_s=1, rate_per_h=1, restart_s=-1)
