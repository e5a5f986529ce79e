"""Tests of the replay's rules: what is paid, what counts, what is lost."""

import pytest

from bench.policies.replay import Job, Outcome, Place, View, replay

JOB = Job(work=4, deadline=12, changeover=2, price_ratio=3.0, step_s=60.0)


class Script:
    """Chooses by tick; the last choice goes on."""

    def __init__(self, *places: Place) -> None:
        self._places = places
        self.seen: list[View] = []

    def choose(self, view: View) -> Place:
        self.seen.append(view)
        return self._places[min(view.tick, len(self._places) - 1)]


def test_a_changeover_is_paid_and_brings_nothing() -> None:
    outcome = replay(JOB, [True] * 12, Script(Place.SPOT))

    assert outcome == Outcome(ticks=6, spot_ticks=6, on_demand_ticks=0, changeovers=1)
    assert outcome.cost(JOB) == 6.0


def test_waiting_costs_time_and_no_money() -> None:
    outcome = replay(JOB, [False] * 12, Script(Place.NOWHERE, Place.NOWHERE, Place.ON_DEMAND))

    assert outcome == Outcome(ticks=8, spot_ticks=0, on_demand_ticks=6, changeovers=1)
    assert outcome.cost(JOB) == JOB.on_demand_cost == 18.0


def test_a_loss_keeps_the_progress_and_costs_another_changeover() -> None:
    market = [True] * 3 + [False] + [True] * 8
    script = Script(Place.SPOT, Place.SPOT, Place.SPOT, Place.NOWHERE, Place.SPOT)

    outcome = replay(JOB, market, script)

    # 2 + 1 ticks, the gap, 2 + 3 ticks.
    assert outcome == Outcome(ticks=9, spot_ticks=8, on_demand_ticks=0, changeovers=2)
    lost = script.seen[3]
    assert (lost.place, lost.spot, lost.losses, lost.up_ticks, lost.work_left) == (Place.NOWHERE, False, 1, 3, 3)


def test_spot_that_is_not_there_can_not_be_chosen() -> None:
    with pytest.raises(ValueError, match="no Spot at tick 0"):
        replay(JOB, [False] * 12, Script(Place.SPOT))


def test_lateness_is_seen() -> None:
    waited = replay(JOB, [], Script(*[Place.NOWHERE] * 7, Place.ON_DEMAND))

    assert waited.ticks == 13
    assert not waited.met(JOB)
    assert replay(JOB, [], Script(*[Place.NOWHERE] * 6, Place.ON_DEMAND)).met(JOB)


def test_a_policy_that_never_works_is_stopped() -> None:
    with pytest.raises(ValueError, match="not done after ten deadlines"):
        replay(JOB, [], Script(Place.NOWHERE))
