"""Claims about workers that do the same thing at the same time: one of them wins."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import pytest

from spotproof.errors import LeaseLostError
from spotproof.leases.model import (
    CapacityClass,
    ClosedStripe,
    RequeueCause,
    Run,
    RunId,
    Session,
    ShardState,
    Stop,
    StopKind,
)
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.leases import NOON, a_session, an_output, key_of, leased

RACERS = 16
_OTHER = RunId("other")
T = TypeVar("T")
Race = Callable[[Callable[[LeaseStore, int], T]], list[T]]


@pytest.fixture
def race(backend: Backend) -> Iterator[Callable[[Callable[[LeaseStore, int], object]], list[object]]]:
    """Runs the same step in 16 threads, each with a store of its own."""
    stores = [backend.store() for _ in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        yield lambda step: list(pool.map(step, stores, range(RACERS)))


@pytest.fixture
def racers(store: LeaseStore, run: Run) -> list[Session]:
    return [store.open_session(a_session(f"racer-{number}")) for number in range(RACERS)]


def test_tickets_taken_at_once_are_all_different(run: Run, race: Race[int | None]) -> None:
    taken = race(lambda store, _: store.take_ticket(run, 0))

    assert sorted(index for index in taken if index is not None) == [0, 2, 4]
    assert taken.count(None) == RACERS - 3


def test_a_fresh_shard_has_one_winner(store: LeaseStore, run: Run, racers: list[Session], race: Race[object]) -> None:
    leases = race(lambda own, number: own.claim_fresh(run, 0, racers[number]))

    [winner] = [number for number, lease in enumerate(leases) if lease is not None]
    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.owner, shard.fencing_token) == (racers[winner].session_id, 1)


@pytest.mark.parametrize("drained", [False, True])
def test_a_claimable_shard_has_one_winner(
    store: LeaseStore, run: Run, session: Session, racers: list[Session], race: Race[object], drained: bool
) -> None:
    lease = leased(store, run, session)
    if drained:
        store.drain(run, 0, owner=session.session_id, reclaim_at=NOON)
    else:
        store.release(lease, interrupted=False)
    [candidate] = store.candidates(run, CapacityClass.SPOT, limit=1)

    leases = race(lambda own, number: own.claim_requeued(run, candidate, racers[number]))

    [winner] = [number for number, lease in enumerate(leases) if lease is not None]
    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.owner, shard.fencing_token) == (racers[winner].session_id, candidate.fencing_token + 1)


def test_a_lease_is_taken_away_once(store: LeaseStore, run: Run, session: Session, race: Race[object]) -> None:
    leased(store, run, session)
    causes = list(RequeueCause)

    taken = race(
        lambda own, number: own.requeue(
            run, 0, owner=session.session_id, cause=causes[number % len(causes)], losses_max=4
        )
    )

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert sum(1 for one in taken if one is not None) == 1
    assert (shard.interruptions + shard.losses, shard.fencing_token) == (1, 2)


def test_commit_and_requeue_exclude_each_other(
    store: LeaseStore, run: Run, session: Session, race: Race[object]
) -> None:
    lease = leased(store, run, session)

    def step(own: LeaseStore, number: int) -> object:
        if number % 2:
            return own.requeue(run, 0, owner=session.session_id, cause=RequeueCause.LOST, losses_max=4)
        try:
            own.commit(lease, an_output(lease))
        except LeaseLostError:
            return None
        return "committed"

    outcomes = race(step)

    shard = store.get_shard(run, 0)
    assert shard is not None
    committed = outcomes.count("committed")
    requeued = sum(1 for outcome in outcomes if outcome not in (None, "committed"))
    if shard.state is ShardState.DONE:
        assert (committed, requeued) == (RACERS // 2, 0)  # a repeated commit of the same output is recognised
    else:
        assert (committed, requeued) == (0, 1)


def test_claim_and_repair_of_a_hole_exclude_each_other(
    store: LeaseStore, run: Run, racers: list[Session], race: Race[object]
) -> None:
    def step(own: LeaseStore, number: int) -> object:
        return own.repair_hole(run, 0) or None if number % 2 else own.claim_fresh(run, 0, racers[number])

    outcomes = [outcome for outcome in race(step) if outcome is not None]

    assert len(outcomes) == 1
    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.state is ShardState.READY) == (outcomes[0] is True)


def test_a_run_has_one_finalizer(store: LeaseStore, run: Run, race: Race[object]) -> None:
    for stripe in range(run.stripes):
        run = store.close_stripe(run.run_id, stripe).run

    taken = race(lambda own, number: own.take_finalizer(run, finalizer=f"f{number}", ttl_s=60))

    assert sum(1 for one in taken if one is not None) == 1


def test_one_planner_wins_and_all_join(store: LeaseStore, run: Run, race: Race[Run]) -> None:
    planned = race(lambda own, number: own.create_run(replace(run, run_id=_OTHER, plan_key=f"plan-{number}")))

    assert len({one.plan_key for one in planned}) == 1
    assert store.get_run(_OTHER) == planned[0]


def test_stripes_closed_at_once_are_all_in_the_set(store: LeaseStore, run: Run, race: Race[ClosedStripe]) -> None:
    race(lambda own, number: own.close_stripe(run.run_id, number))

    stored = store.get_run(run.run_id)
    assert stored is not None
    assert stored.closed == frozenset(range(RACERS))


def test_of_many_that_close_one_stripe_at_once_one_is_the_first(run: Run, race: Race[ClosedStripe]) -> None:
    closed = race(lambda own, _: own.close_stripe(run.run_id, 0))

    assert sum(one.first for one in closed) == 1


def test_the_deadline_is_one_of_those_offered_for_all_who_ask(
    store: LeaseStore, session: Session, race: Race[Session | None]
) -> None:
    marked = race(
        lambda own, number: own.mark_stop(key_of(session), Stop(kind=StopKind.NOTICE, deadline=NOON + number))
    )

    assert len({one.stop for one in marked if one is not None}) == 1
