"""Tests of the clairvoyant optimum: against every schedule there is, and against every policy."""

import itertools
import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.policies.grid import POLICIES
from bench.policies.optimum import optimum
from bench.policies.replay import Job, Place, View, replay


class Schedule:
    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    def choose(self, view: View) -> Place:
        return self._places[view.tick]


def cheapest_of_all_schedules(job: Job, market: Sequence[bool]) -> float:
    best = math.inf
    for places in itertools.product(Place, repeat=job.deadline):
        try:
            best = min(best, replay(job, market, Schedule(places)).cost(job))
        except (ValueError, IndexError):  # Spot where there is none, or not done by the deadline
            continue
    return best


@settings(max_examples=60, deadline=None)
@given(
    market=st.lists(st.booleans(), min_size=7, max_size=7),
    work=st.integers(1, 5),
    changeover=st.integers(0, 2),
    price_ratio=st.sampled_from([1.5, 3.0]),
)
def test_the_optimum_is_the_cheapest_of_all_schedules(
    market: list[bool], work: int, changeover: int, price_ratio: float
) -> None:
    job = Job(work=work, deadline=7, changeover=changeover, price_ratio=price_ratio, step_s=60.0)

    assert optimum(job, market) == cheapest_of_all_schedules(job, market)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_policy_is_cheaper_than_the_optimum_or_late(data: st.DataObject) -> None:
    work, changeover = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 4))
    deadline = work + changeover + data.draw(st.integers(0, 40))
    market = data.draw(st.lists(st.booleans(), min_size=deadline, max_size=deadline))
    job = Job(work=work, deadline=deadline, changeover=changeover, price_ratio=3.0, step_s=60.0)
    least = optimum(job, market)

    for name, policy in POLICIES.items():
        outcome = replay(job, market, policy(job))

        assert outcome.cost(job) >= least - 1e-9, name
        assert outcome.met(job), name


def test_an_impossible_deadline_costs_infinitely() -> None:
    assert optimum(Job(work=5, deadline=6, changeover=2, price_ratio=3.0, step_s=60.0), [True] * 6) == math.inf
