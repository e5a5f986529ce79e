"""Restoring: where bytes go, and what a host without room makes of it."""

import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from spotproof import events
from spotproof.checkpoints.images.file import LiveFile
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.restore import PROGRESS_EVERY_S
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import AwsUnavailableError, ScratchFullError
from tests.fakes.clock import FakeClock
from tests.unit.checkpoints.builders import TINY, make_engine, save
from tests.unit.checkpoints.owners import Owners


def test_a_disk_that_fills_up_while_a_file_is_restored_is_a_full_disk(tmp_path: Path) -> None:
    live = LiveFile(tmp_path / "work.bin", scratch_dir=str(tmp_path), loading=os.open("/dev/full", os.O_RDWR))

    with pytest.raises(ScratchFullError, match=r"work\.bin"):
        live.load(np.ones(9000, np.uint8), 0, 9000)
    live.release()


def test_a_restore_by_many_threads_is_the_same_as_by_one(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    rng = np.random.default_rng(1)
    rows = owners.state.array("rows", (500, 64), "float32")
    for _ in range(20):
        rows[rng.integers(0, 500, 9)] = rng.standard_normal((9, 64))
        owners.save()
    owners.spawner = ThreadSpawner()

    assert np.array_equal(owners.look().array("rows", (500, 64), "float32"), rows)


def test_a_restore_that_reads_nothing_of_an_untouched_array_costs_no_request_for_it(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    owners.state.array("rows", 10**6)
    owners.save()
    owners.take_over()

    assert owners.restored.requests == 1


def test_a_long_restore_tells_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    class Slow(InMemoryObjectStore):
        def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
            clock.advance(PROGRESS_EVERY_S / 2)
            return super().get_into(key, target, offset=offset)

    objects = Slow()
    engine = make_engine(objects, sizes=TINY)
    state = engine.restore(None).state
    state.array("rows", 10_000)[:] = np.random.default_rng(1).standard_normal(10_000)
    pointer = save(engine, state).pointer
    with caplog.at_level(logging.INFO):
        make_engine(objects, token=2, sizes=TINY, clock=clock).restore(pointer)

    told = [vars(each) for each in caplog.records if each.message == events.CHECKPOINT_RESTORING]
    assert len(told) >= 3
    assert all(0 < each["read_bytes"] <= each["total_bytes"] for each in told)


def test_restored_memory_goes_on_being_tracked(tmp_path: Path) -> None:
    for number, tracker in enumerate(("compare", "auto")):
        folder = tmp_path / str(number)
        folder.mkdir()
        owners = Owners(folder, tracker=tracker)  # type: ignore[arg-type]
        owners.state.array("rows", 50_000)[:] = 1
        owners.save()
        rows = owners.take_over().array("rows", 50_000)
        assert owners.save() is None, "a restore is no change"
        rows[40_000] = 2
        saved = owners.save()

        assert saved is not None
        assert saved.size_bytes < 10_000, "of 400,000"
        assert owners.look().array("rows", 50_000)[40_000] == 2


def test_a_bucket_that_fails_while_many_read_is_an_error_and_no_fallback(tmp_path: Path) -> None:
    class Down(InMemoryObjectStore):
        reads = 0
        lock = threading.Lock()
        broken = False

        def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
            with self.lock:
                self.reads += 1
                failing = self.broken and self.reads > 3
            if failing:
                raise AwsUnavailableError("read: down")
            return super().get_into(key, target, offset=offset)

    objects = Down()
    owners = Owners(tmp_path, objects=objects, spawner=ThreadSpawner())
    owners.state.array("rows", 50_000)[:] = np.random.default_rng(1).standard_normal(50_000)
    owners.save()
    objects.broken = True

    with pytest.raises(AwsUnavailableError):
        owners.take_over()
