"""When a run gets on-demand workers, how many the caps leave, and when Spot has it back."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.capacity.caps import cap_on_demand
from spotproof.capacity.deadline import DeadlineFacts, DeadlineState, SpotMarket
from spotproof.capacity.fallback import FallbackAction, FallbackCause, FallbackDecision, decide_fallback
from spotproof.capacity.pause import decide_pause
from spotproof.capacity.situation import CapacityLimits, CapacitySituation, QueueBlocked, Workforce

LIMITS = CapacityLimits(fallback_after_s=600)
STARVED = CapacitySituation(
    now_s=10_000.0, limits=LIMITS, workers_wanted=10, shards_open=100, claimable_spot=100, claimable_on_demand=0,
    waited_s=0.0, spot=Workforce(), on_demand=Workforce(),
)  # fmt: skip
BLOCKED = QueueBlocked(since_s=9_990.0, reason="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none")


def decided(**changes: Any) -> FallbackDecision:
    limits = {name: changes.pop(name) for name in list(changes) if name in CapacityLimits.__dataclass_fields__}
    return decide_fallback(replace(STARVED, limits=replace(LIMITS, **limits), **changes))


def facts(**changes: Any) -> DeadlineFacts:
    """100 shards of 60 s for 10 workers; by default hours of slack."""
    base = DeadlineFacts(
        now_s=10_000.0, deadline_s=30_000.0, work_left_s=6_000.0, shards_left=100, shard_s=60.0, workers=10,
        restart_s=240.0, step_s=60.0, spot_running=0, spot_starting=0, on_demand_running=0, market=SpotMarket(),
    )  # fmt: skip
    return replace(base, **changes)


# --- the four causes ---------------------------------------------------------------------------------------------


def test_a_shard_that_waited_for_the_threshold_gets_the_run_as_many_workers_as_it_is_short_of() -> None:
    assert decided(waited_s=599.9).action is FallbackAction.NONE

    decision = decided(waited_s=600.0)

    assert (decision.action, decision.count, decision.cause) == (FallbackAction.ADD, 10, FallbackCause.WAITED)
    assert "waited 600 s" in decision.reason
    assert decided(waited_s=31, fallback_after_s=30).action is FallbackAction.ADD


def test_live_spot_workers_and_on_demand_ones_on_their_way_are_not_bought_again() -> None:
    decision = decided(waited_s=700, spot=Workforce(alive=3), on_demand=Workforce(alive=2, coming=1))

    assert (decision.count, decision.on_demand_wanted) == (4, 7)


def test_spot_workers_that_only_wait_in_the_queue_fill_no_place() -> None:
    assert decided(waited_s=700, spot=Workforce(coming=10)).count == 10


def test_a_run_at_its_full_width_queues_its_shards_and_buys_nothing() -> None:
    decision = decided(waited_s=5_000, blocked=BLOCKED, spot=Workforce(alive=10, working=10))

    assert (decision.action, decision.needed) == (FallbackAction.NONE, False)


def test_no_more_workers_than_there_are_open_shards() -> None:
    assert decided(waited_s=700, shards_open=2, claimable_spot=2).count == 2


def test_nothing_claimable_means_nothing_to_buy() -> None:
    assert decided(waited_s=0.0, claimable_spot=0, shards_open=10, blocked=BLOCKED).action is FallbackAction.NONE


def test_a_shard_that_was_interrupted_too_often_gets_an_on_demand_worker_at_once_even_at_full_width() -> None:
    decision = decided(claimable_on_demand=2, spot=Workforce(alive=10, working=10))

    assert (decision.action, decision.count, decision.cause) == (FallbackAction.ADD, 2, FallbackCause.INTERRUPTED)


def test_a_blocked_queue_needs_no_waiting() -> None:
    decision = decided(waited_s=10, blocked=BLOCKED)

    assert (decision.action, decision.count, decision.cause) == (FallbackAction.ADD, 10, FallbackCause.BLOCKED)
    assert "CAPACITY:INSUFFICIENT" in decision.reason


def test_a_deadline_without_slack_buys_what_it_takes() -> None:
    decision = decided(deadline=facts(deadline_s=10_700.0))

    assert (decision.action, decision.cause) == (FallbackAction.ADD, FallbackCause.DEADLINE)
    assert decision.count >= 10
    assert decision.deadline is not None
    assert decision.deadline.state in (DeadlineState.PANIC, DeadlineState.LATE)


def test_a_deadline_with_slack_waits_for_spot() -> None:
    assert decided(deadline=facts()).action is FallbackAction.NONE


def test_the_cause_that_asks_for_most_is_named() -> None:
    assert decided(waited_s=700, claimable_on_demand=3).cause is FallbackCause.WAITED
    assert decided(waited_s=700, spot=Workforce(alive=9), claimable_on_demand=3).cause is FallbackCause.INTERRUPTED


# --- caps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "money", "count", "named"),
    [
        ({"on_demand_share_max": 0.35}, {}, 3, "on_demand_share_max=0.35 allows 3"),
        ({"on_demand_share_max": 0.01}, {}, 1, "on_demand_share_max"),
        ({"on_demand_share_max": 0.3}, {}, 3, "on_demand_share_max"),
        ({"on_demand_share_max": 0.0}, {}, 0, "on_demand_share_max=0 allows 0"),
        ({"on_demand_workers_max": 4}, {}, 4, "on_demand_workers_max=4 allows 4"),
        ({"on_demand_workers_max": 0}, {}, 0, "on_demand_workers_max=0"),
        ({"usd_per_hour_max": 0.5}, {"on_demand_usd_per_hour": 0.1, "usd_per_hour": 0.0}, 5, "$0.1000/h each"),
        ({"usd_per_hour_max": 0.5}, {"on_demand_usd_per_hour": 0.1, "usd_per_hour": 0.26}, 2, "usd_per_hour_max=0.5"),
        ({"usd_per_hour_max": 0.5}, {"on_demand_usd_per_hour": None, "usd_per_hour": 0.1}, 0, "price unknown"),
        ({"usd_per_hour_max": 0.5}, {"on_demand_usd_per_hour": 0.1, "usd_per_hour": None}, 0, "usd_per_hour_max"),
        ({"on_demand_share_max": 0.5, "on_demand_workers_max": 2}, {}, 2, "workers_max=2 allows 2"),
    ],
)
def test_a_cap_cuts_what_is_added_and_is_named(
    limits: dict[str, Any], money: dict[str, Any], count: int, named: str
) -> None:
    decision = decided(waited_s=700, **limits, **money)

    assert decision.count == count
    assert decision.action is (FallbackAction.ADD if count else FallbackAction.NONE)
    assert named in decision.reason
    assert decision.needed


def test_a_cap_that_does_not_bind_is_not_named() -> None:
    assert "capped" not in decided(waited_s=700, on_demand_workers_max=10).reason


def test_dollars_per_hour_count_on_demand_workers_that_run_and_those_that_come() -> None:
    money = {"usd_per_hour_max": 0.5, "on_demand_usd_per_hour": 0.1, "usd_per_hour": 0.2}

    decision = decided(waited_s=700, on_demand=Workforce(alive=2, coming=2), **money)

    assert (decision.count, decision.on_demand_wanted) == (1, 5)


def test_caps_hold_in_a_panic_too() -> None:
    decision = decided(deadline=facts(deadline_s=10_100.0), on_demand_workers_max=2)

    assert (decision.count, decision.cause) == (2, FallbackCause.DEADLINE)


# --- back to Spot ------------------------------------------------------------------------------------------------


def test_on_demand_workers_go_as_soon_as_spot_fills_their_places() -> None:
    decision = decided(spot=Workforce(alive=10), on_demand=Workforce(alive=4), last_cause_s=10_000.0)

    assert (decision.action, decision.count, decision.cause) == (
        FallbackAction.RETIRE, 4, FallbackCause.SPOT_IS_BACK,
    )  # fmt: skip


def test_while_spot_is_only_partly_back_the_others_stay_until_no_cause_has_held_for_half_the_threshold() -> None:
    partly = {"spot": Workforce(alive=4), "on_demand": Workforce(alive=10)}

    assert decided(**partly, last_cause_s=9_701.0).count == 4
    assert decided(**partly, last_cause_s=9_700.0).count == 10


def test_without_any_spot_worker_nobody_goes_however_long_ago_the_cause_was() -> None:
    decision = decided(on_demand=Workforce(alive=10), last_cause_s=0.0)

    assert decision.action is FallbackAction.NONE


def test_those_without_work_go_when_the_run_runs_out_of_shards() -> None:
    decision = decided(on_demand=Workforce(alive=10, working=2), shards_open=2, claimable_spot=0)

    assert (decision.action, decision.count) == (FallbackAction.RETIRE, 8)


def test_waiting_on_demand_jobs_are_given_back_too() -> None:
    decision = decided(spot=Workforce(alive=10), on_demand=Workforce(coming=3))

    assert (decision.action, decision.count) == (FallbackAction.RETIRE, 3)


def test_a_shard_left_to_on_demand_keeps_its_worker() -> None:
    decision = decided(spot=Workforce(alive=10), on_demand=Workforce(alive=3), claimable_on_demand=1)

    assert (decision.action, decision.count, decision.on_demand_wanted) == (FallbackAction.RETIRE, 2, 1)


def test_nobody_goes_in_a_panic() -> None:
    panic = facts(deadline_s=10_700.0, spot_running=10, on_demand_running=4)

    decision = decided(spot=Workforce(alive=10), on_demand=Workforce(alive=4), deadline=panic)

    assert decision.action is FallbackAction.NONE
    assert "deadline" in decision.reason or "slack" in decision.reason


def test_spot_workers_in_a_pool_that_loses_hosts_replace_nobody() -> None:
    back = {"spot": Workforce(alive=10), "on_demand": Workforce(alive=4)}

    assert decided(**back, open_pools=("m6i.large/us-east-1a",)).action is FallbackAction.NONE
    assert decided(**back).action is FallbackAction.RETIRE


# --- the budget --------------------------------------------------------------------------------------------------


def test_a_run_that_cost_its_budget_pauses_before_anything_else() -> None:
    decision = decided(waited_s=700, budget_usd=2.0, spent_usd=2.0)

    assert (decision.action, decision.cause) == (FallbackAction.PAUSE, FallbackCause.BUDGET)
    assert "resume" in decision.reason


@pytest.mark.parametrize(
    ("spent", "budget", "due"), [(1.99, 2.0, False), (2.0, 2.0, True), (None, 2.0, False), (9.0, None, False)]
)
def test_only_known_money_pauses(spent: float | None, budget: float | None, due: bool) -> None:
    assert decide_pause(spent_usd=spent, budget_usd=budget).due is due


# --- what always holds -------------------------------------------------------------------------------------------


@st.composite
def situations(draw: st.DrawFn) -> CapacitySituation:
    small = st.integers(0, 12)
    open_shards = draw(st.integers(1, 40))
    return CapacitySituation(
        now_s=10_000.0,
        limits=CapacityLimits(
            fallback_after_s=draw(st.sampled_from((30.0, 600.0))),
            on_demand_share_max=draw(st.sampled_from((0.0, 0.2, 0.5, 1.0))),
            on_demand_workers_max=draw(st.none() | small),
            usd_per_hour_max=draw(st.none() | st.sampled_from((0.0, 0.3, 1.0))),
        ),
        workers_wanted=draw(st.integers(1, 12)),
        shards_open=open_shards,
        claimable_spot=draw(st.integers(0, open_shards)),
        claimable_on_demand=draw(st.integers(0, 3)),
        waited_s=draw(st.sampled_from((0.0, 45.0, 700.0))),
        spot=Workforce(alive=draw(small), coming=draw(small)),
        on_demand=Workforce(alive=draw(small), coming=draw(small)),
        blocked=draw(st.none() | st.just(BLOCKED)),
        last_cause_s=draw(st.none() | st.sampled_from((0.0, 9_900.0))),
        usd_per_hour=draw(st.none() | st.just(0.25)),
        on_demand_usd_per_hour=draw(st.none() | st.just(0.1)),
        deadline=draw(st.none() | st.sampled_from((facts(), facts(deadline_s=10_700.0)))),
    )


def applied(situation: CapacitySituation, decision: FallbackDecision) -> CapacitySituation:
    """The situation a moment after the decision was carried out."""
    change = {FallbackAction.ADD: decision.count, FallbackAction.RETIRE: -decision.count}.get(decision.action, 0)
    coming = max(0, situation.on_demand.coming + change)
    alive = situation.on_demand.alive + min(0, situation.on_demand.coming + change)
    return replace(situation, on_demand=Workforce(alive=alive, coming=coming))


@given(situations())
def test_what_is_added_stays_within_every_cap_and_is_explained(situation: CapacitySituation) -> None:
    decision = decide_fallback(situation)

    assert decision.reason
    assert (decision.count > 0) == (decision.action in (FallbackAction.ADD, FallbackAction.RETIRE))
    if decision.action is FallbackAction.ADD:
        after = situation.on_demand.total + decision.count
        assert after == decision.on_demand_wanted <= cap_on_demand(after, situation.cap_facts).allowed
    if decision.action is FallbackAction.RETIRE:
        assert decision.count <= situation.on_demand.total


@given(situations())
def test_one_decision_is_enough_the_next_moment_changes_nothing_back(situation: CapacitySituation) -> None:
    first = decide_fallback(situation)
    if situation.limits.usd_per_hour_max is not None:
        return  # the rate itself moves with the workers

    second = decide_fallback(applied(situation, first))

    assert {first.action, second.action} != {FallbackAction.ADD, FallbackAction.RETIRE}
    assert second.action is not FallbackAction.ADD or first.action is not FallbackAction.ADD
