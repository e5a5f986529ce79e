"""Prices over time: each moment is charged at its own price, without rounding."""

import itertools
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.costs.price_curve import PriceCurve, as_usd, microseconds, whole_pico
from spotproof.costs.prices import load_on_demand_prices
from tests.unit.costs.builders import M5_LARGE, T0, minutes, step


def usd(curve: PriceCurve, since: float, until: float) -> str:
    area = curve.area(microseconds(T0 + minutes(since)), microseconds(T0 + minutes(until)))
    return str(as_usd(whole_pico(Fraction(area))).normalize())


def test_a_price_change_in_the_middle_is_charged_from_its_moment() -> None:
    curve = PriceCurve([step("0.03", since=-540), step("0.05", since=30), step("9", since=540)])

    assert usd(curve, 0, 60) == "0.04"


def test_before_the_first_step_its_price_holds_and_empty_spans_cost_nothing() -> None:
    curve = PriceCurve([step("0.06", since=30), step("0.12", since=60)])

    assert usd(curve, 0, 60) == "0.06"
    assert usd(curve, 60, 0) == usd(curve, 90, 90) == "0"


def test_the_price_of_a_moment_is_that_of_the_last_step_before_it() -> None:
    curve = PriceCurve([step("0.03", since=0), step("0.05", since=30)])

    prices = [str(curve.at(T0 + minutes(each)).normalize()) for each in (-5, 0, 29.9, 30, 400)]

    assert prices == ["0.03", "0.03", "0.03", "0.05", "0.05"]


def test_steps_out_of_order_and_no_steps_are_errors() -> None:
    for steps in ([], [step("1"), step("1", since=-3000)]):
        with pytest.raises(ValueError, match="price steps"):
            PriceCurve(steps)


@settings(max_examples=200, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 100_000), max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 900)), min_size=1, max_size=6),
)
def test_cutting_the_time_into_pieces_changes_nothing(cuts: list[int], changes: list[tuple[int, int]]) -> None:
    curve = PriceCurve([step(f"{cents / 100}", since=at / 60) for at, cents in sorted(changes)])
    edges = [microseconds(T0 + timedelta(seconds=edge)) for edge in [0, *sorted(cuts), 100_000]]

    pieces = sum(curve.area(since, until) for since, until in pairwise(edges))

    assert pieces == curve.area(edges[0], edges[-1])


def test_the_shipped_snapshot_has_every_size_at_its_multiple() -> None:
    prices = load_on_demand_prices()

    assert prices["m5.large"] == M5_LARGE
    assert prices["c5.large"].memory_mib == prices["r5.large"].memory_mib // 4 == 4096
    for name, price in prices.items():
        if name.startswith("g"):
            continue
        smallest = prices[f"{name.partition('.')[0]}.large"]
        times = price.vcpus // 2
        assert price.usd_per_hour == smallest.usd_per_hour * times
        assert price.memory_mib == smallest.memory_mib * times


def test_a_larger_host_around_the_same_gpu_costs_more_but_not_as_much_more() -> None:
    prices = load_on_demand_prices()
    for family in ("g4dn", "g5", "g6"):
        sizes = [prices[f"{family}.{size}"] for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge")]
        for smaller, larger in itertools.pairwise(sizes):
            assert (larger.vcpus, larger.memory_mib) == (2 * smaller.vcpus, 2 * smaller.memory_mib)
            assert 1 < larger.usd_per_hour / smaller.usd_per_hour < 2
