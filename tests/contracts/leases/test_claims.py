"""Claims about acquiring leases: tickets, fresh shards, requeued and drained ones."""

from dataclasses import replace

import pytest

from spotproof.leases.model import Candidate, CapacityClass, Lease, RequeueCause, Run, Session, ShardState
from spotproof.leases.store import LeaseStore
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_checkpoint, a_run, a_session, an_output, leased, reclaimed

SPOT = CapacityClass.SPOT


@pytest.fixture
def other(store: LeaseStore, run: Run) -> Session:
    return store.open_session(a_session("worker-b"))


@pytest.mark.parametrize(("shards", "stripes"), [(6, 2), (7, 3), (1, 1), (5, 5)])
def test_tickets_name_every_shard_once_and_then_none(store: LeaseStore, shards: int, stripes: int) -> None:
    run = store.create_run(a_run(shards=shards, stripes=stripes))

    taken = [store.take_ticket(run, stripe) for stripe in range(stripes) for _ in range(shards)]

    assert sorted(index for index in taken if index is not None) == list(range(shards))
    assert all(store.take_ticket(run, stripe) is None for stripe in range(stripes))
    assert [store.tickets_taken(run, stripe) for stripe in range(stripes)] == [
        run.shards_in_stripe(stripe) for stripe in range(stripes)
    ]


def test_a_ticket_belongs_to_its_stripe(store: LeaseStore, run: Run) -> None:
    assert [store.take_ticket(run, 1) for _ in range(3)] == [1, 3, 5]


def test_a_stripe_without_shards_has_no_tickets(store: LeaseStore) -> None:
    run = store.create_run(a_run(shards=1, stripes=2))

    assert store.take_ticket(run, 1) is None


def test_a_fresh_claim_gives_token_1(store: LeaseStore, run: Run, session: Session) -> None:
    lease = store.claim_fresh(run, 3, session)

    assert lease == Lease(
        run_id=run.run_id, index=3, stripe=1, owner=session.session_id, fencing_token=1, checkpoint=None,
        failures=0, interruptions=0, losses=0, class_changes_at=3,
    )  # fmt: skip
    shard = store.get_shard(run, 3)
    assert shard is not None
    assert (shard.state, shard.owner, shard.leased_at) == (ShardState.LEASED, session.session_id, NOON)
    assert store.candidates(run, SPOT, limit=10) == []


def test_a_shard_that_has_a_row_is_not_fresh(store: LeaseStore, run: Run, session: Session, other: Session) -> None:
    lease = store.claim_fresh(run, 0, session)
    assert lease is not None

    assert store.claim_fresh(run, 0, other) is None
    store.release(lease, interrupted=False)
    assert store.claim_fresh(run, 0, other) is None
    assert store.claim_fresh(run, 0, session) is None


def test_a_requeued_shard_is_leased_again_with_a_higher_token_and_its_checkpoint(
    store: LeaseStore, run: Run, session: Session, other: Session
) -> None:
    lease = leased(store, run, session)
    pointer = a_checkpoint(lease)
    store.record_checkpoint(lease, pointer)
    store.release(lease, interrupted=True)

    [candidate] = store.candidates(run, SPOT, limit=10)
    again = store.claim_requeued(run, candidate, other)

    assert candidate == Candidate(index=0, fencing_token=2, drained=False, claimable_at=NOON)
    assert again == replace(lease, owner=other.session_id, fencing_token=3, checkpoint=pointer, interruptions=1)
    assert store.candidates(run, SPOT, limit=10) == []


def test_a_stale_candidate_is_refused(store: LeaseStore, run: Run, session: Session, other: Session) -> None:
    store.release(leased(store, run, session), interrupted=False)
    [candidate] = store.candidates(run, SPOT, limit=10)
    assert store.claim_requeued(run, candidate, session) is not None

    assert store.claim_requeued(run, candidate, other) is None
    assert store.claim_requeued(run, replace(candidate, drained=True), other) is None


