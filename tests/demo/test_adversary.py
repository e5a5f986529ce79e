"""The adversary waits for progress, hits what it should, and lets its zombie go on only when the shard has moved."""

from dataclasses import dataclass, field

import pytest

from demo.adversary import Adversary
from demo.schedule import Delivery, Kind, Step
from demo.snapshot import Snapshot, take_snapshot
from spotproof.leases.model import SessionState, Shard
from tests.demo.test_schedule import session, shard
from tests.fakes.clock import FakeClock


@dataclass
class FakeControls:
    done: list[tuple[str, str]] = field(default_factory=list)

    def place(self, instance_id: str) -> str:
        return f"place of {instance_id}"

    def spoil_notice(self, instance_id: str, delivery: Delivery) -> None:
        self.done.append((f"spoil-{delivery}", instance_id))

    def notice(self, instance_id: str) -> None:
        self.done.append(("notice", instance_id))

    def kill(self, instance_id: str) -> None:
        self.done.append(("kill", instance_id))

    def rebalance(self, instance_id: str) -> None:
        self.done.append(("rebalance", instance_id))

    def pause(self, job_id: str) -> None:
        self.done.append(("pause", job_id))

    def resume(self, job_id: str) -> None:
        self.done.append(("resume", job_id))


SESSIONS = [session("a", instance="i-1"), session("b", instance="i-2"), session("b2", instance="i-2")]


def look(*shards: Shard, sessions: object = None) -> Snapshot:
    return take_snapshot(SESSIONS if sessions is None else sessions, shards, planned=99)  # type: ignore[arg-type]


def adversary(*steps: Step) -> Adversary:
    return Adversary(steps=steps, controls=FakeControls(), clock=FakeClock())


def done(by: Adversary) -> list[tuple[str, str]]:
    assert isinstance(by.controls, FakeControls)
    return by.controls.done


def test_nothing_is_hit_before_there_is_progress() -> None:
    hostile = adversary(Step(kind=Kind.KILL, gap=1, pick=0))

    assert hostile.act(look(shard(0, owner="a"))) is None
    assert done(hostile) == []


def test_steps_are_carried_out_in_order_each_after_new_progress_and_never_twice_on_an_instance() -> None:
    hostile = adversary(Step(kind=Kind.KILL, gap=1, pick=0), Step(kind=Kind.REBALANCE, gap=2, pick=0))

    first = hostile.act(look(shard(0, owner="a", seq=1), shard(1, owner="b", seq=1)))
    too_early = hostile.act(look(shard(0, owner="a", seq=1), shard(1, owner="b", seq=2)))
    second = hostile.act(look(shard(0, owner="a", seq=2), shard(1, owner="b", seq=2)))

    assert first is not None
    assert second is not None
    assert too_early is None
    assert done(hostile) == [("kill", "i-1"), ("rebalance", "i-2")]
    assert (first.place, [each.shard for each in first.victims]) == ("place of i-1", [0])
    assert hostile.finished


def test_everybody_on_a_lost_instance_is_a_victim() -> None:
    hostile = adversary(Step(kind=Kind.KILL, gap=1, pick=0))

    hit = hostile.act(look(shard(1, owner="b", seq=1), shard(2, owner="b2")))

    assert hit is not None
    assert [each.shard for each in hit.victims] == [1, 2]


@pytest.mark.parametrize("delivery", [Delivery.TWICE, Delivery.LOST])
def test_an_event_is_spoiled_before_its_notice_is_given(delivery: Delivery) -> None:
    hostile = adversary(Step(kind=Kind.NOTICE, gap=1, pick=0, delivery=delivery))

    hostile.act(look(shard(0, owner="a", seq=1)))

    assert done(hostile) == [(f"spoil-{delivery}", "i-1"), ("notice", "i-1")]


def test_a_paused_worker_goes_on_only_after_its_session_is_fenced_and_its_shard_leased_again() -> None:
    hostile = adversary(Step(kind=Kind.PAUSE, gap=1, pick=0))
    dead = [session("a", instance="i-1", state=SessionState.DEAD), *SESSIONS[1:]]

    hostile.act(look(shard(0, owner="a", seq=1)))
    hostile.act(look(shard(0, owner="a", seq=1)))
    hostile.act(look(shard(0, owner=None, seq=1), sessions=dead))
    assert done(hostile) == [("pause", "job-a:0")]
    assert hostile.pausing is not None
    assert not hostile.finished

    hostile.act(look(shard(0, owner="b", seq=1), sessions=dead))

    assert done(hostile) == [("pause", "job-a:0"), ("resume", "job-a:0")]
    assert hostile.hits[0].resumed_at is not None
    assert hostile.finished


def test_a_run_that_ends_early_still_lets_the_zombie_go_on() -> None:
    hostile = adversary(Step(kind=Kind.PAUSE, gap=1, pick=0))
    hostile.act(look(shard(0, owner="a", seq=1)))

    hostile.resume_zombie()
    hostile.resume_zombie()

    assert done(hostile) == [("pause", "job-a:0"), ("resume", "job-a:0")]
