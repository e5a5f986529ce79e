"""Claims about writes under a lease: only the owner with the current token changes the row."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from spotproof.errors import LeaseLostError
from spotproof.leases.model import (
    CapacityClass,
    CheckpointPointer,
    Lease,
    OutputPointer,
    RequeueCause,
    Run,
    RunId,
    RunOptions,
    Session,
    ShardState,
    ShardUsage,
)
from spotproof.leases.shard_items import ERROR_CHARS_MAX
from spotproof.leases.store import LeaseStore
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_checkpoint, a_run, a_session, an_output, leased, reclaimed

WRITES: dict[str, Callable[[LeaseStore, Lease], object]] = {
    "checkpoint": lambda store, lease: store.record_checkpoint(lease, a_checkpoint(lease, seq=9)),
    "commit": lambda store, lease: store.commit(lease, an_output(lease)),
    "fail": lambda store, lease: store.fail(lease, error="x", retry_at=NOON, failures_max=3),
    "release": lambda store, lease: store.release(lease, interrupted=True),
}


@pytest.fixture
def lease(store: LeaseStore, run: Run, session: Session) -> Lease:
    return leased(store, run, session)


def take_away(store: LeaseStore, run: Run, session: Session) -> None:
    taken = store.requeue(run, 0, owner=session.session_id, cause=RequeueCause.TERMINATED, losses_max=4)
    assert taken is not None


def test_the_pointer_moves_forward(store: LeaseStore, run: Run, lease: Lease) -> None:
    store.record_checkpoint(lease, a_checkpoint(lease, seq=1))
    store.record_checkpoint(lease, a_checkpoint(lease, seq=2))

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert shard.checkpoint == a_checkpoint(lease, seq=2)


@pytest.mark.parametrize("seq", [1, 2])
def test_the_pointer_never_goes_back(store: LeaseStore, run: Run, lease: Lease, seq: int) -> None:
    store.record_checkpoint(lease, a_checkpoint(lease, seq=2))
    other = replace(a_checkpoint(lease, seq=seq), manifest_key=a_checkpoint(lease, seq=7).manifest_key)

    with pytest.raises(LeaseLostError, match="can't go back"):
        store.record_checkpoint(lease, other)
    shard = store.get_shard(run, 0)
    assert shard is not None
    assert shard.checkpoint == a_checkpoint(lease, seq=2)


def test_the_pointer_never_goes_back_for_the_next_owner_either(
    store: LeaseStore, run: Run, session: Session, lease: Lease
) -> None:
    store.record_checkpoint(lease, a_checkpoint(lease, seq=5))
    store.release(lease, interrupted=True)
    again = reclaimed(store, run, session)

    with pytest.raises(LeaseLostError):
        store.record_checkpoint(again, a_checkpoint(again, seq=5))
    store.record_checkpoint(again, a_checkpoint(again, seq=6))


@pytest.mark.parametrize("key", ["checkpoints/other/00000000/x", "checkpoints/2026-11-22/00000001/x", ""])
def test_a_foreign_checkpoint_is_not_pointed_to(store: LeaseStore, lease: Lease, key: str) -> None:
    with pytest.raises(ValueError, match="does not belong to this shard"):
        store.record_checkpoint(lease, CheckpointPointer(manifest_key=key, seq=1))


def test_a_commit_makes_the_shard_done_with_its_output(
    store: LeaseStore, run: Run, session: Session, lease: Lease, clock: FakeClock
) -> None:
    store.record_checkpoint(lease, a_checkpoint(lease))
    clock.advance(4)

    store.commit(lease, an_output(lease))

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.state, shard.output, shard.done_at) == (ShardState.DONE, an_output(lease), NOON + 4000)
    assert (shard.owner, shard.fencing_token, shard.checkpoint) == (session.session_id, 1, a_checkpoint(lease))


def a_usage(lease: Lease, *, worked_ms: int = 61_000, input_bytes: int = 10**9, peak_mib: int = 512) -> ShardUsage:
    return ShardUsage(
        session=lease.owner, worked_ms=worked_ms, input_bytes=input_bytes, peak_mib=peak_mib, cpu_ms=3 * worked_ms
    )


@pytest.mark.parametrize(("worked_ms", "input_bytes", "peak_mib"), [(61_000, 10**12, 512), (1, 2, 0), (0, 0, 0)])
def test_what_a_shard_took_is_kept_with_its_commit(
    store: LeaseStore, run: Run, lease: Lease, worked_ms: int, input_bytes: int, peak_mib: int
) -> None:
    usage = a_usage(lease, worked_ms=worked_ms, input_bytes=input_bytes, peak_mib=peak_mib)

    store.commit(lease, an_output(lease), usage=usage)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert shard.usage == usage


def test_a_shard_that_nobody_measured_says_so(store: LeaseStore, run: Run, lease: Lease) -> None:
    store.commit(lease, an_output(lease))

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.usage, shard.earlier_ms) == (None, 0)


def test_what_was_worked_under_earlier_leases_adds_up(
    store: LeaseStore, run: Run, session: Session, lease: Lease
) -> None:
    store.release(lease, interrupted=True, worked_ms=1000)
    store.fail(reclaimed(store, run, session), error="x", retry_at=NOON, failures_max=9, worked_ms=200)
    store.release(reclaimed(store, run, session), interrupted=False)
    last = reclaimed(store, run, session)
    store.commit(last, an_output(last), usage=a_usage(last))

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.earlier_ms, shard.usage) == (1200, a_usage(last))


def test_what_a_quarantined_shard_took_is_kept(store: LeaseStore, lease: Lease) -> None:
    shard = store.fail(lease, error="poison", retry_at=NOON, failures_max=1, worked_ms=70)

    assert (shard.earlier_ms, shard.usage) == (70, None)


def test_what_was_worked_before_a_change_of_class_is_kept(store: LeaseStore) -> None:
    run = store.create_run(a_run(run_id=RunId("often"), options=RunOptions(on_demand_after=1)))
    lease = leased(store, run, store.open_session(a_session(run=run)))

    store.release(lease, interrupted=True, worked_ms=70)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.earlier_ms, shard.capacity_class) == (70, CapacityClass.ON_DEMAND)


def test_an_output_of_many_files_is_named_by_its_staged_list(store: LeaseStore, run: Run, lease: Lease) -> None:
    listed = an_output(lease).files[0].staged_key + ".list"
    output = OutputPointer(files=(), manifest_key=listed, sha256="e" * 64, size_bytes=10**12, records=10**9)

    store.commit(lease, output)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert shard.output == output


def test_an_empty_output_reads_back(store: LeaseStore, run: Run, lease: Lease) -> None:
    output = OutputPointer(files=(), manifest_key=None, sha256="e" * 64, size_bytes=0, records=0)

    store.commit(lease, output)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert shard.output == output


def test_an_output_staged_elsewhere_is_refused(store: LeaseStore, lease: Lease) -> None:
    [file] = an_output(lease).files
    foreign = replace(an_output(lease), files=(replace(file, staged_key="staging/other/00000000/1-w/part"),))

    with pytest.raises(ValueError, match="does not belong to this shard"):
        store.commit(lease, foreign)


@pytest.mark.parametrize("write", list(WRITES))
def test_a_done_shard_is_final(store: LeaseStore, run: Run, lease: Lease, write: str) -> None:
    store.commit(lease, an_output(lease, "c"))
    done = store.get_shard(run, 0)

    if write == "commit":
        with pytest.raises(LeaseLostError):
            store.commit(lease, an_output(lease, "d"))
    else:
        with pytest.raises(LeaseLostError):
            WRITES[write](store, lease)
    assert store.get_shard(run, 0) == done


@pytest.mark.parametrize("write", list(WRITES))
def test_a_quarantined_shard_is_final(store: LeaseStore, run: Run, lease: Lease, write: str) -> None:
    store.fail(lease, error="poison", retry_at=NOON, failures_max=1)
    quarantined = store.get_shard(run, 0)

    if write == "fail":
        with pytest.raises(LeaseLostError):
            store.fail(replace(lease, fencing_token=2), error="x", retry_at=NOON, failures_max=1)
    else:
        with pytest.raises(LeaseLostError):
            WRITES[write](store, lease)
    assert store.get_shard(run, 0) == quarantined


@pytest.mark.parametrize("write", list(WRITES))
def test_a_zombie_is_refused_after_a_requeue(
    store: LeaseStore, run: Run, session: Session, lease: Lease, write: str
) -> None:
    take_away(store, run, session)
    before = store.get_shard(run, 0)

    with pytest.raises(LeaseLostError, match="stop writing this shard"):
        WRITES[write](store, lease)
    assert store.get_shard(run, 0) == before


@pytest.mark.parametrize("write", list(WRITES))
def test_a_zombie_is_refused_when_another_owner_leases_the_shard(
    store: LeaseStore, run: Run, session: Session, lease: Lease, write: str
) -> None:
    take_away(store, run, session)
    other = store.open_session(a_session("worker-b"))
    current = reclaimed(store, run, other)
    before = store.get_shard(run, 0)

    with pytest.raises(LeaseLostError):
        WRITES[write](store, lease)
    assert store.get_shard(run, 0) == before
    store.commit(current, an_output(current))


@pytest.mark.parametrize("write", list(WRITES))
def test_a_stale_token_is_refused_even_for_the_same_owner(
    store: LeaseStore, run: Run, session: Session, lease: Lease, write: str
) -> None:
    store.release(lease, interrupted=False)
    current = reclaimed(store, run, session)
    before = store.get_shard(run, 0)

    if write == "release":  # its own release of that lease did happen
        store.release(lease, interrupted=False)
    else:
        with pytest.raises(LeaseLostError):
            WRITES[write](store, lease)
    assert store.get_shard(run, 0) == before
    assert current.fencing_token == 3


@pytest.mark.parametrize("write", list(WRITES))
def test_a_shard_without_a_row_can_not_be_written(store: LeaseStore, run: Run, lease: Lease, write: str) -> None:
    with pytest.raises(LeaseLostError, match="has no row"):
        WRITES[write](store, replace(lease, index=2))
    assert store.get_shard(run, 2) is None


def test_a_drained_owner_still_commits_before_anybody_claims(
    store: LeaseStore, run: Run, session: Session, lease: Lease
) -> None:
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 120_000)

    store.commit(lease, an_output(lease))

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.state, shard.reclaim_at, shard.claimable_at) == (ShardState.DONE, None, None)


def test_failures_count_up_to_the_quarantine(store: LeaseStore, run: Run, session: Session, lease: Lease) -> None:
    first = store.fail(lease, error="ValueError: bad row", retry_at=NOON, failures_max=3)
    second = store.fail(reclaimed(store, run, session), error="again", retry_at=NOON, failures_max=3)
    third = store.fail(reclaimed(store, run, session), error="for good", retry_at=NOON, failures_max=3)

    assert [shard.failures for shard in (first, second, third)] == [1, 2, 3]
    assert [shard.state.value for shard in (first, second, third)] == ["READY", "READY", "QUARANTINED"]
    assert [shard.last_error for shard in (first, second, third)] == ["ValueError: bad row", "again", "for good"]
    assert [shard.claimable_at for shard in (first, second, third)] == [NOON, NOON, None]
    assert third.owner is None
    assert third == store.get_shard(run, 0)


def test_interruptions_are_not_failures(store: LeaseStore, run: Run, session: Session, lease: Lease) -> None:
    store.release(lease, interrupted=True)
    again = reclaimed(store, run, session)
    store.release(again, interrupted=False)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.failures, shard.interruptions, shard.losses) == (0, 1, 0)


def test_a_released_shard_has_no_owner_and_is_claimable_now(
    store: LeaseStore, run: Run, session: Session, lease: Lease, clock: FakeClock
) -> None:
    store.drain(run, 0, owner=session.session_id, reclaim_at=NOON + 120_000)
    clock.advance(2)

    store.release(lease, interrupted=True)

    shard = store.get_shard(run, 0)
    assert shard is not None
    assert (shard.state, shard.owner, shard.fencing_token) == (ShardState.READY, None, 2)
    assert (shard.claimable_at, shard.reclaim_at) == (NOON + 2000, None)


def test_a_long_error_is_cut_to_one_line(store: LeaseStore, lease: Lease) -> None:
    shard = store.fail(lease, error="a\n  b " + "é" * 5000, retry_at=NOON, failures_max=3)

    assert shard.last_error is not None
    assert shard.last_error.startswith("a b é")
    assert len(shard.last_error) == ERROR_CHARS_MAX
