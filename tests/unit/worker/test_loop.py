"""The worker's loop over a real lease store in memory: what it leases, when it cares for others, and how it leaves."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from spotproof import contract
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import CapacityClass, Lease, Run, RunOptions, RunState, Stop, StopKind
from spotproof.leases.requeue import Requeuer, key_of
from spotproof.retries import Retrier
from spotproof.worker.caretaker import Caretaker
from spotproof.worker.idle import SPARE_S
from spotproof.worker.leasing import LeaseFinder
from spotproof.worker.ledger import LedgerBook
from spotproof.worker.loop import WorkerLoop
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_requests import ShardRequests
from tests.fakes.clock import FakeClock
from tests.fakes.leases import HOUR, NOON, a_run, a_session, an_output, leased, reclaimed
from tests.fakes.spawner import HeldSpawner

RUN = a_run(session_buckets=1, options=RunOptions(poll_s=2))


class Announcer:
    def __init__(self) -> None:
        self.announced: list[str] = []

    def finished(self, run: Run) -> bool:
        self.announced.append(run.run_id)
        return True


class WaitingMonitor(Monitor):
    """Its pauses pass virtual time."""

    clock: FakeClock

    def pause(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return super().pause(0)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryLeaseStore(clock=self.clock, retrier=Retrier(clock=self.clock, rng=random.Random(1)))
        self.store.create_run(RUN)
        self.announcer = Announcer()
        self.spawner = HeldSpawner()
        self.monitor = WaitingMonitor(sources=[], clock=self.clock, spawner=self.spawner, poll_s=2)
        self.monitor.clock = self.clock
        self.ledger = LedgerBook(self.clock)
        self.session = WorkerSession(
            session=a_session(run=RUN),
            run=RUN,
            store=self.store,
            heartbeat_store=self.store,
            monitor=self.monitor,
            ledger=self.ledger,
            clock=self.clock,
            spawner=self.spawner,
        )
        self.session.open()
        self.finder = LeaseFinder(
            store=self.store, session=self.session, run=RUN, rng=random.Random(1), clock=self.clock
        )
        self.worked: list[int] = []

    def loop(self) -> WorkerLoop:
        return WorkerLoop(
            run=RUN,
            store=self.store,
            session=self.session,
            finder=self.finder,
            caretaker=Caretaker(
                store=self.store,
                announcer=self.announcer,  # type: ignore[arg-type]
                clock=self.clock,
                carer=self.session.session.session_id,
            ),
            monitor=self.monitor,
            ledger=self.ledger,
            clock=self.clock,
            rng=random.Random(1),
            requests=ShardRequests(self.store.usage),
            run_shard=self.commit,
        )

    def commit(self, lease: Lease) -> ShardOutcome:
        self.worked.append(lease.index)
        self.store.commit(lease, an_output(lease))
        return ShardOutcome.COMMITTED

    def stop(self, kind: SignalKind = SignalKind.NOTICE) -> Signal:
        return Signal(kind=kind, channel=Channel.IMDS, deadline=self.clock.now() + timedelta(seconds=120))


def beating(world: World) -> Callable[[float], bool]:
    """A pause during which the session's heartbeats go on."""
    pause = world.monitor.pause

    def beat_and_pause(seconds: float) -> bool:
        world.session.beat()
        return pause(seconds)

    return beat_and_pause


@pytest.fixture
def world() -> World:
    return World()


def test_one_worker_does_every_shard_announces_the_end_once_and_leaves(world: World) -> None:
    assert world.loop().work() == contract.EXIT_DONE

    assert sorted(world.worked) == list(range(RUN.shards))
    assert world.announcer.announced == [RUN.run_id]


def test_without_memory_or_disk_it_fails_one_shard_and_asks_for_a_new_container(world: World) -> None:
    tried: list[int] = []
    loop = world.loop()

    def run_out(lease: Lease) -> ShardOutcome:
        tried.append(lease.index)
        retry_at = to_epoch_ms(world.clock.now() + timedelta(seconds=5))
        world.store.fail(lease, error="out of memory", retry_at=retry_at, failures_max=3)
        return ShardOutcome.UNFIT

    loop.run_shard = run_out

    assert loop.work() == contract.EXIT_INTERRUPTED
    assert len(tried) == 1


