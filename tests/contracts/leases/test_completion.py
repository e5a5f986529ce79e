"""Claims about the walk that proves completion, and about reading rows."""

from spotproof.leases.model import Run, Session, ShardState
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.aws_errors import SmallPagesClient
from tests.fakes.leases import NOON, a_run, a_session, an_output, leased


def test_an_untouched_stripe_is_all_ticketless(store: LeaseStore, run: Run) -> None:
    walk = store.walk_stripe(run, 1)

    assert (walk.stripe, walk.done, walk.quarantined, walk.open, walk.missing) == (1, 0, 0, (), ())
    assert walk.ticketless == 3
    assert not walk.complete
    assert store.tickets_taken(run, 1) == 0


def test_a_walk_tells_done_quarantined_open_missing_and_ticketless(store: LeaseStore, session: Session) -> None:
    run = store.create_run(a_run(run_id="walked", shards=10, stripes=2))
    session = store.open_session(a_session(run=run))
    for _ in range(4):
        store.take_ticket(run, 0)
    done = leased(store, run, session, 0, seq=1)
    store.commit(done, an_output(done))
    store.fail(leased(store, run, session, 2, seq=2), error="x", retry_at=NOON, failures_max=1)
    leased(store, run, session, 4, seq=3)

    walk = store.walk_stripe(run, 0)

    assert (walk.done, walk.quarantined) == (1, 1)
    assert [(shard.index, shard.state) for shard in walk.open] == [(4, ShardState.LEASED)]
    assert walk.missing == (6,)
    assert walk.ticketless == 1
    assert not walk.complete


def test_a_stripe_is_complete_when_every_shard_is_final(store: LeaseStore, session: Session, run: Run) -> None:
    for seq in (1, 2, 3):
        index = store.take_ticket(run, 0)
        assert index is not None
        assert not store.walk_stripe(run, 0).complete
        lease = leased(store, run, session, index, seq=seq)
        assert not store.walk_stripe(run, 0).complete
        if seq == 2:
            store.fail(lease, error="x", retry_at=NOON, failures_max=1)
        else:
            store.commit(lease, an_output(lease))

    walk = store.walk_stripe(run, 0)

    assert walk.complete
    assert (walk.done, walk.quarantined) == (2, 1)
    assert not store.walk_stripe(run, 1).complete


def test_a_row_repaired_ahead_of_its_ticket_is_open_not_ticketless(store: LeaseStore, run: Run) -> None:
    store.repair_hole(run, 2)

    walk = store.walk_stripe(run, 0)

    assert [shard.index for shard in walk.open] == [2]
    assert (walk.missing, walk.ticketless) == ((), 2)


def test_a_shard_without_a_row_is_none(store: LeaseStore, run: Run) -> None:
    assert store.get_shard(run, 3) is None


def test_shards_come_in_stripe_order(store: LeaseStore, run: Run, session: Session) -> None:
    for index in (5, 0, 3, 2):
        store.claim_fresh(run, index, session)
    store.take_ticket(run, 0)

    assert [shard.index for shard in store.shards(run)] == [0, 2, 3, 5]


def test_everything_is_read_over_many_small_pages(backend: Backend, store: LeaseStore, session: Session) -> None:
    pages = SmallPagesClient(backend.client, items=2)
    paged = backend.store(pages)
    run = store.create_run(a_run(run_id="paged", shards=14, stripes=2))
    for _ in range(7):
        store.take_ticket(run, 0)
    opened = [store.open_session(a_session(f"w{number}", run=run, bucket=number % 2)) for number in range(9)]
    for index in range(0, 14, 2):
        lease = store.claim_fresh(run, index, opened[0])
        assert lease is not None
        store.release(lease, interrupted=False)

    assert [shard.index for shard in paged.shards(run)] == list(range(0, 14, 2))
    assert [shard.index for shard in paged.walk_stripe(run, 0).open] == list(range(0, 14, 2))
    assert {found.session_id for found in paged.sessions(run)} == {one.session_id for one in opened}
    assert len(paged.sessions_on_instance("i-0a")) == 10
    found = paged.candidates(run, store.get_shard(run, 0).capacity_class, limit=5)  # type: ignore[union-attr]
    assert len({candidate.index for candidate in found}) == 5
    for name in "abcde":
        store.create_run(a_run(run_id=name))
    assert set(paged.active_runs()) == {*"abcde", "paged", "2026-11-22"}
    assert pages.pages > 20
