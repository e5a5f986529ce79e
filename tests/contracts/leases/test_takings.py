"""Claims about taking leases away: drain, requeue, the repair of holes."""

import pytest

from spotproof.leases.model import CapacityClass, RequeueCause, Run, Session, SessionId, Shard, ShardState
from spotproof.leases.store import LeaseStore
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_session, an_output, leased, reclaimed

STRANGER = SessionId("stranger")


def requeue(
    store: LeaseStore, run: Run, owner: SessionId, cause: RequeueCause = RequeueCause.TERMINATED, losses_max: int = 4
) -> Shard | None:
    return store.requeue(run, 0, owner=owner, cause=cause, losses_max=losses_max)


def test_the_first_reclaim_time_wins(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)

    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 7) is True
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 3) is True

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.state, shard.owner, shard.fencing_token) == (ShardState.LEASED, session.session_id, 1)
    assert (shard.reclaim_at, shard.claimable_at) == (NOON + 7, NOON + 7)


def test_only_what_the_owner_leases_is_drained(store: LeaseStore, run: Run, session: Session) -> None:
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is False

    lease = leased(store, run, session)
    assert store.drain(run, 0, owner=STRANGER, reclaim_at=NOON) is False

    store.release(lease, interrupted=False)
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is False


@pytest.mark.parametrize(
    ("cause", "counts"),
    [
        (RequeueCause.TERMINATED, (1, 0)),
        (RequeueCause.EXPIRED_AFTER_NOTICE, (1, 0)),
        (RequeueCause.LOST, (0, 1)),
    ],
)
def test_a_requeued_shard_is_claimable_now_and_counts_its_cause(
    store: LeaseStore,
    run: Run,
    session: Session,
    clock: FakeClock,
    cause: RequeueCause,
    counts: tuple[int, int],
) -> None:
    leased(store, run, session)
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 120_000)
    clock.advance(1)

    shard = requeue(store, run, session.session_id, cause)

    assert shard is not None
    assert (shard.interruptions, shard.losses) == counts
    assert (shard.state, shard.owner, shard.fencing_token) == (ShardState.READY, None, 2)
    assert (shard.claimable_at, shard.reclaim_at, shard.failures) == (NOON + 1000, None, 0)
    assert shard == store.get_shard(run, 0)


def test_a_second_requeue_of_the_same_owner_does_nothing(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)
    first = requeue(store, run, session.session_id)

    assert requeue(store, run, session.session_id) is None
    assert requeue(store, run, session.session_id, RequeueCause.LOST) is None
    assert store.get_shard(run, 0) == first


def test_nothing_is_requeued_from_a_session_that_does_not_own_it(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)
    before = store.get_shard(run, 0)

    assert requeue(store, run, STRANGER) is None
    assert requeue(store, run, STRANGER, RequeueCause.LOST, losses_max=1) is None
    assert store.get_shard(run, 0) == before


def test_nothing_is_requeued_from_the_next_owner(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)
    requeue(store, run, session.session_id)
    other = store.open_session(a_session("worker-b"))
    current = reclaimed(store, run, other)

    assert requeue(store, run, session.session_id) is None
    store.commit(current, an_output(current))


def test_a_done_shard_is_not_requeued(store: LeaseStore, run: Run, session: Session) -> None:
    lease = leased(store, run, session)
    store.commit(lease, an_output(lease))
    done = store.get_shard(run, 0)

    assert requeue(store, run, session.session_id) is None
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is False
    assert store.get_shard(run, 0) == done


def test_a_shard_that_kills_its_workers_is_quarantined(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)
    states = []
    for _ in range(2):
        shard = requeue(store, run, session.session_id, RequeueCause.LOST, losses_max=3)
        assert shard is not None
        states.append((shard.state, shard.losses))
        reclaimed(store, run, session)

    last = requeue(store, run, session.session_id, RequeueCause.LOST, losses_max=3)

    assert states == [(ShardState.READY, 1), (ShardState.READY, 2)]
    assert last is not None
    assert (last.state, last.losses, last.owner, last.claimable_at) == (ShardState.QUARANTINED, 3, None, None)
    assert last.last_error is not None
    assert "3 workers" in last.last_error
    assert store.get_shard(run, 0) == last
    assert store.candidates(run, CapacityClass.SPOT, limit=10) == []


def test_one_loss_quarantines_when_one_is_the_limit(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)

    shard = requeue(store, run, session.session_id, RequeueCause.LOST, losses_max=1)

    assert shard is not None
    assert shard.state is ShardState.QUARANTINED


def test_losses_do_not_stop_interruptions_from_being_requeued(store: LeaseStore, run: Run, session: Session) -> None:
    leased(store, run, session)
    requeue(store, run, session.session_id, RequeueCause.LOST, losses_max=2)
    reclaimed(store, run, session)

    shard = requeue(store, run, session.session_id, RequeueCause.TERMINATED, losses_max=2)

    assert shard is not None
    assert (shard.state, shard.losses, shard.interruptions) == (ShardState.READY, 1, 1)


@pytest.mark.parametrize("cause", list(RequeueCause))
def test_the_requeue_of_a_shard_without_a_row_refuses_the_late_claim(
    store: LeaseStore, run: Run, session: Session, cause: RequeueCause
) -> None:
    store.hold(session, 0, seq=1, until=session.until)

    shard = requeue(store, run, session.session_id, cause)

    assert shard is not None
    assert (shard.state, shard.fencing_token, shard.claimable_at) == (ShardState.READY, 1, NOON)
    assert (shard.interruptions, shard.losses) == (0, 0)
    assert store.claim_fresh(run, 0, session) is None
    assert store.get_shard(run, 0) == shard
    assert reclaimed(store, run, session).fencing_token == 2


def test_a_repaired_hole_refuses_the_late_claim_and_is_repaired_once(
    store: LeaseStore, run: Run, session: Session
) -> None:
    assert store.repair_hole(run, 0) is True
    assert store.repair_hole(run, 0) is False

    assert store.claim_fresh(run, 0, session) is None
    assert reclaimed(store, run, session).fencing_token == 2


def test_a_leased_shard_is_no_hole(store: LeaseStore, run: Run, session: Session) -> None:
    lease = leased(store, run, session)

    assert store.repair_hole(run, 0) is False
    store.commit(lease, an_output(lease))
    assert store.repair_hole(run, 0) is False