def test_a_worker_that_waits_for_itself_falls_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulation, K3: a restored table said that the idle worker still leased a shard; its heartbeats kept that alive."""
    for stripe in range(RUN.stripes):
        while world.store.take_ticket(RUN, stripe) is not None:
            pass
    own = leased(world.store, RUN, world.session.session, 0)
    other = world.store.open_session(a_session("other", run=RUN))
    for index in range(1, RUN.shards):
        lease = leased(world.store, RUN, other, index, seq=index)
        world.store.commit(lease, an_output(lease))
    monkeypatch.setattr(world.monitor, "pause", beating(world))

    assert world.loop().work() == contract.EXIT_INTERRUPTED
    assert own.index not in world.worked
    assert world.session.lost


def test_a_worker_that_lost_a_shard_to_itself_falls_silent(world: World) -> None:
    """Simulation seed 3011, K3: a restored table held an earlier lease of the same session, so the save was refused; with
    the next hold nothing would have covered that shard any more (invariant I11)."""
    tried: list[int] = []
    loop = world.loop()

    def refused(lease: Lease) -> ShardOutcome:
        tried.append(lease.index)
        return ShardOutcome.LOST

    loop.run_shard = refused

    assert loop.work() == contract.EXIT_INTERRUPTED
    assert len(tried) == 1
    assert world.session.lost


def test_on_a_dying_host_it_takes_nothing_and_asks_to_be_retried(world: World) -> None:
    world.monitor.offer(world.stop())

    assert world.loop().work() == contract.EXIT_INTERRUPTED
    assert world.worked == []


def test_under_a_rebalance_recommendation_it_takes_nothing_until_that_expires(world: World) -> None:
    expires_at = world.clock.now() + timedelta(minutes=20)
    world.monitor.offer(Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=expires_at))
    started: list[bool] = []
    loop = world.loop()

    def late(lease: Lease) -> ShardOutcome:
        started.append(world.clock.now() >= expires_at)
        return world.commit(lease)

    loop.run_shard = late

    assert loop.work() == contract.EXIT_DONE
    assert started == [True] * RUN.shards


def test_requeued_shards_are_taken_before_new_ones(world: World) -> None:
    other = world.store.open_session(a_session("other", run=RUN))
    world.store.take_ticket(RUN, 1)
    lease = leased(world.store, RUN, other, 1)
    world.store.release(lease, interrupted=True)
    world.clock.advance(1)  # a younger one is left to a few of a large fleet

    world.loop().work()

    assert world.worked[0] == 1


def test_with_a_stop_on_record_nothing_is_claimed(world: World) -> None:
    other = world.store.open_session(a_session("other", run=RUN))
    world.store.take_ticket(RUN, 0)
    world.store.release(leased(world.store, RUN, other, 0), interrupted=True)
    world.store.mark_stop(key_of(world.session.session), Stop(kind=StopKind.NOTICE, deadline=NOON + HOUR))

    assert world.finder.next_lease() is None
    assert len(world.store.candidates(RUN, CapacityClass.SPOT, limit=10)) == 1


def test_a_fenced_worker_leaves_to_be_retried(world: World) -> None:
    world.store.fence_session(key_of(world.session.session), expired_at=None)

    assert world.loop().work() == contract.EXIT_INTERRUPTED
    assert world.worked == []


def test_a_silent_worker_is_rescued_and_its_shard_done_by_the_idle_one(world: World) -> None:
    silent = world.store.open_session(a_session("silent", run=RUN, until=NOON + 5_000))
    world.store.take_ticket(RUN, 0)
    leased(world.store, RUN, silent, 0)

    assert world.loop().work() == contract.EXIT_DONE
    assert sorted(world.worked) == list(range(RUN.shards))


def test_while_another_one_cares_an_idle_worker_reads_the_run_alone(world: World) -> None:
    for stripe in range(RUN.stripes):
        while world.store.take_ticket(RUN, stripe) is not None:
            world.store.exhaust_stripe(RUN.run_id, stripe)
    world.store.take_care(RUN.run_id, carer="another", ttl_s=3600)
    started, before = world.clock.monotonic(), world.store.usage()

    assert world.loop().work() == contract.EXIT_DONE

    asked = world.store.usage().requests - before.requests
    looks = (asked - 2 * RUN.stripes) / 2  # each asks the claimable index and the run
    assert world.clock.monotonic() - started >= SPARE_S
    assert 10 <= looks <= SPARE_S / 2
    assert world.announcer.announced == []


def test_the_one_that_cares_prolongs_its_term_when_half_of_it_is_over(world: World) -> None:
    caretaker = world.loop().caretaker
    first = caretaker.care(RUN)
    world.clock.advance(RUN.options.heartbeat_s / 2 - 1)
    same = caretaker.care(RUN)
    world.clock.advance(2)
    later = caretaker.care(RUN)

    assert caretaker.caring
    assert first.care_until is not None
    assert same.care_until == first.care_until
    assert later.care_until == first.care_until + round((RUN.options.heartbeat_s / 2 + 1) * 1000)


def test_an_idle_worker_takes_over_when_the_one_that_cared_is_silent(world: World) -> None:
    for index in range(RUN.shards):
        world.store.take_ticket(RUN, RUN.stripe_of(index))
        lease = leased(world.store, RUN, world.session.session, index, seq=index + 1)
        world.store.commit(lease, an_output(lease))
    world.store.take_care(RUN.run_id, carer="another", ttl_s=30)
    started = world.clock.monotonic()

    assert world.loop().work() == contract.EXIT_DONE

    assert world.announcer.announced == [RUN.run_id]
    assert 30 <= world.clock.monotonic() - started <= 40


def retire(world: World) -> None:
    world.store.mark_stop(key_of(world.session.session), Stop(kind=StopKind.RETIRED, deadline=None))
    world.session.beat()


def test_a_retired_worker_finishes_its_shard_takes_no_other_and_leaves(world: World) -> None:
    loop = world.loop()

    def retired_meanwhile(lease: Lease) -> ShardOutcome:
        retire(world)
        return world.commit(lease)

    loop.run_shard = retired_meanwhile

    assert loop.work() == contract.EXIT_DONE
    assert len(world.worked) == 1
    assert sum(world.store.tickets_taken(RUN, stripe) for stripe in range(RUN.stripes)) == 1  # no hole is left
    run = world.store.get_run(RUN.run_id)
    assert run is not None
    assert run.carer is None  # who leaves soon would only keep others from caring


def test_a_retired_worker_on_a_dying_host_is_interrupted(world: World) -> None:
    retire(world)
    world.monitor.offer(world.stop())

    assert world.loop().work() == contract.EXIT_INTERRUPTED


def test_a_worker_of_a_paused_run_leases_nothing_and_leaves(world: World) -> None:
    Requeuer(world.store).pause_run(RUN.run_id, reason="spent")
    world.session.beat()

    assert world.loop().work() == contract.EXIT_DONE
    assert world.worked == []


def test_a_worker_that_was_paused_asks_to_be_retried_if_the_run_goes_on_again(world: World) -> None:
    Requeuer(world.store).pause_run(RUN.run_id, reason="spent")
    world.session.beat()
    world.store.resume_run(RUN.run_id, usd_max=None)

    assert world.loop().work() == contract.EXIT_INTERRUPTED
    assert world.worked == []


def test_a_lone_spot_worker_ends_a_run_whose_shards_were_left_to_on_demand_workers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = world.store.open_session(a_session("other", run=RUN))
    world.store.take_ticket(RUN, 0)
    world.store.release(leased(world.store, RUN, other, 0), interrupted=True)
    for _ in range(RUN.options.on_demand_after - 1):
        world.store.release(reclaimed(world.store, RUN, other, 0), interrupted=True)
    started = world.clock.monotonic()
    monkeypatch.setattr(world.monitor, "pause", beating(world))
    assert [each.index for each in world.store.candidates(RUN, CapacityClass.ON_DEMAND, limit=9)] == [0]

    assert world.loop().work() == contract.EXIT_DONE

    assert sorted(world.worked) == list(range(RUN.shards))
    waited_s = world.clock.monotonic() - started
    assert RUN.options.fallback_after_s <= waited_s <= RUN.options.fallback_after_s + 2 * RUN.options.poll_s


def test_a_cancelled_run_is_left_for_good(world: World) -> None:
    world.store.cancel_run(RUN.run_id, reason="test")
    world.monitor.offer(world.stop(SignalKind.CANCEL))

    assert world.loop().work() == contract.EXIT_DONE
    stored = world.store.get_run(RUN.run_id)
    assert stored is not None
    assert stored.state is RunState.CANCELLED
