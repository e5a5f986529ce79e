"""A shard that can't be worked through: who is to blame, and whether it is tried again."""

import errno
from collections.abc import Generator
from typing import Any

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError, InputChangedError
from spotproof.leases.model import Lease, ShardState
from spotproof.leases.requeue import Requeuer
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from tests.unit.worker.world import RUN, World


def test_a_raising_function_is_tried_again_and_quarantined_at_the_limit(world: World) -> None:
    def fail() -> None:
        raise ValueError("bad carrier")

    assert world.worker(world.job({2: fail})).execute() is ShardOutcome.FAILED
    assert "bad carrier" in (world.known_row().last_error or "")
    world.clock.advance(3600)

    assert world.worker(world.job({2: fail})).execute() is ShardOutcome.QUARANTINED
    assert world.output.staged == []


def test_a_function_that_calls_exit_fails_its_shard_and_not_the_worker(world: World) -> None:
    def leave() -> None:
        raise SystemExit(0)

    assert world.worker(world.job({2: leave})).execute() is ShardOutcome.FAILED


def test_changed_input_is_quarantined_at_once_with_the_objects_name(world: World) -> None:
    world.reader.error = InputChangedError("s3://b/in/x.csv changed")

    assert world.worker(world.job()).execute() is ShardOutcome.QUARANTINED
    assert "s3://b/in/x.csv" in (world.known_row().last_error or "")


def test_when_s3_stays_down_the_shard_is_handed_back_without_blame(world: World) -> None:
    world.reader.error = AwsUnavailableError("S3 503")

    assert world.worker(world.job()).execute() is ShardOutcome.RELEASED
    row = world.known_row()
    assert (row.failures, row.interruptions, row.state) == (0, 0, ShardState.READY)


def test_a_shard_that_could_not_be_handed_back_ends_its_session_and_is_rescued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reader.error = AwsUnavailableError("S3 503")
    worker = world.worker(world.job())

    def refuse(lease: Lease, *, interrupted: bool, worked_ms: int) -> None:
        raise AwsUnavailableError("DynamoDB 503")

    monkeypatch.setattr(world.store, "release", refuse)

    assert worker.execute() is ShardOutcome.LOST
    assert worker.session.lost  # or the next hold would take the shard's cover away, and nobody would rescue it
    worker.session.close()
    world.clock.advance(91)
    Requeuer(world.store).rescue_expired(RUN, to_epoch_ms(world.clock.now()))
    assert world.known_row().state is ShardState.READY


def test_a_full_scratch_disk_is_a_failure_that_says_so(world: World) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert world.worker(world.job({2: fill})).execute() is ShardOutcome.UNFIT
    assert "disk" in (world.known_row().last_error or "")


def test_running_out_of_memory_fails_the_shard_and_makes_the_worker_unfit(world: World) -> None:
    def allocate() -> None:
        raise MemoryError

    assert world.worker(world.job({2: allocate})).execute() is ShardOutcome.UNFIT
    assert world.known_row().failures == 1
    assert "memory" in (world.known_row().last_error or "")


def test_a_value_that_cannot_be_saved_fails_the_shard_by_its_key(world: World) -> None:
    def job(shard: ShardHandle, state: Any) -> Generator[None, None, Any]:
        state["socket"] = object()
        yield

    assert world.worker(job).execute() is ShardOutcome.FAILED
    assert "socket" in (world.known_row().last_error or "")
