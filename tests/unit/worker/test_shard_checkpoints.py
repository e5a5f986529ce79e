"""A shard's saves and restores: what is not saved, and what becomes of those that fail."""

from typing import Any

import pytest

from spotproof.errors import AwsUnavailableError, CheckpointTooNewError
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.model import CheckpointPointer, Lease, ShardState
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.session import WorkerSession
from tests.unit.worker.world import TOTAL, World, notice


def test_behind_an_open_output_file_nothing_is_saved_and_the_shard_is_replayed_from_before_it(world: World) -> None:
    worker = world.worker(world.job())

    def open_file() -> None:
        world.output.started = True

    worker.function = world.job({5: open_file, 9: lambda: worker.monitor.offer(notice(world, in_s=1))})

    assert worker.execute() is ShardOutcome.RELEASED
    pointer = world.known_row().checkpoint
    assert pointer is not None
    assert pointer.seq == 1  # of step 3; the one due at step 6 was not made


def test_a_checkpoint_of_a_newer_worker_ends_this_one_and_keeps_the_shard(world: World) -> None:
    worker = world.worker(world.job())

    def refuse(pointer: CheckpointPointer | None) -> Any:
        raise CheckpointTooNewError("schema 99; upgrade the worker")

    worker.engine.restore = refuse  # type: ignore[method-assign]

    with pytest.raises(CheckpointTooNewError):
        worker.execute()
    assert world.known_row().state is ShardState.READY
    assert world.known_row().failures == 0


def test_a_restore_that_fails_takes_nothing_from_the_work_of_earlier_shards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_lease = world.lease

    def lease_after_useful_work() -> tuple[Lease, WorkerSession, Monitor, LedgerBook]:
        lease, session, monitor, ledger = first_lease()
        with ledger.span(Spent.WORK):
            world.clock.advance(7)
        return lease, session, monitor, ledger

    def refuse(pointer: CheckpointPointer | None) -> Any:
        raise AwsUnavailableError("S3 503")

    monkeypatch.setattr(world, "lease", lease_after_useful_work)
    worker = world.worker(world.job())
    worker.engine.restore = refuse  # type: ignore[method-assign]

    assert worker.execute() is ShardOutcome.RELEASED
    assert (worker.ledger.seconds(Spent.WORK), worker.ledger.seconds(Spent.REDONE)) == (7, 0)


def test_a_save_that_fails_costs_nothing_but_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise AwsUnavailableError("S3 503")

    monkeypatch.setattr(world.objects, "put", refuse)
    monkeypatch.setattr(world.objects, "put_if_absent", lambda *a, **k: refuse("", b""))

    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED
    assert world.output.published == [str(TOTAL)]
