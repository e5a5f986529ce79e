"""Random schedules of workers, kills, notices, duplicates and crashes: no invariant breaks and the run ends.

A failure names its seed; put it into SEEDS to keep it.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.errors import LeaseLostError, SessionLostError
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import CapacityClass, Host, Lease, Ledger, RunOptions, RunState, Session, ShardState
from spotproof.leases.requeue import Requeuer
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash, CrashingStore
from tests.fakes.lease_oracle import LeaseOracle
from tests.fakes.leases import a_checkpoint, a_run, a_session, an_output, key_of

SEEDS = range(24)
SHARDS = 12
STEPS_OF_TROUBLE = 300
STEPS_MAX = 3_000
TTL_MS = 60_000
POISON = 3  # this shard fails whenever it is run


class SkewedClock(FakeClock):
    """Somebody's idea of another clock's time."""

    def __init__(self, true: FakeClock, skew_s: float) -> None:
        super().__init__()
        self.true = true
        self.skew = timedelta(seconds=skew_s)

    def now(self) -> datetime:
        return self.true.wall + self.skew


@dataclass
class World:
    rng: random.Random
    clock: FakeClock = field(default_factory=FakeClock)
    workers: dict[str, Iterator[None]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    born: int = 0
    troubled: bool = True
    closing: Closing | None = None

    def __post_init__(self) -> None:
        table = InMemoryTable("t")
        self.run = a_run(shards=SHARDS, stripes=2, options=RunOptions(failures_max=2, losses_max=3))
        self.oracle = LeaseOracle(table, self.run)
        self.store = self.a_store(0.0)
        self.store.create_run(self.run)

    def a_store(self, skew_s: float) -> LeaseStore:
        clock = SkewedClock(self.clock, skew_s)
        return DynamoDBLeaseStore(self.oracle, "t", clock, Retrier(clock=clock, rng=self.rng))

    def start_worker(self) -> None:
        name = f"w{self.born}"
        self.born += 1
        skew_s = self.rng.uniform(-600, 600) if self.troubled else 0.0
        self.workers[name] = self.worker(name, self.a_store(skew_s))

    def until(self) -> int:
        return to_epoch_ms(self.clock.now()) + TTL_MS

    def worker(self, name: str, store: LeaseStore) -> Iterator[None]:
        """One worker process; every yield is a place where it may be paused, or killed."""
        host = Host(instance_id=f"i-{self.rng.randrange(3)}")
        session = store.open_session(a_session(name, host=host, bucket=self.rng.randrange(2), until=self.until()))
        self.sessions[name] = session
        seq = 0
        while True:
            yield
            found = [each for kind in CapacityClass for each in store.candidates(self.run, kind, limit=5)]
            candidate = self.rng.choice(found) if found else None
            index = candidate.index if candidate else store.take_ticket(self.run, self.rng.randrange(2))
            yield
            seq += 1
            try:
                if index is None:
                    store.heartbeat(session, seq=seq, until=self.until(), ledger=Ledger())
                    continue
                if store.hold(session, index, seq=seq, until=self.until()) is None:
                    store.end_session(session, ledger=Ledger())
                    return
                yield
                lease = (
                    store.claim_requeued(self.run, candidate, session)
                    if candidate
                    else store.claim_fresh(self.run, index, session)
                )
                if lease is not None:
                    yield from self.work(store, lease)
            except LeaseLostError:
                continue
            except SessionLostError:
                return

    def work(self, store: LeaseStore, lease: Lease) -> Iterator[None]:
        seq = lease.checkpoint.seq if lease.checkpoint else 0
        for _ in range(self.rng.randrange(4)):
            yield
            seq += 1
            store.record_checkpoint(lease, a_checkpoint(lease, seq=seq))
        yield
        if lease.index == POISON:
            now = to_epoch_ms(self.clock.now())
            store.fail(lease, error="poison", retry_at=now, failures_max=self.run.options.failures_max)
        elif self.troubled and self.rng.random() < 0.5:
            store.release(lease, interrupted=True)
        else:
            store.commit(lease, an_output(lease))

    def step(self) -> None:
        if not self.workers or (len(self.workers) < 4 and self.rng.random() < 0.1):
            self.start_worker()
        self.clock.advance(self.rng.choice((0.01, 1, 20)))
        name = self.rng.choice(list(self.workers))
        if next(self.workers[name], "over") == "over":
            del self.workers[name]
        if self.rng.random() < 0.1:
            self.care(self.store)
        if self.troubled:
            self.trouble()

    def trouble(self) -> None:
        instance = f"i-{self.rng.randrange(3)}"
        what = self.rng.random()
        if what < 0.05:
            self.workers.pop(self.rng.choice([*self.workers, "nobody"]), None)
        elif what < 0.12:
            self.flow(lambda requeuer: requeuer.drain_instance(instance, to_epoch_ms(self.clock.now()) + 120_000))
        elif what < 0.15:
            self.flow(lambda requeuer: requeuer.requeue_instance(instance))
        elif what < 0.28 and self.oracle.writes:
            self.oracle.repeat(self.rng.randrange(len(self.oracle.writes)))
        elif what < 0.32:
            early = to_epoch_ms(self.clock.now()) + self.rng.randrange(-300_000, 300_000)
            self.flow(lambda requeuer: requeuer.rescue_expired(self.run, early))

    def flow(self, run_flow: Callable[[Requeuer], object]) -> None:
        """A Lambda's or controller's work, which may die at any request."""
        store = CrashingStore(self.store, at=self.rng.randrange(1, 12), after_effect=self.rng.random() < 0.5)
        with suppress(Crash):
            run_flow(Requeuer(store))

    def care(self, store: LeaseStore) -> None:
        Requeuer(store).rescue_expired(self.run, to_epoch_ms(self.clock.now()))
        before = self.closing
        self.closing = StripeCloser(store).close_finished_stripes(
            self.run, before.missing if before else (), before.blockers if before else ()
        )

    def check_coverage(self) -> None:
        held = {}
        for session in self.sessions.values():
            stored = self.store.get_session(key_of(session))
            held[session.session_id] = stored.held if stored else None
        self.oracle.check_coverage(list(self.store.shards(self.run)), held)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_schedule_breaks_an_invariant_and_every_run_ends(seed: int) -> None:
    world = World(rng=random.Random(seed))

    for number in range(STEPS_OF_TROUBLE):
        world.step()
        if number % 5 == 0:
            world.check_coverage()
    world.troubled = False
    for _ in range(STEPS_MAX):
        world.step()
        if world.closing is not None and world.closing.complete:
            break

    assert world.closing is not None
    assert world.closing.complete, "I10: the run does not end"
    shards = list(world.store.shards(world.run))
    assert [shard.index for shard in sorted(shards, key=lambda shard: shard.index)] == list(range(SHARDS)), "I6"
    assert all(shard.state.final for shard in shards), "I6"
    assert len(world.oracle.commits) == len(set(world.oracle.commits)), "I1"
    assert next(shard for shard in shards if shard.index == POISON).state is ShardState.QUARANTINED
    run = world.store.take_finalizer(world.closing.run, finalizer="f", ttl_s=60)
    assert run is not None, "I7"
    assert world.store.end_run(run, state=RunState.COMPLETE, quarantined=1, reason=None)
