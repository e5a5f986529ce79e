"""Random work on a file and an array, saves, failures and restarts: what is restored equals plain bytes."""

import logging
import random
import shutil
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import Saved
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import CheckpointPointer
from tests.fakes.ids import CountingIds
from tests.unit.checkpoints.builders import TINY, make_engine, manifest_of, save
from tests.unit.checkpoints.test_engine import FailingStore

LENGTH_MAX = 60_000  # of the file: eight tiny slices
ROWS, COLUMNS = 300, 32
seeds = st.integers(0, 2**32 - 1)


class ImageLife(RuleBasedStateMachine):
    """One shard with a file and an array under changing owners, beside a model of plain bytes."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.WARNING)
        self.folder = tempfile.mkdtemp()
        self.objects = FailingStore()
        self.ids = CountingIds()
        self.token = 0
        self.pointer: CheckpointPointer | None = None
        self.durable: tuple[bytes | None, bytes] = (None, bytes(ROWS * COLUMNS * 4))

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)
        shutil.rmtree(self.folder)

    def _engine(self, objects: InMemoryObjectStore) -> Any:
        self.workshop = Workshop(
            scratch_dir=self.folder, slice_bytes=TINY.slice_bytes, delta_bytes=TINY.delta_bytes, tracker="compare"
        )
        return make_engine(objects, self.token, ids=self.ids, sizes=TINY, workshop=self.workshop)

    @initialize()
    def take_over(self) -> None:
        self.token += 1
        self.engine = self._engine(self.objects)
        restored = self.engine.restore(self.pointer)
        assert restored.fell_back is None
        self.state: State = restored.state
        self._open()
        assert self._content() == self.durable

    def _open(self) -> None:
        self.path = self.state.file("deep/work.bin")
        self.rows = self.state.array("rows", (ROWS, COLUMNS), "float32")

    def _content(self) -> tuple[bytes | None, bytes]:
        return self.path.read_bytes() if self.path.exists() else None, self.rows.tobytes()

    @rule(length=st.integers(0, LENGTH_MAX), seed=seeds)
    def resize_the_file(self, length: int, seed: int) -> None:
        with self.path.open("ab") as file:
            file.truncate(length)
            if seed % 2:
                file.write(random.Random(seed).randbytes(seed % 3000))

    @rule(start=st.integers(0, LENGTH_MAX), size=st.integers(0, 20_000), seed=seeds)
    def write_into_the_file(self, start: int, size: int, seed: int) -> None:
        if self.path.exists():
            with self.path.open("r+b") as file:
                file.seek(start)
                file.write(random.Random(seed).randbytes(size) if seed % 4 else bytes(size))

    @rule()
    def remove_the_file(self) -> None:
        self.path.unlink(missing_ok=True)

    @rule(count=st.sampled_from([1, 3, 40, ROWS]), seed=seeds)
    def write_rows(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.rows[rng.integers(0, ROWS, count)] = rng.standard_normal((count, COLUMNS)) if seed % 4 else 0

    @rule(deadline=st.booleans())
    def save(self, deadline: bool) -> None:
        def record(pointer: CheckpointPointer) -> None:
            self.pointer, self.durable = pointer, self._content()

        if self.engine.save(self.state, record=record, deadline=9e9 if deadline else None) is None:
            assert self._content() == self.durable, "a change was not noticed"

    @rule(allowed=st.integers(0, 3), seed=seeds)
    def fail_to_save_and_work_on(self, allowed: int, seed: int) -> None:
        self.objects.allowed = allowed
        try:
            self.save(False)
        except AwsUnavailableError:
            pass
        finally:
            self.objects.allowed = 10**9
        self.write_rows(3, seed)

    @rule()
    def crash(self) -> None:
        self.take_over()

    @invariant()
    def the_pointer_restores_what_was_saved(self) -> None:
        if self.pointer is None:
            return
        workshop = Workshop(scratch_dir=self.folder, slice_bytes=TINY.slice_bytes, tracker="compare")
        restored = make_engine(self.objects, self.token + 1, sizes=TINY, workshop=workshop).restore(self.pointer)
        assert restored.fell_back is None
        path = restored.state.file("deep/work.bin")
        rows = restored.state.array("rows", (ROWS, COLUMNS), "float32")
        assert (path.read_bytes() if path.exists() else None, rows.tobytes()) == self.durable
        workshop.clear()


TestImageLife = ImageLife.TestCase
TestImageLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def restored_twin(objects: InMemoryObjectStore, saved: Saved, sizes: EngineSizes = TINY) -> State:
    restored = make_engine(objects, 2, sizes=sizes).restore(saved.pointer)
    assert restored.fell_back is None
    return restored.state


def test_a_last_slice_that_became_zeros_is_not_brought_back_to_life_by_older_deltas() -> None:
    objects, sizes = InMemoryObjectStore(), replace(TINY, slice_bytes=2**17)  # zeros of less are stored like any bytes
    engine = make_engine(objects, sizes=sizes)
    state = engine.restore(None).state
    blocks = state.array("blocks", (3 * 512, 256), "uint8")
    for changed in (slice(1024, 1124), slice(1124, 1224)):  # twice too few of the slice's blocks to send it whole
        blocks[changed] = 7
        save(engine, state)
    blocks[:] = 0

    last = save(engine, state)

    assert manifest_of(objects, last.pointer).images["array/blocks"].slices[-1].segment is None
    assert not restored_twin(objects, last, sizes).array("blocks", blocks.shape, "uint8").any()


def test_a_file_that_shrank_and_grew_again_has_a_base_longer_than_itself() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects, sizes=TINY)
    state = engine.restore(None).state
    data = random.Random(1).randbytes(TINY.slice_bytes - 100)
    for content in (data, data[:1000], data[:1000] + bytes(5000) + b"x"):
        state.file("work.bin").write_bytes(content)
        last = save(engine, state)

        assert restored_twin(objects, last).file("work.bin").read_bytes() == content
