"""Claims about closing stripes: holes and orphans repaired, complete stripes closed, few reads while work goes on."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from spotproof.leases.closing import Blocker, Closing, StripeCloser
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Lease, Ledger, Run, Session, ShardState
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.aws_errors import CountingClient
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash, CrashingStore
from tests.fakes.leases import NOON, a_run, a_session, an_output, key_of, leased


@dataclass
class Scene:
    """A run of four shards in two stripes and one worker."""

    store: LeaseStore
    run: Run
    session: Session

    def pass_(self, before: Closing | None = None) -> Closing:
        missing = before.missing if before else ()
        return StripeCloser(self.store).close_finished_stripes(self.run, missing, before.blockers if before else ())

    def tickets(self, stripe: int) -> None:
        while self.store.take_ticket(self.run, stripe) is not None:
            pass

    def finish(self, *indexes: int) -> None:
        for index in indexes:
            lease = self.store.claim_fresh(self.run, index, self.session)
            assert lease is not None
            self.store.commit(lease, an_output(lease))

    def lease(self, index: int, session: Session | None = None) -> Lease:
        return leased(self.store, self.run, session or self.session, index, seq=index + 1)

    def state(self, index: int) -> ShardState | None:
        shard = self.store.get_shard(self.run, index)
        return shard.state if shard else None


@pytest.fixture
def s(store: LeaseStore) -> Scene:
    return scene(store)


def scene(store: LeaseStore) -> Scene:
    run = store.create_run(a_run(shards=4, stripes=2))
    return Scene(store=store, run=run, session=store.open_session(a_session()))


def test_complete_stripes_are_closed_and_the_run_is_complete(s: Scene) -> None:
    s.tickets(0)
    s.finish(0, 2)
    first = s.pass_()
    s.tickets(1)
    s.finish(1, 3)
    second = s.pass_(first)

    assert (first.closed, first.complete) == ((0,), False)
    assert (second.closed, second.complete) == ((1,), True)
    assert second.run == s.store.get_run(s.run.run_id)
    assert s.pass_(second).closed == ()


def test_quarantined_shards_count_as_finished(s: Scene) -> None:
    s.tickets(0)
    s.finish(0)
    s.store.fail(s.lease(2), error="poison", retry_at=NOON, failures_max=1)

    assert s.pass_().closed == (0,)


def test_a_stripe_with_tickets_left_is_not_walked(s: Scene) -> None:
    s.store.take_ticket(s.run, 0)  # and the claim never comes

    first = s.pass_()
    second = s.pass_(first)

    assert (first.missing, second.repaired) == (frozenset(), ())


def test_a_hole_nobody_holds_is_repaired_when_seen_twice(s: Scene) -> None:
    s.tickets(0)
    s.finish(0)

    first = s.pass_()
    assert (first.missing, first.repaired, s.state(2)) == (frozenset({2}), (), None)

    second = s.pass_(first)
    assert (second.missing, second.repaired, s.state(2)) == (frozenset(), (2,), ShardState.READY)


def test_a_claim_under_way_is_not_taken_for_a_hole(s: Scene) -> None:
    s.tickets(0)
    s.finish(0)
    first = s.pass_()
    s.finish(2)

    second = s.pass_(first)

    assert (second.repaired, second.closed) == ((), (0,))


@pytest.mark.parametrize("gone", ["ended", "fenced"])
def test_a_hole_of_a_session_that_is_gone_is_repaired_at_once(s: Scene, gone: str) -> None:
    other = s.store.open_session(a_session("other"))
    s.tickets(0)
    s.finish(0)
    s.store.hold(other, 2, seq=1, until=other.until)
    end(s, other, gone)

    assert s.pass_().repaired == (2,)


def test_a_hole_that_a_living_session_holds_waits_for_the_second_look(s: Scene) -> None:
    other = s.store.open_session(a_session("other"))
    s.tickets(0)
    s.finish(0)
    for session in (other, s.session):
        s.store.hold(session, 2, seq=9, until=session.until)
    end(s, other, "fenced")

    first = s.pass_()

    assert (first.repaired, first.missing) == ((), frozenset({2}))
    assert s.pass_(first).repaired == (2,)


@pytest.mark.parametrize("gone", ["ended", "fenced"])
def test_a_lease_of_a_session_that_is_gone_is_requeued(s: Scene, gone: str) -> None:
    other = s.store.open_session(a_session("other"))
    s.tickets(0)
    s.finish(0)
    s.lease(2, other)
    end(s, other, gone)

    closing = s.pass_()

    assert closing.requeued == (2,)
    assert s.state(2) is ShardState.READY


def test_a_lease_of_a_session_that_the_table_does_not_know_is_requeued(s: Scene) -> None:
    """Simulation seed 1584: the table was restored to before the session, and its claim arrived after that."""
    s.tickets(0)
    assert s.store.claim_fresh(s.run, 0, a_session("from-before-the-restore", run=s.run)) is not None

    closing = s.pass_()

    assert closing.requeued == (0,)
    shard = s.store.get_shard(s.run, 0)
    assert shard is not None
    assert (shard.state, shard.fencing_token) == (ShardState.READY, 2)


def test_a_lease_of_a_living_session_is_left_alone_and_watched(s: Scene) -> None:
    s.tickets(0)
    s.finish(0)
    s.lease(2)

    closing = s.pass_()

    assert (closing.requeued, closing.closed) == ((), ())
    assert closing.blockers == (Blocker(index=2, owner=key_of(s.session)),)
    assert s.state(2) is ShardState.LEASED


def end(s: Scene, session: Session, how: str) -> None:
    if how == "ended":
        s.store.end_session(session, ledger=Ledger())
    else:
        s.store.fence_session(key_of(session), expired_at=None)


def test_while_a_blocker_stays_as_it_was_a_pass_walks_nothing(clock: FakeClock) -> None:
    table = InMemoryTable("t")
    counting = CountingClient(table)
    retrier = Retrier(clock=clock, rng=random.Random(0))
    s = scene(InMemoryLeaseStore(clock=clock, retrier=retrier, table=table))
    s.tickets(0)
    s.finish(0)
    s.lease(2)
    first = s.pass_()
    watcher = DynamoDBLeaseStore(counting, table.name, clock, retrier)

    second = StripeCloser(watcher).close_finished_stripes(s.run, first.missing, first.blockers)

    assert counting.requests == ["get_item"] * 4  # run, blocker and its session, the other stripe's tickets
    assert second.blockers == first.blockers


def test_open_shards_are_watched_one_after_the_other_without_another_walk(clock: FakeClock) -> None:
    table = InMemoryTable("t")
    counting = CountingClient(table)
    retrier = Retrier(clock=clock, rng=random.Random(0))
    s = scene(InMemoryLeaseStore(clock=clock, retrier=retrier, table=table))
    other = s.store.open_session(a_session("other"))
    s.tickets(0)
    lease = s.lease(0)
    s.lease(2, other)
    first = s.pass_()
    s.store.commit(lease, an_output(lease))
    watcher = DynamoDBLeaseStore(counting, table.name, clock, retrier)

    second = StripeCloser(watcher).close_finished_stripes(s.run, first.missing, first.blockers)

    assert [blocker.index for blocker in first.blockers] == [0, 2]
    assert [blocker.index for blocker in second.blockers] == [2]
    assert "query" not in counting.requests


def test_a_stripe_known_to_be_exhausted_is_walked_without_a_look_at_its_tickets(s: Scene, clock: FakeClock) -> None:
    s.tickets(0)
    s.store.exhaust_stripe(s.run.run_id, 0)
    s.finish(0, 2)
    calls = CrashingStore(s.store, at=0, after_effect=False)  # counts its calls, never crashes

    closing = StripeCloser(calls).close_finished_stripes(s.run)

    assert closing.closed == (0,)
    assert calls.calls == 4  # the run, the walk, closing it, the other stripe's tickets


LEAVES: dict[str, Callable[[Scene, Lease], object]] = {
    "commit": lambda s, lease: s.store.commit(lease, an_output(lease)),
    "release": lambda s, lease: s.store.release(lease, interrupted=False),
    "fence": lambda s, lease: s.store.fence_session(key_of(s.session), expired_at=None),
    "end": lambda s, lease: s.store.end_session(s.session, ledger=Ledger()),
}


@pytest.mark.parametrize(
    ("how", "then"), [("commit", "DONE"), ("release", "READY"), ("fence", "READY"), ("end", "READY")]
)
def test_a_blocker_that_changed_is_walked_around(s: Scene, how: str, then: str) -> None:
    s.tickets(0)
    s.finish(0)
    lease = s.lease(2)
    first = s.pass_()
    LEAVES[how](s, lease)

    second = s.pass_(first)

    assert s.state(2) == then
    assert (0 in second.run.closed) == (how == "commit")
    assert second.requeued == ((2,) if how in ("fence", "end") else ())


def test_a_shard_that_waits_for_its_retry_blocks_without_a_walk(s: Scene) -> None:
    s.tickets(0)
    s.finish(0)
    s.store.fail(s.lease(2), error="x", retry_at=NOON + 60_000, failures_max=3)

    first = s.pass_()

    assert first.blockers == (Blocker(index=2, owner=None),)
    assert s.pass_(first) == first


def test_an_ended_run_is_left_alone(s: Scene) -> None:
    s.tickets(0)
    s.finish(0, 2)
    s.store.cancel_run(s.run.run_id, reason="enough")

    closing = s.pass_()

    assert (closing.closed, closing.run.state.value) == ((), "CANCELLED")


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_crash_at_any_step_is_repaired_by_the_next_pass(clock: FakeClock, after_effect: bool) -> None:
    at = 1
    while True:
        retrier = Retrier(clock=clock, rng=random.Random(0))
        s = scene(InMemoryLeaseStore(clock=clock, retrier=retrier))
        other = s.store.open_session(a_session("other"))
        for stripe in (0, 1):
            s.tickets(stripe)
        s.finish(0, 2, 1)
        s.store.hold(other, 3, seq=1, until=other.until)
        end(s, other, "fenced")
        try:
            StripeCloser(CrashingStore(s.store, at=at, after_effect=after_effect)).close_finished_stripes(s.run)
        except Crash:
            s.pass_()
            assert s.state(3) is ShardState.READY, f"crash at call {at}"
            stored = s.store.get_run(s.run.run_id)
            assert stored is not None
            assert stored.closed == frozenset({0})
            at += 1
        else:
            break
    assert at > 5
