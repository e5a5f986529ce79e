"""The worker's session against a real lease store in memory."""

import random
from datetime import timedelta

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.errors import SessionLostError
from spotproof.interruptions.model import Channel, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import (
    RunOptions,
    Session,
    SessionState,
    Stop,
    StopKind,
)
from spotproof.leases.requeue import key_of
from spotproof.retries import Retrier
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.session import WorkerSession
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_run, a_session
from tests.fakes.spawner import HeldSpawner

RUN = a_run(options=RunOptions(ttl_s=90, heartbeat_s=30), session_buckets=1)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryLeaseStore(clock=self.clock, retrier=Retrier(clock=self.clock, rng=random.Random(1)))
        self.spawner = HeldSpawner()
        self.monitor = Monitor(sources=[], clock=self.clock, spawner=self.spawner, poll_s=2)
        self.ledger = LedgerBook(self.clock)
        self.store.create_run(RUN)
        self.session = WorkerSession(
            session=a_session(run=RUN, until=NOON + 90_000),
            run=RUN,
            store=self.store,
            heartbeat_store=self.store,
            monitor=self.monitor,
            ledger=self.ledger,
            clock=self.clock,
            spawner=self.spawner,
        )
        self.session.open()

    def stored(self) -> Session:
        session = self.store.get_session(key_of(self.session.session))
        assert session is not None
        return session


@pytest.fixture
def world() -> World:
    return World()


def test_a_hold_is_written_ahead_and_extends_the_session(world: World) -> None:
    world.clock.advance(10)

    assert world.session.hold(3)

    assert world.stored().held == 3
    assert world.stored().until == to_epoch_ms(world.clock.now() + timedelta(seconds=90))


def test_a_heartbeat_thread_that_fails_takes_the_session_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> Session | None:
        raise MemoryError

    monkeypatch.setattr(world.store, "heartbeat", no_memory)

    world.spawner.work["session-heartbeat"]()

    assert world.session.lost
    assert world.stored().state is SessionState.ALIVE  # until it expires: whoever rescues it frees what it held


def test_a_heartbeat_carries_the_ledger(world: World) -> None:
    with world.ledger.span(Spent.WORK):
        world.clock.advance(7)

    world.session.beat()

    assert world.stored().work_ms == 7000


def test_a_stop_on_record_refuses_the_hold_and_reaches_the_monitor(world: World) -> None:
    deadline = world.clock.now() + timedelta(seconds=100)
    world.store.mark_stop(key_of(world.session.session), Stop(kind=StopKind.NOTICE, deadline=to_epoch_ms(deadline)))

    assert not world.session.hold(1)

    stop = world.monitor.stop()
    assert stop is not None
    assert (stop.kind, stop.channel, stop.deadline) == (SignalKind.NOTICE, Channel.SESSION, deadline)


@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        (StopKind.PAUSED, SignalKind.PAUSE),
        (StopKind.CANCELLED, SignalKind.CANCEL),
        (StopKind.NOTICE, SignalKind.NOTICE),
    ],
)
def test_a_flag_in_a_heartbeats_answer_stops_the_worker(world: World, stop: StopKind, kind: SignalKind) -> None:
    world.store.mark_stop(key_of(world.session.session), Stop(kind=stop, deadline=None))

    world.session.beat()

    told = world.monitor.stop()
    assert told is not None
    assert (told.kind, told.channel) == (kind, Channel.SESSION)


def test_a_retired_session_may_not_hold_and_its_monitor_knows_why(world: World) -> None:
    world.store.mark_stop(key_of(world.session.session), Stop(kind=StopKind.RETIRED, deadline=None))

    assert not world.session.hold(3)

    assert world.monitor.retired() is not None
    assert world.monitor.stop() is None


def test_a_hint_in_a_heartbeats_answer_reaches_the_monitor(world: World) -> None:
    until = to_epoch_ms(world.clock.now() + timedelta(minutes=20))
    world.store.mark_hint(key_of(world.session.session), until=until)

    world.session.beat()

    assert world.monitor.hint() is not None
    assert world.monitor.stop() is None


def test_a_fenced_session_is_lost_at_its_next_write(world: World) -> None:
    world.store.fence_session(key_of(world.session.session), expired_at=None)

    with pytest.raises(SessionLostError):
        world.session.hold(1)

    assert world.session.lost
    assert world.monitor.pause(60)


def test_the_background_heartbeat_ends_when_the_session_is_lost(world: World) -> None:
    world.store.fence_session(key_of(world.session.session), expired_at=None)

    world.spawner.work["session-heartbeat"]()

    assert world.session.lost


def test_closing_ends_the_session_and_a_lost_one_stays_dead(world: World) -> None:
    world.session.close()
    assert world.stored().state is SessionState.ENDED

    lost = World()
    lost.store.fence_session(key_of(lost.session.session), expired_at=None)
    lost.session.close()
    assert lost.stored().state is SessionState.DEAD
