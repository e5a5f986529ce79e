"""The timelines that were worked out by hand, and random ones against a clock that ticks."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from bench.cost.golden import GOLDEN, Golden, measured_cents
from bench.cost.worlds import RUNS, TYPES, random_world, ticking_cost
from spotproof.costs.price_book import PriceBook
from spotproof.costs.price_curve import QUANTUM
from spotproof.costs.run_cost import bill_hosts, cost_of_bills


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_a_timeline_costs_what_was_worked_out_by_hand(case: Golden) -> None:
    measured = measured_cents(case)

    assert {name: measured[name] for name in case.cents} == case.cents, case.by_hand


@pytest.mark.parametrize("seed", range(1, 13))
def test_every_part_is_what_a_ticking_clock_adds_up(seed: int) -> None:
    world = random_world(random.Random(seed))

    bills = bill_hosts(world.sessions, PriceBook(on_demand=TYPES, spot=world))

    for bill in bills:
        whole, parts = ticking_cost(world, bill)
        assert abs(Fraction(bill.usd) - whole) <= Fraction(QUANTUM)
        crumbs = len(parts) + 3  # each part is rounded down, and one gets what that leaves
        for session, usd in zip(bill.life.sessions, bill.charged.sessions, strict=True):
            assert abs(Fraction(usd) - parts[session.session_id]) <= crumbs * Fraction(QUANTUM)
    runs = sum((cost_of_bills(bills, run_id=run).usd for run in RUNS), Decimal(0))
    nobody = sum((bill.charged.unallocated.total for bill in bills), Decimal(0))
    assert runs + nobody == sum((bill.usd for bill in bills), Decimal(0))
