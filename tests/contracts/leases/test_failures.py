"""Claims about failing requests: lost replies are recognised, throttling retried, refusals told in one line."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from spotproof.errors import AwsAccessError, AwsError, AwsMissingError, AwsUnavailableError, LeaseLostError
from spotproof.leases.model import (
    CapacityClass,
    Ledger,
    RequeueCause,
    Run,
    RunOptions,
    RunState,
    Session,
    Shard,
    ShardState,
    Stop,
    StopKind,
)
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.aws_errors import FailingClient, ReplyLosingClient, client_error
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_checkpoint, a_run, a_session, an_output, key_of, leased, reclaimed


@pytest.fixture
def unlucky(backend: Backend) -> LeaseStore:
    """A store that loses the reply of its first write, after the write took effect."""
    return backend.store(ReplyLosingClient(backend.client))


def row(store: LeaseStore, run: Run, index: int = 0) -> Shard:
    shard = store.get_shard(run, index)
    assert shard is not None
    return shard


def closed_run(store: LeaseStore, run: Run) -> Run:
    return [store.close_stripe(run.run_id, stripe).run for stripe in range(run.stripes)][-1]


def test_create_run_recognises_its_lost_reply(unlucky: LeaseStore) -> None:
    assert unlucky.create_run(a_run()) == a_run()


def test_cancel_run_recognises_its_lost_reply(unlucky: LeaseStore, run: Run) -> None:
    cancelled = unlucky.cancel_run(run.run_id, reason="why")

    assert cancelled is not None
    assert (cancelled.state, cancelled.reason) == (RunState.CANCELLED, "why")


def test_pause_and_resume_recognise_their_lost_replies(backend: Backend, run: Run) -> None:
    paused = backend.store(ReplyLosingClient(backend.client)).pause_run(run.run_id, reason="spent")
    resumed = backend.store(ReplyLosingClient(backend.client)).resume_run(run.run_id, usd_max=2.0)

    assert paused is not None
    assert (paused.state, paused.reason) == (RunState.PAUSED, "spent")
    assert resumed == replace(run, usd_max=2.0)


def test_take_finalizer_recognises_its_lost_reply(unlucky: LeaseStore, store: LeaseStore, run: Run) -> None:
    taken = unlucky.take_finalizer(closed_run(store, run), finalizer="f", ttl_s=60)

    assert taken is not None
    assert (taken.finalizer, taken.finalizer_epoch) == ("f", 1)


def test_end_run_recognises_its_lost_reply(unlucky: LeaseStore, store: LeaseStore, run: Run) -> None:
    taken = store.take_finalizer(closed_run(store, run), finalizer="f", ttl_s=60)
    assert taken is not None

    assert unlucky.end_run(taken, state=RunState.FAILED, quarantined=1, reason="r") is True
    assert store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None) is False


def test_mark_cleaned_recognises_its_lost_reply(unlucky: LeaseStore, store: LeaseStore, run: Run) -> None:
    store.cancel_run(run.run_id, reason="why")

    assert unlucky.mark_cleaned(run.run_id) is True


def test_open_session_recognises_its_lost_reply(unlucky: LeaseStore, run: Run) -> None:
    assert unlucky.open_session(a_session()) == a_session()


def test_hold_recognises_its_lost_reply(unlucky: LeaseStore, session: Session) -> None:
    assert unlucky.hold(session, 3, seq=1, until=NOON + 5) == replace(session, held=3, seq=1, until=NOON + 5)


def test_a_hold_whose_reply_was_lost_to_a_stop_does_not_claim(backend: Backend, session: Session) -> None:
    def stop() -> None:
        backend.store().mark_stop(key_of(session), Stop(kind=StopKind.NOTICE, deadline=NOON))

    unlucky = backend.store(ReplyLosingClient(backend.client, meanwhile=stop))

    assert unlucky.hold(session, 3, seq=1, until=NOON + 5) is None


def test_heartbeat_recognises_its_lost_reply(unlucky: LeaseStore, session: Session) -> None:
    beaten = unlucky.heartbeat(session, seq=1, until=NOON + 5, ledger=Ledger(work_ms=7))

    assert (beaten.seq, beaten.until, beaten.work_ms) == (1, NOON + 5, 7)


def test_end_session_recognises_its_lost_reply(unlucky: LeaseStore, session: Session) -> None:
    assert unlucky.end_session(session, ledger=Ledger()) is True


def test_marks_and_fences_recognise_their_lost_replies(backend: Backend, session: Session) -> None:
    def unlucky() -> LeaseStore:
        return backend.store(ReplyLosingClient(backend.client))

    stop = Stop(kind=StopKind.NOTICE, deadline=NOON)
    stopped = unlucky().mark_stop(key_of(session), stop)
    hinted = unlucky().mark_hint(key_of(session), until=NOON + 1)
    fenced = unlucky().fence_session(key_of(session), expired_at=None)

    assert stopped is not None
    assert hinted is not None
    assert fenced is not None
    assert (stopped.stop, hinted.hint_until, fenced.stop) == (stop, NOON + 1, stop)


def test_a_ticket_whose_reply_was_lost_leaves_a_hole_never_a_double(
    unlucky: LeaseStore, store: LeaseStore, run: Run
) -> None:
    taken = [unlucky.take_ticket(run, 0), store.take_ticket(run, 0), store.take_ticket(run, 0)]

    assert taken == [2, 4, None]
    assert store.walk_stripe(run, 0).missing == (0, 2, 4)


def test_claim_fresh_recognises_its_lost_reply(unlucky: LeaseStore, run: Run, session: Session) -> None:
    lease = unlucky.claim_fresh(run, 0, session)

    assert lease is not None
    assert lease.fencing_token == 1


def test_claim_requeued_recognises_its_lost_reply(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session
) -> None:
    store.release(leased(store, run, session), interrupted=False)

    lease = reclaimed(unlucky, run, session)

    assert lease.fencing_token == 3
    assert row(store, run).fencing_token == 3


def test_claim_of_a_drained_shard_recognises_its_lost_reply(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session
) -> None:
    leased(store, run, session)
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON)

    lease = reclaimed(unlucky, run, store.open_session(a_session("worker-b")))

    assert (lease.fencing_token, lease.interruptions) == (2, 1)
    assert row(store, run).interruptions == 1


def test_a_claim_lost_to_a_rescue_between_effect_and_reply_is_no_lease(
    backend: Backend, store: LeaseStore, run: Run, session: Session
) -> None:
    def rescue() -> None:
        backend.store().requeue(run, 0, owner=session.session_id, cause=RequeueCause.LOST, losses_max=4)

    unlucky = backend.store(ReplyLosingClient(backend.client, meanwhile=rescue))

    assert unlucky.claim_fresh(run, 0, session) is None


def test_record_checkpoint_recognises_its_lost_reply(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session
) -> None:
    lease = leased(store, run, session)

    unlucky.record_checkpoint(lease, a_checkpoint(lease, seq=4))

    assert row(store, run).checkpoint == a_checkpoint(lease, seq=4)


def test_commit_recognises_its_lost_reply(unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session) -> None:
    lease = leased(store, run, session)

    unlucky.commit(lease, an_output(lease))
    store.commit(lease, an_output(lease))  # a process that starts again may repeat it too

    assert row(store, run).state is ShardState.DONE


@pytest.mark.parametrize(("failures_max", "state"), [(3, ShardState.READY), (1, ShardState.QUARANTINED)])
def test_fail_recognises_its_lost_reply_and_counts_once(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session, failures_max: int, state: ShardState
) -> None:
    lease = leased(store, run, session)

    shard = unlucky.fail(lease, error="x", retry_at=NOON, failures_max=failures_max)

    assert (shard.state, shard.failures, shard.fencing_token) == (state, 1, 2)
    assert shard == row(store, run)


def test_release_recognises_its_lost_reply_and_counts_once(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session
) -> None:
    unlucky.release(leased(store, run, session), interrupted=True)

    assert (row(store, run).interruptions, row(store, run).fencing_token) == (1, 2)


def test_release_recognises_its_lost_reply_though_another_worker_was_quick(
    backend: Backend, store: LeaseStore, run: Run, session: Session
) -> None:
    other = store.open_session(a_session("worker-b"))
    lease = leased(store, run, session)
    unlucky = backend.store(
        ReplyLosingClient(backend.client, meanwhile=lambda: void(reclaimed(backend.store(), run, other)))
    )

    unlucky.release(lease, interrupted=True)

    assert (row(store, run).owner, row(store, run).fencing_token) == (other.session_id, 3)


def test_a_failure_is_not_taken_for_a_release(store: LeaseStore, run: Run, session: Session) -> None:
    lease = leased(store, run, session)
    store.fail(lease, error="x", retry_at=NOON, failures_max=3)

    with pytest.raises(LeaseLostError):
        store.release(lease, interrupted=False)


def test_changes_of_class_recognise_their_lost_replies_and_count_once(backend: Backend, store: LeaseStore) -> None:
    run = store.create_run(a_run(options=RunOptions(on_demand_after=1)))
    session = store.open_session(a_session())
    leases = [leased(store, run, session, index, seq=index + 1) for index in (0, 1, 2)]

    def unlucky() -> LeaseStore:
        return backend.store(ReplyLosingClient(backend.client))

    unlucky().release(leases[0], interrupted=True)
    requeued = unlucky().requeue(run, 1, owner=session.session_id, cause=RequeueCause.TERMINATED, losses_max=4)
    drained = unlucky().drain(run, 2, owner=session.session_id, reclaim_at=NOON)

    assert (row(store, run).interruptions, row(store, run).fencing_token) == (1, 2)
    assert requeued == row(store, run, 1)
    assert requeued is not None
    assert (requeued.interruptions, requeued.fencing_token) == (1, 2)
    assert drained is True
    assert {row(store, run, index).capacity_class for index in (0, 1, 2)} == {CapacityClass.ON_DEMAND}


@pytest.mark.parametrize("cause", list(RequeueCause))
@pytest.mark.parametrize("losses_max", [1, 4])
def test_requeue_recognises_its_lost_reply_and_counts_once(
    unlucky: LeaseStore, store: LeaseStore, run: Run, session: Session, cause: RequeueCause, losses_max: int
) -> None:
    leased(store, run, session)

    shard = unlucky.requeue(run, 0, owner=session.session_id, cause=cause, losses_max=losses_max)

    assert shard == row(store, run)
    assert shard is not None
    assert (shard.interruptions + shard.losses, shard.fencing_token) == (1, 2)


def test_drain_and_repair_recognise_their_lost_replies(
    backend: Backend, store: LeaseStore, run: Run, session: Session
) -> None:
    leased(store, run, session)

    drained = backend.store(ReplyLosingClient(backend.client)).drain(
        run, 0, owner=session.session_id, reclaim_at=NOON + 5
    )
    repaired = backend.store(ReplyLosingClient(backend.client)).repair_hole(run, 2)
    hole = backend.store(ReplyLosingClient(backend.client)).requeue(
        run, 4, owner=session.session_id, cause=RequeueCause.LOST, losses_max=4
    )

    assert drained is True
    assert repaired is True
    assert hole == row(store, run, 4)


CALLS: dict[str, Callable[[LeaseStore], Any]] = {
    "get_run": lambda store: store.get_run(a_run().run_id),
    "active_runs": lambda store: list(store.active_runs()),
    "open_session": lambda store: store.open_session(a_session("new")),
    "take_ticket": lambda store: store.take_ticket(a_run(), 0),
    "walk_stripe": lambda store: store.walk_stripe(a_run(), 0),
}


@pytest.mark.parametrize("call", list(CALLS))
def test_throttling_and_server_errors_are_retried_until_they_pass(backend: Backend, run: Run, call: str) -> None:
    errors = [
        client_error("ProvisionedThroughputExceededException"),
        client_error("ThrottlingException"),
        client_error("InternalServerError", status=500),
    ]
    started = backend.clock.monotonic()

    CALLS[call](backend.store(FailingClient(backend.client, [*errors])))

    assert 0.15 < backend.clock.monotonic() - started < 5


@pytest.mark.parametrize("call", list(CALLS))
def test_throttling_beyond_our_patience_is_unavailable(backend: Backend, run: Run, call: str) -> None:
    client = FailingClient(backend.client, [client_error("ThrottlingException")] * 1000)

    with pytest.raises(AwsUnavailableError, match="try again later"):
        CALLS[call](backend.store(client))
    assert 980 < len(client.errors) < 998


@pytest.mark.parametrize("call", list(CALLS))
def test_denied_access_is_told_once_with_the_table(backend: Backend, run: Run, call: str) -> None:
    client = FailingClient(backend.client, [client_error("AccessDeniedException")] * 5)

    with pytest.raises(AwsAccessError, match=r"table leases.*policy") as caught:
        CALLS[call](backend.store(client))
    assert "\n" not in str(caught.value)
    assert len(client.errors) == 4


@pytest.mark.parametrize("call", list(CALLS))
def test_a_table_that_is_gone_is_missing(backend: Backend, call: str) -> None:
    gone = Backend(client=backend.client, table="never-deployed", clock=backend.clock)

    with pytest.raises(AwsMissingError, match=r"never-deployed.*is the stack deployed"):
        CALLS[call](gone.store())


def test_any_other_refusal_is_one_line_of_ours(backend: Backend, run: Run) -> None:
    client = FailingClient(backend.client, [client_error("ValidationException")])

    with pytest.raises(AwsError, match=f"read run 2026-11-22 in table {backend.table}: ValidationException"):
        backend.store(client).get_run(run.run_id)


def test_no_attempt_starts_after_the_drain_deadline(backend: Backend, run: Run, clock: FakeClock) -> None:
    store = backend.store(FailingClient(backend.client, [client_error("ThrottlingException")] * 100))
    store._table._retrier.deadline = clock.monotonic() + 1.0  # type: ignore[attr-defined]

    with pytest.raises(AwsUnavailableError):
        store.get_run(run.run_id)
    assert clock.monotonic() < store._table._retrier.deadline  # type: ignore[attr-defined]


def void(_: object) -> None:
    return None