def test_a_drained_shard_is_claimable_from_its_reclaim_time_on(
    store: LeaseStore, run: Run, session: Session, other: Session, clock: FakeClock
) -> None:
    leased(store, run, session)
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 120_000)
    early = Candidate(index=0, fencing_token=1, drained=True, claimable_at=NOON + 120_000)

    assert store.candidates(run, SPOT, limit=10) == []
    assert store.candidates(run, SPOT, limit=10, within_s=119) == []
    assert store.candidates(run, SPOT, limit=10, within_s=120) == [early]
    assert store.claim_requeued(run, early, other) is None

    clock.advance(120)
    assert store.candidates(run, SPOT, limit=10) == [early]
    lease = store.claim_requeued(run, early, other)
    assert lease is not None
    assert (lease.fencing_token, lease.interruptions) == (2, 1)
    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.owner, shard.reclaim_at, shard.claimable_at) == (other.session_id, None, None)


def test_a_drained_shard_that_was_released_is_not_claimed_as_drained(
    store: LeaseStore, run: Run, session: Session, other: Session, clock: FakeClock
) -> None:
    lease = leased(store, run, session)
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON)
    seen = store.candidates(run, SPOT, limit=1)[0]
    store.release(lease, interrupted=True)

    assert store.claim_requeued(run, seen, other) is None
    assert reclaimed(store, run, other).interruptions == 1


def test_candidates_come_oldest_first_within_the_limit(
    store: LeaseStore, run: Run, session: Session, clock: FakeClock
) -> None:
    for seq, index in enumerate((4, 0, 2), start=1):
        store.release(leased(store, run, session, index, seq=seq), interrupted=False)
        clock.advance(1)

    assert [candidate.index for candidate in store.candidates(run, SPOT, limit=10)] == [4, 0, 2]
    assert [candidate.index for candidate in store.candidates(run, SPOT, limit=2)] == [4, 0]


def test_a_shard_that_backs_off_is_no_candidate_before_its_time(
    store: LeaseStore, run: Run, session: Session, clock: FakeClock
) -> None:
    store.fail(leased(store, run, session), error="ValueError", retry_at=NOON + 5_000, failures_max=3)

    assert store.candidates(run, SPOT, limit=10) == []
    assert [candidate.index for candidate in store.candidates(run, SPOT, limit=10, within_s=5)] == [0]
    clock.advance(5)
    assert [candidate.index for candidate in store.candidates(run, SPOT, limit=10)] == [0]


def test_candidates_are_of_one_run_and_one_class(store: LeaseStore, run: Run, session: Session) -> None:
    other_run = store.create_run(a_run(run_id="other"))
    store.release(leased(store, run, session), interrupted=False)

    assert store.candidates(other_run, SPOT, limit=10) == []
    assert store.candidates(run, CapacityClass.ON_DEMAND, limit=10) == []


def test_the_token_rises_with_every_acquisition_and_every_loss_of_the_lease(
    store: LeaseStore, run: Run, session: Session
) -> None:
    tokens = [leased(store, run, session).fencing_token]
    causes = (RequeueCause.TERMINATED, RequeueCause.EXPIRED_AFTER_NOTICE, RequeueCause.LOST)
    for cause in causes:
        requeued = store.requeue(run, 0, owner=session.session_id, cause=cause, losses_max=4)
        assert requeued is not None
        tokens += [requeued.fencing_token, reclaimed(store, run, session).fencing_token]

    assert tokens == [1, 2, 3, 4, 5, 6, 7]


def test_finished_shards_are_never_candidates(store: LeaseStore, run: Run, session: Session, clock: FakeClock) -> None:
    done = leased(store, run, session, 0, seq=1)
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON)
    store.commit(done, an_output(done))
    failed = leased(store, run, session, 1, seq=2)
    store.drain(run, 1, owner=session.session_id, reclaim_at=NOON)
    store.fail(failed, error="ValueError", retry_at=NOON, failures_max=1)
    clock.advance(1)

    assert store.candidates(run, SPOT, limit=10) == []
