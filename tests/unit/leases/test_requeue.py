"""Claims about the flows that take leases away, crashes and duplicates at every step included."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.errors import LeaseLostError, RunNotFoundError
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import (
    CapacityClass,
    Host,
    Lease,
    Ledger,
    Run,
    RunId,
    RunState,
    Session,
    SessionState,
    Shard,
    ShardState,
    Stop,
    StopKind,
)
from spotproof.leases.requeue import SETTLED_S, Requeuer, Taken, reclaim_time
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash, CrashingStore
from tests.fakes.leases import HOUR, NOON, a_run, a_session, an_output, key_of, leased, reclaimed

HERE = "i-0a"
DEADLINE = NOON + 120_000


@dataclass
class Scene:
    """Two workers on one instance and one elsewhere, each with a shard; one that holds nothing."""

    store: InMemoryLeaseStore
    clock: FakeClock
    run: Run
    sessions: list[Session]
    leases: list[Lease]

    def shard(self, index: int) -> Shard:
        shard = self.store.get_shard(self.run, index)
        assert shard is not None
        return shard

    def session(self, number: int) -> Session:
        session = self.store.get_session(key_of(self.sessions[number]))
        assert session is not None
        return session

    def state(self) -> tuple[object, ...]:
        """Everything that must not depend on crashes and duplicates."""
        return tuple(self.store.shards(self.run)), tuple(self.store.sessions(self.run))


def scene() -> Scene:
    clock = FakeClock()
    store = InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(0)))
    run = store.create_run(a_run())
    hosts = (HERE, HERE, "i-0elsewhere", HERE)
    sessions = [
        store.open_session(a_session(f"w{number}", host=Host(instance_id=host), bucket=number % 2))
        for number, host in enumerate(hosts)
    ]
    leases = [leased(store, run, session, index) for index, session in enumerate(sessions[:3])]
    return Scene(store=store, clock=clock, run=run, sessions=sessions, leases=leases)


def test_the_reclaim_comes_two_minutes_after_the_notice() -> None:
    assert reclaim_time(datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) == DEADLINE


# --- drain --------------------------------------------------------------------------------------------------------


def test_a_notice_stops_the_sessions_and_drains_what_they_hold() -> None:
    s = scene()

    result = Requeuer(s.store).drain_instance(HERE, DEADLINE)

    assert (result.sessions, result.shards, result.count(Taken.DRAINED)) == (3, 2, 2)
    assert {taking.shard for taking in result.takings if taking.taken is Taken.DRAINED} == {0, 1}
    stop = Stop(kind=StopKind.NOTICE, deadline=DEADLINE)
    assert [s.session(number).stop for number in range(4)] == [stop, stop, None, stop]
    assert [s.shard(index).reclaim_at for index in range(3)] == [DEADLINE, DEADLINE, None]
    assert all(s.shard(index).state is ShardState.LEASED for index in range(3))


def test_a_later_notice_does_not_move_the_deadline() -> None:
    s = scene()
    Requeuer(s.store).drain_instance(HERE, DEADLINE)
    before = s.state()

    Requeuer(s.store).drain_instance(HERE, DEADLINE + 60_000)
    Requeuer(s.store).drain_instance(HERE, DEADLINE - 60_000)

    assert s.state() == before


def test_a_drained_owner_may_finish_before_its_deadline() -> None:
    s = scene()
    Requeuer(s.store).drain_instance(HERE, DEADLINE)

    s.store.commit(s.leases[0], an_output(s.leases[0]))

    assert s.shard(0).state is ShardState.DONE


def test_a_worker_deaf_to_its_notice_is_overtaken_at_the_deadline() -> None:
    s = scene()
    Requeuer(s.store).drain_instance(HERE, DEADLINE)
    s.clock.advance(120)

    lease = reclaimed(s.store, s.run, s.sessions[2], 0)

    with pytest.raises(LeaseLostError):
        s.store.commit(s.leases[0], an_output(s.leases[0]))
    s.store.commit(lease, an_output(lease))


@pytest.mark.parametrize("instance", ["i-0unknown", ""])
def test_an_unknown_instance_touches_nothing(instance: str) -> None:
    s = scene()
    before = s.state()
    requeuer = Requeuer(s.store)

    assert requeuer.drain_instance(instance, DEADLINE).takings == ()
    assert requeuer.requeue_instance(instance).takings == ()
    assert requeuer.hint_instance(instance, DEADLINE).takings == ()
    assert s.state() == before


def test_sessions_of_an_ended_run_are_left_alone() -> None:
    s = scene()
    s.store.cancel_run(s.run.run_id, reason="enough")
    before = s.state()

    assert Requeuer(s.store).requeue_instance(HERE).takings == ()
    assert s.state() == before


# --- requeue ------------------------------------------------------------------------------------------------------


def test_a_terminated_instance_loses_its_sessions_and_its_shards() -> None:
    s = scene()

    result = Requeuer(s.store).requeue_instance(HERE)

    assert (result.sessions, result.shards, result.count(Taken.REQUEUED)) == (3, 2, 2)
    assert [s.session(number).state.value for number in range(4)] == ["DEAD", "DEAD", "ALIVE", "DEAD"]
    assert [s.shard(index).state.value for index in range(3)] == ["READY", "READY", "LEASED"]
    assert [(s.shard(index).interruptions, s.shard(index).losses) for index in range(3)] == [(1, 0), (1, 0), (0, 0)]
    with pytest.raises(LeaseLostError):
        s.store.commit(s.leases[0], an_output(s.leases[0]))


def test_a_second_and_a_late_event_change_nothing_and_report_nothing_taken() -> None:
    s = scene()
    requeuer = Requeuer(s.store)
    requeuer.requeue_instance(HERE)
    other = reclaimed(s.store, s.run, s.sessions[2], 0)
    before = s.state()

    again = requeuer.requeue_instance(HERE)
    late = requeuer.drain_instance(HERE, DEADLINE)

    assert (again.shards, late.shards, late.sessions) == (0, 0, 0)
    assert s.state() == before
    s.store.commit(other, an_output(other))


def test_events_in_the_wrong_order_end_in_the_same_rows() -> None:
    s, t = scene(), scene()

    Requeuer(s.store).drain_instance(HERE, DEADLINE)
    Requeuer(s.store).requeue_instance(HERE)
    Requeuer(t.store).requeue_instance(HERE)
    Requeuer(t.store).drain_instance(HERE, DEADLINE)

    assert list(s.store.shards(s.run)) == list(t.store.shards(t.run))


def test_a_session_that_ended_in_time_is_not_touched() -> None:
    s = scene()
    s.store.release(s.leases[0], interrupted=True)
    s.store.end_session(s.sessions[0], ledger=Ledger())
    before = s.shard(0), s.session(0)

    result = Requeuer(s.store).requeue_instance(HERE)

    assert [taking.taken for taking in result.takings if taking.session_id == "w0"] == [Taken.NOTHING]
    assert (s.shard(0), s.session(0)) == before


def test_a_session_that_ended_in_time_costs_no_refused_write() -> None:
    s = scene()
    for number in (0, 1, 3):
        s.store.end_session(s.sessions[number], ledger=Ledger())
    refused_before = s.store.usage().refused

    Requeuer(s.store).requeue_instance(HERE)

    assert s.store.usage().refused == refused_before


def test_a_shard_held_but_not_yet_claimed_is_put_ready_and_the_late_claim_fails() -> None:
    s = scene()
    s.store.hold(s.sessions[3], 5, seq=1, until=NOON + HOUR)

    Requeuer(s.store).requeue_instance(HERE)

    assert s.shard(5).state is ShardState.READY
    assert s.store.claim_fresh(s.run, 5, s.sessions[3]) is None


def test_a_hint_tells_the_sessions_and_kills_nothing() -> None:
    s = scene()
    before = tuple(s.store.shards(s.run))

    result = Requeuer(s.store).hint_instance(HERE, NOON + HOUR)

    assert result.count(Taken.MARKED) == 3
    assert [s.session(number).hint_until for number in range(4)] == [NOON + HOUR, NOON + HOUR, None, NOON + HOUR]
    assert tuple(s.store.shards(s.run)) == before


# --- rescue -------------------------------------------------------------------------------------------------------


def test_sessions_in_time_are_not_rescued() -> None:
    s = scene()
    before = s.state()

    assert Requeuer(s.store).rescue_expired(s.run, NOON + HOUR).sessions == 0
    assert s.state() == before


def test_a_silent_session_without_a_notice_counts_as_a_loss() -> None:
    s = scene()
    for number in (1, 2, 3):
        s.store.heartbeat(s.sessions[number], seq=5, until=NOON + 2 * HOUR, ledger=Ledger())

    result = Requeuer(s.store).rescue_expired(s.run, NOON + HOUR + 1)

    assert (result.sessions, result.shards) == (1, 1)
    assert (s.shard(0).losses, s.shard(0).interruptions) == (1, 0)
    assert s.session(0).state is SessionState.DEAD
    assert s.shard(1).state is ShardState.LEASED


def test_a_silent_session_with_a_notice_counts_as_an_interruption() -> None:
    s = scene()
    s.store.mark_stop(key_of(s.sessions[0]), Stop(kind=StopKind.NOTICE, deadline=DEADLINE))

    Requeuer(s.store).rescue_expired(s.run, NOON + HOUR + 1)

    assert (s.shard(0).losses, s.shard(0).interruptions) == (0, 1)
    assert (s.shard(1).losses, s.shard(1).interruptions) == (1, 0)


def test_a_shard_that_kills_every_worker_ends_in_quarantine() -> None:
    s = scene()
    requeuer = Requeuer(s.store)
    limit = s.run.options.losses_max
    for number in range(limit):
        result = requeuer.rescue_expired(s.run, NOON + HOUR + 1)
        assert s.shard(0).losses == number + 1
        if number + 1 < limit:
            victim = s.store.open_session(a_session(f"victim-{number}"))
            s.store.hold(victim, 0, seq=1, until=victim.until)
            reclaimed(s.store, s.run, victim, 0)

    assert s.shard(0).state is ShardState.QUARANTINED
    assert result.count(Taken.QUARANTINED) == 1


def test_a_claim_that_arrives_after_the_rescue_is_rescued_by_the_next_pass() -> None:
    s = scene()
    s.store.release(s.leases[0], interrupted=False)
    [candidate] = s.store.candidates(s.run, CapacityClass.SPOT, limit=1)
    zombie = s.sessions[3]
    s.store.hold(zombie, 0, seq=1, until=zombie.until)
    s.clock.advance(3601)
    Requeuer(s.store).rescue_expired(s.run, NOON + HOUR + 1)
    assert s.shard(0).state is ShardState.READY
    late = s.store.claim_requeued(s.run, candidate, zombie)  # sent before the process was paused
    assert late is not None

    result = Requeuer(s.store).rescue_expired(s.run, NOON + HOUR + 1)

    assert [taking.shard for taking in result.takings if taking.taken is Taken.REQUEUED] == [0]
    assert s.shard(0).state is ShardState.READY
    with pytest.raises(LeaseLostError):
        s.store.commit(late, an_output(late))


def test_sessions_rescued_long_ago_cost_no_reads() -> None:
    s = scene()
    s.clock.advance(3601)
    Requeuer(s.store).rescue_expired(s.run, to_epoch_ms(s.clock.now()))
    calls = CrashingStore(s.store, at=0, after_effect=False)  # counts its calls, never crashes
    s.clock.advance(SETTLED_S)
    Requeuer(calls).rescue_expired(s.run, to_epoch_ms(s.clock.now()))
    looked_at = calls.calls
    s.clock.advance(1)

    result = Requeuer(calls).rescue_expired(s.run, to_epoch_ms(s.clock.now()))

    assert looked_at > 1  # one for each of the dead that held something
    assert calls.calls - looked_at == 1  # the sessions alone
    assert {taking.taken for taking in result.takings} == {Taken.NOTHING}


# --- crashes ------------------------------------------------------------------------------------------------------

FLOWS: dict[str, Callable[[LeaseStore, Run], object]] = {
    "drain": lambda store, run: Requeuer(store).drain_instance(HERE, DEADLINE),
    "requeue": lambda store, run: Requeuer(store).requeue_instance(HERE),
    "hint": lambda store, run: Requeuer(store).hint_instance(HERE, NOON + HOUR),
    "rescue": lambda store, run: Requeuer(store).rescue_expired(run, NOON + HOUR + 1),
    "cancel": lambda store, run: Requeuer(store).cancel_run(run.run_id, reason="enough"),
}


def scene_in_an_hour() -> Scene:
    s = scene()
    s.clock.advance(HOUR / 1000)
    return s


@pytest.mark.parametrize("flow", list(FLOWS))
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_a_crash_at_any_step_is_repaired_by_repeating_the_flow(flow: str, after_effect: bool, twice: bool) -> None:
    undisturbed = scene_in_an_hour()
    FLOWS[flow](undisturbed.store, undisturbed.run)
    if twice:
        FLOWS[flow](undisturbed.store, undisturbed.run)
    at = 1

    while True:
        s = scene_in_an_hour()
        crashing = CrashingStore(s.store, at=at, after_effect=after_effect)
        try:
            FLOWS[flow](crashing, s.run)
        except Crash:
            FLOWS[flow](s.store, s.run)
            assert s.state() == undisturbed.state(), f"crash at call {at}"
            at += 1
        else:
            break

    assert at > 4


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_requeue_that_died_is_finished_by_the_rescue_and_counts_no_loss(after_effect: bool) -> None:
    for at in range(3, 14):
        s = scene()
        try:
            Requeuer(CrashingStore(s.store, at=at, after_effect=after_effect)).requeue_instance(HERE)
        except Crash:
            Requeuer(s.store).rescue_expired(s.run, NOON)
            for index in (0, 1):
                if s.session(index).state is SessionState.DEAD:
                    assert s.shard(index).state is ShardState.READY, f"crash at call {at}"
                    assert (s.shard(index).interruptions, s.shard(index).losses) == (1, 0)


# --- cancel -------------------------------------------------------------------------------------------------------


def test_cancelling_stops_the_living_sessions() -> None:
    s = scene()
    s.store.end_session(s.sessions[3], ledger=Ledger())

    cancelled = Requeuer(s.store).cancel_run(s.run.run_id, reason="too expensive")

    assert cancelled is not None
    assert (cancelled.state, cancelled.reason) == (RunState.CANCELLED, "too expensive")
    stop = Stop(kind=StopKind.CANCELLED, deadline=None)
    assert [s.session(number).stop for number in range(4)] == [stop, stop, stop, None]
    assert s.store.hold(s.sessions[0], 4, seq=9, until=NOON + HOUR) is None


def test_cancelling_again_reaches_a_session_that_opened_meanwhile() -> None:
    s = scene()
    requeuer = Requeuer(s.store)
    requeuer.cancel_run(s.run.run_id, reason="first")
    late = s.store.open_session(a_session("late"))

    again = requeuer.cancel_run(s.run.run_id, reason="second")

    assert again is not None
    assert again.reason == "first"
    stored = s.store.get_session(key_of(late))
    assert stored is not None
    assert stored.stop == Stop(kind=StopKind.CANCELLED, deadline=None)


def test_pausing_stops_the_living_sessions_and_keeps_what_they_hold() -> None:
    s = scene()
    s.store.end_session(s.sessions[3], ledger=Ledger())
    before = [s.shard(index) for index in range(3)]

    paused = Requeuer(s.store).pause_run(s.run.run_id, reason="it has cost 5.00 USD")

    assert paused is not None
    assert (paused.state, paused.reason) == (RunState.PAUSED, "it has cost 5.00 USD")
    stop = Stop(kind=StopKind.PAUSED, deadline=None)
    assert [s.session(number).stop for number in range(4)] == [stop, stop, stop, None]
    assert s.store.hold(s.sessions[0], 4, seq=9, until=NOON + HOUR) is None
    assert [s.shard(index) for index in range(3)] == before


def test_keeping_a_run_paused_never_pauses_one_that_was_resumed() -> None:
    s = scene()
    paused = Requeuer(s.store).pause_run(s.run.run_id, reason="spent")
    assert paused is not None
    s.store.resume_run(s.run.run_id, usd_max=9.0)
    late = s.store.open_session(a_session("late"))

    Requeuer(s.store).keep_paused(paused)

    run, session = s.store.get_run(s.run.run_id), s.store.get_session(key_of(late))
    assert run is not None
    assert session is not None
    assert (run.state, session.stop) == (RunState.RUNNING, Stop(kind=StopKind.PAUSED, deadline=None))


def test_pausing_again_reaches_late_and_retired_sessions_and_writes_to_no_other() -> None:
    s = scene()
    Requeuer(s.store).pause_run(s.run.run_id, reason="first")
    late = s.store.open_session(a_session("late"))
    retired = s.store.open_session(a_session("retired"))
    s.store.mark_stop(key_of(retired), Stop(kind=StopKind.RETIRED, deadline=None))
    calls = CrashingStore(s.store, at=0, after_effect=False)  # counts its calls, never crashes

    again = Requeuer(calls).pause_run(s.run.run_id, reason="second")

    assert again is not None
    assert again.reason == "first"
    stored = [s.store.get_session(key_of(session)) for session in (late, retired)]
    assert [session.stop for session in stored if session] == [Stop(kind=StopKind.PAUSED, deadline=None)] * 2
    assert calls.calls == 2 + 2  # the run, its sessions, and the two that were not marked


def test_a_run_that_has_ended_is_not_paused_and_its_sessions_not_stopped() -> None:
    s = scene()
    s.store.cancel_run(s.run.run_id, reason="enough")

    assert Requeuer(s.store).pause_run(s.run.run_id, reason="spent") is None
    assert s.session(0).stop is None


@pytest.mark.parametrize(
    ("stop", "counts"),
    [(StopKind.RETIRED, (1, 0)), (StopKind.PAUSED, (0, 1)), (StopKind.TERMINATED, (0, 1)), (StopKind.NOTICE, (0, 1))],
)
def test_to_be_retired_explains_no_silence(stop: StopKind, counts: tuple[int, int]) -> None:
    s = scene()
    s.store.mark_stop(key_of(s.sessions[0]), Stop(kind=stop, deadline=None))

    Requeuer(s.store).rescue_expired(s.run, NOON + 2 * HOUR)

    assert (s.shard(0).losses, s.shard(0).interruptions) == counts


def test_a_completed_run_is_not_cancelled_and_its_sessions_not_stopped() -> None:
    s = scene()
    for stripe in range(s.run.stripes):
        s.run = s.store.close_stripe(s.run.run_id, stripe).run
    taken = s.store.take_finalizer(s.run, finalizer="f", ttl_s=1)
    assert taken is not None
    s.store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None)

    assert Requeuer(s.store).cancel_run(s.run.run_id, reason="late") is None
    assert s.session(0).stop is None


def test_cancelling_an_unknown_run_says_so() -> None:
    with pytest.raises(RunNotFoundError, match="check the run id"):
        Requeuer(scene().store).cancel_run(RunId("nobody"), reason="why")
