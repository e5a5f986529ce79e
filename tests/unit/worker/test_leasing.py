"""How a worker spreads over stripes, and which shards it may take."""

import random
from dataclasses import replace
from typing import Any, cast

import pytest

from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import CapacityClass, Host, Run, RunOptions, Session, SessionId
from spotproof.retries import Retrier
from spotproof.worker.leasing import LeaseFinder, classes_for, stripe_order, try_share
from spotproof.worker.session import WorkerSession
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run, a_session

RUN = a_run(shards=40, stripes=20)


class Holding:
    """A worker's session that can always hold."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def hold(self, _index: int) -> bool:
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> InMemoryLeaseStore:
    store = InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(0)))
    store.create_run(RUN)
    return store


def finder(
    store: InMemoryLeaseStore,
    name: str,
    clock: FakeClock | None = None,
    *,
    run: Run = RUN,
    lifecycle: str = "spot",
    exhausted: bool = False,
) -> LeaseFinder:
    host = Host(instance_id="i-0a", lifecycle=lifecycle)
    session: Any = cast(WorkerSession, Holding(a_session(name, run=RUN, host=host)))
    if exhausted:
        for stripe in range(RUN.stripes):
            while store.take_ticket(RUN, stripe) is not None:
                store.exhaust_stripe(RUN.run_id, stripe)
    return LeaseFinder(store=store, session=session, run=run, rng=random.Random(name), clock=clock or FakeClock())


def stored(store: InMemoryLeaseStore) -> Run:
    run = store.get_run(RUN.run_id)
    assert run is not None
    return run


def test_all_shards_are_found_and_every_stripe_ends_exhausted(store: InMemoryLeaseStore) -> None:
    one = finder(store, "a")

    found = [lease.index for lease in iter(one.next_lease, None)]

    assert sorted(found) == list(range(RUN.shards))
    assert stored(store).exhausted == frozenset(range(RUN.stripes))
    assert store.usage().refused == 0  # who takes a stripe's last ticket says so


def test_a_late_worker_learns_from_one_refusal_what_the_others_found(store: InMemoryLeaseStore) -> None:
    for _ in iter(finder(store, "early").next_lease, None):
        pass
    refused_before = store.usage().refused

    assert finder(store, "late").next_lease() is None

    assert store.usage().refused - refused_before == 1


def test_a_refused_worker_says_so_if_the_last_one_died_before(store: InMemoryLeaseStore) -> None:
    for stripe in range(RUN.stripes):
        while store.take_ticket(RUN, stripe) is not None:
            pass

    assert finder(store, "a").next_lease() is None
    assert stored(store).exhausted == frozenset(range(RUN.stripes))


def test_workers_whose_home_is_exhausted_spread_over_the_others(store: InMemoryLeaseStore) -> None:
    home = stripe_order(SessionId("w0"), RUN.stripes)[0]
    same_home = [f"w{n}" for n in range(400) if stripe_order(SessionId(f"w{n}"), RUN.stripes)[0] == home][:10]
    store.take_ticket(RUN, home)
    store.take_ticket(RUN, home)

    leases = [finder(store, name).next_lease() for name in same_home]

    assert len({lease.stripe for lease in leases if lease is not None}) > 4


def test_every_stripe_is_tried_once_and_sessions_begin_at_different_ones() -> None:
    orders = [stripe_order(SessionId(f"session-{n}"), 8) for n in range(64)]

    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({order[0] for order in orders}) > 4


def test_few_try_a_shard_that_just_became_claimable_and_all_do_after_a_second() -> None:
    shares = [try_share(claimable_ms=ms) for ms in (-600_000, 0, 125, 500, 1_000, 600_000)]

    assert shares == [1 / 256, 1 / 256, 1 / 128, 1 / 16, 1.0, 1.0]


def test_a_large_fleet_leaves_a_young_shard_to_a_few(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    claimed = store.claim_fresh(RUN, 0, a_session("first", run=RUN))
    assert claimed is not None
    store.release(claimed, interrupted=True)
    finders = [finder(store, f"w{n}", clock) for n in range(10)]

    found = [lease.index for one in finders if (lease := one.next_lease()) is not None]

    assert 0 not in found
    clock.advance(1)
    late = finder(store, "late", clock).next_lease()
    assert late is not None
    assert late.index == 0


def test_who_cares_for_the_others_tries_it_at_once(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    claimed = store.claim_fresh(RUN, 0, a_session("first", run=RUN))
    assert claimed is not None
    store.release(claimed, interrupted=True)

    lease = finder(store, "carer", clock).next_lease(eager=True)

    assert lease is not None
    assert lease.index == 0


OFTEN = replace(RUN, options=RunOptions(on_demand_after=1, fallback_after_s=60))


def left_to_on_demand(store: InMemoryLeaseStore, index: int = 0) -> None:
    claimed = store.claim_fresh(OFTEN, index, a_session("first", run=RUN))
    assert claimed is not None
    store.release(claimed, interrupted=True)


def test_a_shard_that_no_on_demand_worker_came_for_is_taken_by_the_one_that_cares(
    store: InMemoryLeaseStore, clock: FakeClock
) -> None:
    left_to_on_demand(store)
    carer = finder(store, "carer", clock, run=OFTEN, exhausted=True)

    at_once = carer.next_lease(eager=True)
    clock.advance(59.9)
    early = carer.next_lease(eager=True)
    clock.advance(0.1)
    others = carer.next_lease()
    lease = carer.next_lease(eager=True)

    assert at_once is early is others is None
    assert lease is not None
    assert lease.index == 0


def test_what_is_left_to_on_demand_workers_is_taken_by_them_at_once(
    store: InMemoryLeaseStore, clock: FakeClock
) -> None:
    left_to_on_demand(store)
    clock.advance(1)

    lease = finder(store, "w", clock, run=OFTEN, lifecycle="on-demand").next_lease()

    assert lease is not None
    assert lease.index == 0


@pytest.mark.parametrize(("lifecycle", "eager"), [("on-demand", True), ("spot", True), ("on-demand", False)])
def test_nobody_looks_into_a_class_twice(
    store: InMemoryLeaseStore, clock: FakeClock, lifecycle: str, eager: bool
) -> None:
    worker = finder(store, "w", clock, run=OFTEN, lifecycle=lifecycle, exhausted=True)
    worker.next_lease()  # learns that there are no tickets
    before = store.usage().requests

    assert worker.next_lease(eager=eager) is None

    assert store.usage().requests - before == 2


def test_it_is_looked_for_when_there_is_nothing_else(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    left_to_on_demand(store)
    clock.advance(600)
    carer = finder(store, "carer", clock, run=OFTEN)
    before = store.usage()

    lease = carer.next_lease(eager=True)

    assert lease is not None
    assert lease.index != 0
    assert store.usage().read_units - before.read_units <= 0.5  # one look at the claimable index, as for all others


def test_a_spot_worker_leaves_shards_for_on_demand_alone() -> None:
    assert classes_for("spot") == (CapacityClass.SPOT,)
    assert classes_for("") == (CapacityClass.SPOT,)


def test_an_on_demand_worker_takes_its_own_class_first() -> None:
    assert classes_for("on-demand") == (CapacityClass.ON_DEMAND, CapacityClass.SPOT)
