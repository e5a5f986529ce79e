"""Claims about capacity classes: a shard that is interrupted too often is left to on-demand workers, by the same request."""

from collections.abc import Callable
from typing import Any

import pytest

from spotproof.leases.model import CapacityClass, RequeueCause, Run, RunOptions, Session, Shard, ShardState
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.aws_errors import CountingClient
from tests.fakes.leases import NOON, a_run, a_session, an_output, leased, reclaimed

Interruption = Callable[[LeaseStore, Run, Session], object]


def released(store: LeaseStore, run: Run, session: Session) -> None:
    store.release(taken(store, run, session), interrupted=True)


def requeued(store: LeaseStore, run: Run, session: Session) -> None:
    taken(store, run, session)
    store.requeue(run, 0, owner=session.session_id, cause=RequeueCause.TERMINATED, losses_max=4)


def taken(store: LeaseStore, run: Run, session: Session) -> Any:
    return leased(store, run, session) if store.get_shard(run, 0) is None else reclaimed(store, run, session)


def row(store: LeaseStore, run: Run) -> Shard:
    shard = store.get_shard(run, 0)
    assert shard is not None
    return shard


def listed(store: LeaseStore, run: Run) -> dict[CapacityClass, list[int]]:
    found = {each: store.candidates(run, each, limit=10) for each in CapacityClass}
    return {each: [candidate.index for candidate in candidates] for each, candidates in found.items() if candidates}


def a_started_run(store: LeaseStore, **options: Any) -> tuple[Run, Session]:
    run = store.create_run(a_run(options=RunOptions(**options)))
    return run, store.open_session(a_session())


@pytest.mark.parametrize("interrupt", [released, requeued])
def test_the_interruption_that_reaches_the_limit_changes_the_class(store: LeaseStore, interrupt: Interruption) -> None:
    run, session = a_started_run(store, on_demand_after=2)

    interrupt(store, run, session)
    first, first_listed = row(store, run), listed(store, run)
    interrupt(store, run, session)
    second = row(store, run)

    assert (first.capacity_class, first_listed) == (CapacityClass.SPOT, {CapacityClass.SPOT: [0]})
    assert (second.state, second.interruptions, second.owner) == (ShardState.READY, 2, None)
    assert (second.capacity_class, second.claimable_at, second.fencing_token) == (CapacityClass.ON_DEMAND, NOON, 4)
    assert listed(store, run) == {CapacityClass.ON_DEMAND: [0]}


@pytest.mark.parametrize("interrupt", [released, requeued])
def test_the_first_interruption_changes_the_class_if_one_is_the_limit(
    store: LeaseStore, interrupt: Interruption
) -> None:
    run, session = a_started_run(store, on_demand_after=1)

    interrupt(store, run, session)

    assert listed(store, run) == {CapacityClass.ON_DEMAND: [0]}


@pytest.mark.parametrize("never", [{"on_demand_share_max": 0.0}, {"on_demand_workers_max": 0}])
@pytest.mark.parametrize("interrupt", [released, requeued])
def test_a_run_that_may_have_no_on_demand_workers_leaves_nothing_to_them(
    store: LeaseStore, interrupt: Interruption, never: dict[str, Any]
) -> None:
    run, session = a_started_run(store, on_demand_after=1, **never)

    interrupt(store, run, session)
    interrupt(store, run, session)

    assert row(store, run).interruptions == 2
    assert listed(store, run) == {CapacityClass.SPOT: [0]}


def test_a_notice_that_is_one_too_many_is_waited_for_by_on_demand_workers(store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=2)
    released(store, run, session)
    reclaimed(store, run, session)

    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is True
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON - 9) is True
    waiting = listed(store, run)
    [candidate] = store.candidates(run, CapacityClass.ON_DEMAND, limit=10)
    other = store.open_session(a_session("worker-b"))
    lease = store.claim_requeued(run, candidate, other)

    assert waiting == {CapacityClass.ON_DEMAND: [0]}
    assert lease is not None
    assert (row(store, run).interruptions, row(store, run).capacity_class) == (2, CapacityClass.ON_DEMAND)


def test_a_notice_that_is_not_too_many_leaves_the_class(store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=2)
    leased(store, run, session)

    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is True

    assert listed(store, run) == {CapacityClass.SPOT: [0]}


def test_only_interruptions_change_the_class(store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=1)

    store.release(leased(store, run, session), interrupted=False)
    store.fail(reclaimed(store, run, session), error="x", retry_at=NOON, failures_max=9)
    reclaimed(store, run, session)
    store.requeue(run, 0, owner=session.session_id, cause=RequeueCause.LOST, losses_max=9)

    assert listed(store, run) == {CapacityClass.SPOT: [0]}


def test_a_class_once_changed_stays(store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=1)
    released(store, run, session)

    [candidate] = store.candidates(run, CapacityClass.ON_DEMAND, limit=10)
    lease = store.claim_requeued(run, candidate, session)
    assert lease is not None
    store.fail(lease, error="x", retry_at=NOON, failures_max=9)
    failed = listed(store, run)
    [candidate] = store.candidates(run, CapacityClass.ON_DEMAND, limit=10)
    lease = store.claim_requeued(run, candidate, session)
    assert lease is not None
    store.release(lease, interrupted=False)
    released_again = listed(store, run)

    assert failed == released_again == {CapacityClass.ON_DEMAND: [0]}
    [candidate] = store.candidates(run, CapacityClass.ON_DEMAND, limit=10)
    last = store.claim_requeued(run, candidate, session)
    assert last is not None
    store.commit(last, an_output(last))
    assert row(store, run).state is ShardState.DONE
    assert listed(store, run) == {}


def test_a_change_of_class_is_one_request_under_a_lease(backend: Backend, store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=1)
    lease = leased(store, run, session)
    counting = CountingClient(backend.client)

    backend.store(counting).release(lease, interrupted=True)

    assert counting.requests == ["update_item"]


def test_a_second_event_about_the_same_owner_does_nothing_at_the_limit_either(store: LeaseStore) -> None:
    run, session = a_started_run(store, on_demand_after=1)
    requeued(store, run, session)
    first = row(store, run)

    again = store.requeue(run, 0, owner=session.session_id, cause=RequeueCause.TERMINATED, losses_max=4)

    assert again is None
    assert store.drain(run, 0, owner=session.session_id, reclaim_at=NOON) is False
    assert row(store, run) == first
