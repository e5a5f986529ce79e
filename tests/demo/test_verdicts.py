"""Each claim of the demo fails when it does not hold."""

from dataclasses import replace

import pytest

from demo.hits import Aftermath, Hit
from demo.schedule import Delivery, Kind, Step, plan_steps
from demo.statistics import DelayStatistics
from demo.verdicts import (
    all_carried_out,
    count_within,
    equals_reference,
    manifest_fits,
    redone_within,
    same_bytes,
    zombie_refused,
)
from spotproof.leases.model import Run, RunId, RunOptions, RunState, Shard, ShardState
from spotproof_cli.game_day.spread import spread
from spotproof_cli.game_day.verdicts import Verdict, committed_once, within_bar

RUN = Run(
    run_id=RunId("r"), state=RunState.COMPLETE, job="j", plan_key="p", plan_sha256="", parameters_sha256="",
    input_uri="", output_uri="", shards=2, stripes=1, session_buckets=1, options=RunOptions(), closed=frozenset({0}),
    created_at=0,
)  # fmt: skip


def rows(*states: ShardState) -> dict[int, Shard]:
    return {
        index: Shard(run_id=RUN.run_id, index=index, state=state, fencing_token=1) for index, state in enumerate(states)
    }


DONE, LEASED = ShardState.DONE, ShardState.LEASED


def test_all_shards_done_once_in_a_complete_run_is_the_promise() -> None:
    verdict = committed_once(RUN, rows(DONE, DONE), [0, 1])

    assert (verdict.holds, verdict.promise, verdict.seen) == (True, True, "2 of 2 shards, run COMPLETE")


@pytest.mark.parametrize(
    ("run", "shards", "log", "seen"),
    [
        (RUN, rows(DONE, LEASED), [0, 1], "not committed: 1"),
        (RUN, rows(DONE), [0], "not committed: 1"),
        (RUN, rows(DONE, DONE), [0, 1, 1], "committed twice: 1"),
        (RUN, rows(DONE, DONE, DONE), [0, 1, 2], "not planned: 2"),
        (replace(RUN, state=RunState.RUNNING), rows(DONE, DONE), [0, 1], "2 of 2 shards, run RUNNING"),
    ],
)
def test_a_missing_doubled_or_unknown_commit_breaks_it(
    run: Run, shards: dict[int, Shard], log: list[int], seen: str
) -> None:
    verdict = committed_once(run, shards, log)

    assert (verdict.holds, verdict.seen) == (False, seen)


@pytest.mark.parametrize("other", [{"a": "2"}, {}, {"a": "1", "b": "1"}])
def test_any_other_object_is_not_the_same_output(other: dict[str, str]) -> None:
    assert same_bytes({"a": "1"}, {"a": "1"}).holds
    assert not same_bytes({"a": "1"}, other).holds
    assert not manifest_fits({"a": "1"}, other).holds


def test_two_empty_outputs_prove_nothing() -> None:
    assert not same_bytes({}, {}).holds
    assert not manifest_fits({}, {}).holds


def test_the_reference_is_compared_row_by_row() -> None:
    expected = DelayStatistics(carriers={"UA": (2,)}, routes={})

    assert equals_reference(expected, expected).seen == "1 rows over 2 flights"
    assert not equals_reference(expected, DelayStatistics(carriers={"UA": (3,)}, routes={})).holds


def hits(*steps: Step) -> list[Hit]:
    return [Hit(step=step, at=0, instance_id="i", place="", victims=()) for step in steps]


def test_a_disturbance_that_did_not_take_place_is_named() -> None:
    steps = plan_steps(1)
    without_pause = [step for step in steps if step.kind is not Kind.PAUSE]
    never_lost = [replace(step, delivery=Delivery.ONCE) if step.delivery is Delivery.LOST else step for step in steps]

    assert all_carried_out(hits(*steps)).holds
    assert all_carried_out(hits(*without_pause)).seen == "pause 0 of 1"
    assert all_carried_out(hits(*never_lost)).seen == "no event lost"


@pytest.mark.parametrize(
    ("noticed", "refused", "holds"), [("lease_lost", True, True), (None, True, False), ("lease_lost", False, False)]
)
def test_the_zombie_must_notice_and_the_table_must_refuse(noticed: str | None, refused: bool, holds: bool) -> None:
    assert zombie_refused(log_says=noticed, replay_refused=refused).holds is holds


def after(redone_s: float, *, save_s: float = 0.0) -> Aftermath:
    return Aftermath(
        shard=0, outcome="", redone_s=redone_s, save_s=save_s, released_after_s=None, leased_again_after_s=None,
        token_after=None,
    )  # fmt: skip


@pytest.mark.parametrize(("kill_s", "notice_s", "holds"), [(1.5, 0.0, (True, True)), (1.6, 0.1, (False, False))])
def test_redone_work_has_a_bound_for_kills_and_none_for_notices(
    kill_s: float, notice_s: float, holds: tuple[bool, bool]
) -> None:
    found = dict.fromkeys(Kind, ()) | {Kind.KILL: (after(0.2), after(kill_s)), Kind.NOTICE: (after(notice_s),)}

    kill, notice = redone_within(found, interval_s=1.0, step_s=0.5)

    assert (kill.holds, notice.holds) == holds


def test_a_slow_save_stretches_the_interval_in_force_by_its_own_length_only() -> None:
    def kill(redone_s: float) -> Verdict:
        found = dict.fromkeys(Kind, ()) | {Kind.KILL: (after(redone_s, save_s=1.5),)}
        return redone_within(found, interval_s=1.0, step_s=0.5)[0]

    assert (kill(3.5).holds, kill(3.5).seen) == (True, "3.50 s (intervals in force: 3.00 s)")
    assert not kill(3.6).holds


def test_a_missed_bar_is_shown_and_breaks_no_promise() -> None:
    fast, slow = spread([0.5]), spread([0.5, 9.0])

    assert within_bar("x", fast, bar_s=2).holds
    assert not within_bar("x", slow, bar_s=2, worst=True).holds
    assert not within_bar("x", None, bar_s=2).holds
    assert not within_bar("x", slow, bar_s=2).promise
    assert [count_within("x", value, bar=5).holds for value in (5.0, 5.1)] == [True, False]
