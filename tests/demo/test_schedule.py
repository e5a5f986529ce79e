"""The adversary's schedule is a pure function of its seed, and its targets of what the table shows."""

from collections import Counter
from dataclasses import replace

import pytest

from demo.schedule import STEPS, Delivery, Kind, Step, choose_target, is_due, is_urgent, plan_steps
from demo.snapshot import Snapshot, take_snapshot
from spotproof.leases.model import (
    CheckpointPointer,
    Host,
    RunId,
    Session,
    SessionId,
    SessionState,
    Shard,
    ShardState,
)

RUN = RunId("run-1")


def session(name: str, *, instance: str, state: SessionState = SessionState.ALIVE) -> Session:
    host = Host(instance_id=instance, batch_job_id=f"job-{name}:0")
    return Session(
        session_id=SessionId(name), run_id=RUN, bucket=0, host=host, state=state, until=0, seq=1, held=None, stop=None,
        hint_until=None, started_at=0,
    )  # fmt: skip


def shard(index: int, *, owner: str | None, seq: int = 0, state: ShardState = ShardState.LEASED) -> Shard:
    pointer = CheckpointPointer(manifest_key="k", seq=seq) if seq else None
    owner_id = None if owner is None else SessionId(owner)
    return Shard(run_id=RUN, index=index, state=state, fencing_token=2, owner=owner_id, checkpoint=pointer)


def step(kind: Kind = Kind.KILL, *, pick: float = 0.0, gap: int = 1) -> Step:
    return Step(kind=kind, gap=gap, pick=pick)


@pytest.fixture
def snapshot() -> Snapshot:
    return take_snapshot(
        [session("a", instance="i-1"), session("b", instance="i-2"), session("c", instance="i-3")],
        [shard(0, owner="a", seq=2), shard(1, owner="b", seq=1), shard(2, owner="c"), shard(3, owner=None)],
        planned=12,
    )


@pytest.mark.parametrize("seed", range(50))
def test_every_seed_has_every_kind_of_disturbance_as_often_as_promised(seed: int) -> None:
    steps = plan_steps(seed)

    assert Counter(each.kind for each in steps) == STEPS
    notices = [each.delivery for each in steps if each.kind is Kind.NOTICE]
    assert sorted(notices) == [Delivery.LOST, Delivery.ONCE, Delivery.TWICE]
    assert all(each.delivery is Delivery.ONCE for each in steps if each.kind is not Kind.NOTICE)
    assert steps[0].kind is Kind.PAUSE


def test_a_seed_repeats_its_schedule_and_another_changes_it() -> None:
    assert plan_steps(7) == plan_steps(7)
    assert len({plan_steps(seed) for seed in range(20)}) == 20


def test_only_a_worker_with_something_to_lose_is_hit(snapshot: Snapshot) -> None:
    hit = {choose_target(step(pick=pick / 10), snapshot, spared=()) for pick in range(10)}

    assert {each.shard for each in hit if each is not None} == {0, 1}


def test_an_instance_is_not_hit_twice(snapshot: Snapshot) -> None:
    target = choose_target(step(), snapshot, spared={"i-1"})

    assert target is not None
    assert (target.instance_id, target.session_id, target.batch_job_id) == ("i-2", "b", "job-b:0")
    assert choose_target(step(), snapshot, spared={"i-1", "i-2"}) is None


def test_a_session_that_does_not_know_its_instance_is_no_target() -> None:
    nameless = take_snapshot([session("a", instance="")], [shard(0, owner="a", seq=1)], planned=1)

    assert choose_target(step(), nameless, spared=()) is None


def test_the_seed_picks_among_the_possible_targets(snapshot: Snapshot) -> None:
    first, last = (choose_target(step(pick=pick), snapshot, spared=()) for pick in (0.0, 0.99))

    assert first is not None
    assert last is not None
    assert (first.shard, last.shard) == (0, 1)


def test_sessions_that_have_ended_are_no_targets() -> None:
    dead = session("a", instance="i-1", state=SessionState.DEAD)

    assert take_snapshot([dead], [shard(0, owner="a", seq=1)], planned=1).working == ()


def test_progress_counts_checkpoints_and_commits(snapshot: Snapshot) -> None:
    done = replace(snapshot.shards[2], state=ShardState.DONE)

    later = take_snapshot(snapshot.sessions.values(), [*snapshot.shards.values(), done], planned=12)

    assert (snapshot.progress, later.progress, later.done) == (3, 4, 1)


def test_near_the_end_of_the_run_any_worker_will_do(snapshot: Snapshot) -> None:
    target = choose_target(step(), snapshot, spared={"i-1", "i-2"}, urgent=True)

    assert target is not None
    assert target.shard == 2


def test_it_is_urgent_when_the_open_shards_run_out(snapshot: Snapshot) -> None:
    assert not is_urgent(snapshot, steps_left=7)
    assert is_urgent(replace(snapshot, planned=8), steps_left=7)


def test_a_step_waits_for_progress_since_the_one_before(snapshot: Snapshot) -> None:
    assert is_due(step(gap=2), snapshot, progress_before=1)
    assert not is_due(step(gap=2), snapshot, progress_before=2)
