"""Tests of the deadline decision."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.policies.ours import Ours
from bench.policies.random_markets import draw_run
from bench.policies.replay import Job, replay
from spotproof.capacity.deadline import (
    PRIOR_LIFETIME_S,
    DeadlineFacts,
    DeadlineState,
    SpotMarket,
    decide_deadline,
    reserve,
    safety_net,
    slack,
)

# Eight workers, 80 shards of ten minutes: 100 minutes at full width, 170 s less for the last shards' sake than Graham's
# bound says (6000 + 7 / 8 * 600 s).
FACTS = DeadlineFacts(
    now_s=0.0,
    deadline_s=20_000.0,
    work_left_s=48_000.0,
    shards_left=80,
    shard_s=600.0,
    workers=8,
    restart_s=180.0,
    step_s=60.0,
    spot_running=8,
    spot_starting=0,
    on_demand_running=0,
    market=SpotMarket(),
)
NEEDED_S = 48_000 / 8 + 600 * 7 / 8


def at_slack(slack_s: float, facts: DeadlineFacts = FACTS) -> DeadlineFacts:
    """The same run so late that this slack is left."""
    known = slack(facts)
    assert known is not None
    return replace(facts, now_s=facts.now_s + known - slack_s)


def test_slack_counts_the_last_shards_that_do_not_divide() -> None:
    assert slack(FACTS) == 20_000 - NEEDED_S


def test_with_a_worker_for_each_shard_the_longest_counts() -> None:
    assert slack(replace(FACTS, shards_left=5, work_left_s=2_000.0)) == 20_000 - 600
    assert slack(replace(FACTS, shards_left=5, work_left_s=2_000.0, shard_s=0.0)) == 20_000 - 400


def test_no_shard_needs_no_worker() -> None:
    decision = decide_deadline(replace(FACTS, shards_left=0, work_left_s=None))

    assert (decision.state, decision.on_demand_workers, decision.spot_workers) == (DeadlineState.DONE, 0, 0)


def test_shards_that_take_no_time_still_need_a_worker() -> None:
    decision = decide_deadline(replace(FACTS, work_left_s=0.0, shard_s=0.0))

    assert (decision.state, decision.spot_workers) == (DeadlineState.AHEAD, 8)


def test_with_slack_a_run_without_any_spot_waits() -> None:
    decision = decide_deadline(replace(FACTS, deadline_s=100_000.0, spot_running=0))

    assert (decision.state, decision.on_demand_workers, decision.spot_workers) == (DeadlineState.AHEAD, 0, 8)


def test_with_ample_slack_on_demand_workers_go_before_spot_is_there() -> None:
    decision = decide_deadline(replace(FACTS, deadline_s=90_000.0, spot_running=0, on_demand_running=8))

    assert (decision.state, decision.on_demand_workers) == (DeadlineState.AHEAD, 0)


def test_with_slack_on_demand_workers_stay_until_spot_takes_their_place() -> None:
    facts = at_slack(1_200, replace(FACTS, spot_running=3, on_demand_running=5))
    assert reserve(facts) < 1_200 < 2 * reserve(facts)

    assert decide_deadline(facts).on_demand_workers == 5
    assert decide_deadline(replace(facts, spot_starting=5)).on_demand_workers == 5
    assert decide_deadline(replace(facts, spot_running=6)).on_demand_workers == 2
    assert decide_deadline(replace(facts, spot_running=8)).on_demand_workers == 0
    assert decide_deadline(replace(facts, spot_running=9)).on_demand_workers == 0


def test_within_the_reserve_on_demand_does_what_spot_does_not() -> None:
    facts = replace(FACTS, spot_running=5, spot_starting=1)

    decision = decide_deadline(at_slack(safety_net(FACTS) + 1, facts))

    assert (decision.state, decision.on_demand_workers, decision.spot_workers) == (DeadlineState.BEHIND, 2, 8)


def test_within_the_reserve_on_demand_workers_stay_until_spot_runs_in_their_place() -> None:
    facts = replace(FACTS, spot_running=5, spot_starting=3, on_demand_running=3)

    assert decide_deadline(at_slack(safety_net(FACTS) + 1, facts)).on_demand_workers == 3
    assert decide_deadline(at_slack(safety_net(FACTS) + 1, replace(facts, spot_running=8))).on_demand_workers == 0


def test_below_the_safety_net_a_starting_spot_worker_does_not_count() -> None:
    facts = replace(FACTS, spot_running=5, spot_starting=3, on_demand_running=0)

    decision = decide_deadline(at_slack(safety_net(FACTS) - 1, facts))

    assert decision.state is DeadlineState.PANIC
    assert decision.on_demand_workers >= 3
    assert decision.spot_workers == 5


def test_below_the_safety_net_spot_that_runs_is_left_alone() -> None:
    decision = decide_deadline(at_slack(10, FACTS))

    assert (decision.state, decision.on_demand_workers, decision.spot_workers) == (DeadlineState.PANIC, 0, 8)


def test_below_the_safety_net_no_on_demand_worker_goes() -> None:
    facts = replace(FACTS, spot_running=8, on_demand_running=5)

    assert decide_deadline(at_slack(safety_net(FACTS) - 1, facts)).on_demand_workers == 5
    assert decide_deadline(at_slack(safety_net(FACTS) - 1, replace(facts, shards_left=3))).on_demand_workers == 3


def test_a_run_with_too_few_workers_gets_more() -> None:
    # w workers, of which 8 run, need (48 000 + (w - 8) * 180 + (w - 1) * 600) / w s: 5 000 s with 11.
    decision = decide_deadline(replace(FACTS, now_s=15_000.0))

    assert decision.state is DeadlineState.PANIC
    assert decision.on_demand_workers == 11 - 8
    assert "11 workers" in decision.reason


def test_a_run_that_nothing_saves_is_called_late_and_not_widened() -> None:
    decision = decide_deadline(replace(FACTS, now_s=19_500.0, spot_running=2))

    assert (decision.state, decision.on_demand_workers) == (DeadlineState.LATE, 6)
    assert "late by 6025 s" in decision.reason


def test_after_the_deadline_the_run_is_late_whatever_runs() -> None:
    assert decide_deadline(replace(FACTS, now_s=20_001.0)).state is DeadlineState.LATE


def test_one_shard_each_can_be_in_time_where_taking_turns_can_not() -> None:
    facts = replace(FACTS, deadline_s=800.0, shards_left=20, work_left_s=12_000.0, workers=8, spot_running=0)

    decision = decide_deadline(facts)

    assert (decision.state, decision.on_demand_workers) == (DeadlineState.PANIC, 20)
    assert decide_deadline(replace(facts, deadline_s=700.0)).state is DeadlineState.LATE  # 180 s to start, 600 to work


def test_no_more_on_demand_than_shards() -> None:
    decision = decide_deadline(at_slack(0, replace(FACTS, shards_left=3, work_left_s=1_500.0, spot_running=1)))

    assert decision.on_demand_workers == 2


def test_unknown_work_needs_one_worker_to_find_out_if_nobody_runs() -> None:
    unknown = replace(FACTS, work_left_s=None, spot_running=0)

    alone = decide_deadline(unknown)

    assert (alone.state, alone.on_demand_workers, alone.slack_s) == (DeadlineState.UNKNOWN, 1, None)
    assert decide_deadline(replace(unknown, spot_starting=1)).on_demand_workers == 0
    assert decide_deadline(replace(unknown, on_demand_running=1)).on_demand_workers == 1


def test_the_reserve_grows_with_losses_and_shrinks_towards_the_deadline() -> None:
    calm = SpotMarket(up_s=8 * 7200.0, short_s=0.0, losses=0)
    rough = replace(calm, losses=20)

    assert reserve(replace(FACTS, market=rough)) > 2 * reserve(replace(FACTS, market=calm))
    assert reserve(replace(FACTS, now_s=19_000.0)) < reserve(FACTS)
    assert reserve(replace(FACTS, now_s=20_000.0)) == safety_net(FACTS)


def test_the_reserve_is_two_changeovers_for_each_loss_to_come_and_one_deviation() -> None:
    # One loss in the prior's time alone: exactly one more is expected in as much time.
    facts = replace(FACTS, deadline_s=PRIOR_LIFETIME_S, workers=4)

    assert reserve(facts) == pytest.approx(safety_net(facts) + 2 * 180 * (1 + 0.5))


def test_the_reason_says_the_numbers_it_rests_on() -> None:
    decision = decide_deadline(FACTS)

    assert decision.slack_s == 20_000 - NEEDED_S
    assert f"slack {decision.slack_s:.0f} s, reserve {decision.reserve_s:.0f} s" in decision.reason


@pytest.mark.parametrize(
    ("name", "value"), [("workers", 0), ("restart_s", -1.0), ("spot_running", -1), ("work_left_s", float("inf"))]
)
def test_impossible_facts_are_refused_by_name(name: str, value: float) -> None:
    facts = FACTS
    with pytest.raises(ValueError, match=name):
        decide_deadline(replace(facts, **{name: value}))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_worker_with_slack_for_one_changeover_is_never_late(data: st.DataObject) -> None:
    work, changeover = data.draw(st.integers(1, 25)), data.draw(st.integers(0, 5))
    deadline = work + changeover + data.draw(st.integers(0, 40))
    job = Job(work=work, deadline=deadline, changeover=changeover, price_ratio=3.0, step_s=60.0)
    market = data.draw(st.lists(st.booleans(), min_size=deadline, max_size=deadline))

    assert replay(job, market, Ours(job)).met(job)


def test_many_workers_with_slack_for_one_changeover_are_not_late() -> None:
    rng = random.Random(8)
    for _ in range(400):
        run = draw_run(rng)

        assert run.play().ticks <= run.job.deadline
