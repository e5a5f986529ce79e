"""What can be wrong with staging besides the value, the disk and AWS: no lease is left behind without a word."""

from pathlib import Path
from typing import Any

import pytest

from spotproof import events
from spotproof.commits.buckets import InMemoryOutputBuckets
from spotproof.commits.names import value_name
from spotproof.commits.staging import attempt_prefix
from spotproof.errors import ConfigurationError
from spotproof.leases.model import OutputPointer, ShardState
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_run import ShardRun
from spotproof.worker.sink import ShardSink
from tests.unit.worker.world import RUN, World


def staging(world: World, folder: Path, *, foreign: bool) -> ShardRun:
    """A worker that stages for real; with `foreign`, other bytes are at its first key already."""
    worker = world.worker(world.job())
    buckets = InMemoryOutputBuckets(world.objects)
    worker.sink = ShardSink(lease=worker.lease, run=RUN, buckets=buckets, scratch_dir=str(folder))
    if foreign:
        key = f"{attempt_prefix(worker.lease)}{value_name(0, 'json')}"
        assert world.objects.put_if_absent(key, b"not ours", content_type="application/json")
    return worker


def test_a_conflict_in_the_staging_folder_fails_the_shard_and_the_next_attempt_does_it(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "spotproof")

    assert staging(world, tmp_path, foreign=True).execute() is ShardOutcome.FAILED

    row = world.known_row()
    assert (row.state, row.failures) == (ShardState.READY, 1)
    assert row.last_error is not None
    assert row.last_error.startswith("output-conflict: OutputConflictError: staging/")
    [said] = [vars(each) for each in caplog.records if each.msg == events.SHARD_FAILED]
    assert said["kind"] == "output-conflict"
    world.clock.advance(60)
    assert staging(world, tmp_path, foreign=False).execute() is ShardOutcome.COMMITTED  # in a folder of its own


def test_a_conflict_in_each_attempt_ends_with_a_quarantine_that_says_why(world: World, tmp_path: Path) -> None:
    outcomes = []
    for _ in range(RUN.options.failures_max):
        outcomes.append(staging(world, tmp_path, foreign=True).execute())
        world.clock.advance(600)

    assert outcomes == [ShardOutcome.FAILED, ShardOutcome.QUARANTINED]
    assert "holds other bytes" in (world.known_row().last_error or "")


def test_a_worker_that_lacks_what_writes_the_output_hands_its_shard_back_before_it_ends(world: World) -> None:
    def lacking(value: Any) -> OutputPointer:
        raise ConfigurationError("a table needs pyarrow")

    worker = world.worker(world.job())
    worker.sink.stage = lacking  # type: ignore[method-assign]

    with pytest.raises(ConfigurationError, match="pyarrow"):
        worker.execute()

    row = world.known_row()
    assert (row.state, row.failures) == (ShardState.READY, 0)
