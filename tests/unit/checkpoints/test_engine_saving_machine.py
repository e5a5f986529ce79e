"""Random work on every part of a state, while saves are carried, fail and are cut off: what a pointer names is restored.

A save is begun, carried and settled by separate steps, so that work goes on in between; an owner may die at any write, and
go on as a zombie when another has taken over.
"""

import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.images.image import Image, ImageGather
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice
from spotproof.checkpoints.memory.trackers.pagemap import pagemap_works
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import AwsUnavailableError, CheckpointLateError, LeaseLostError
from spotproof.leases.model import CheckpointPointer
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash
from tests.fakes.ids import CountingIds
from tests.fakes.spawner import HeldSpawner
from tests.stateful.checkpoint_bucket import FaultyBucket, WriteFault, write_faults
from tests.unit.checkpoints.builders import TINY, make_engine

ROWS, COLUMNS = 100, 64  # four tiny slices of float32
LENGTH_MAX = 30_000  # of the file
SAVE = "checkpoint-save"
Picture = dict[str, Any]
seeds = st.integers(0, 2**32 - 1)


class ShadowLostError(Exception):
    """A shadow could not be brought forward after the pointer had moved."""


class Owner:
    """One worker: its engine, its state, and the background work that the machine runs for it."""

    def __init__(self, engine: CheckpointEngine, spawner: HeldSpawner, state: State, tensors: dict[str, Any]) -> None:
        self.engine = engine
        self.spawner = spawner
        self.state = state
        self.tensors = tensors
        self.rows = state.array("rows", (ROWS, COLUMNS), "float32")
        self.path = state.file("deep/work.bin")
        saved = state.tensors("model")
        tensors.update(saved)
        state.tensors("model", lambda: tensors)
        self.carrying: Callable[[], None] | None = None

    def picture(self) -> Picture:
        """All that a restore must bring back."""
        return {
            "values": dict(self.state),
            "map": list(self.state.map("totals").items()),
            "rows": self.rows.tobytes(),
            "file": self.path.read_bytes() if self.path.exists() else None,
            "tensors": {key: (each.dtype.str, each.shape, each.tobytes()) for key, each in self.tensors.items()},
        }

    def carry(self) -> None:
        carrying, self.carrying = self.carrying, None
        if carrying is not None:
            carrying()


class SavingLife(RuleBasedStateMachine):
    sizes: ClassVar[EngineSizes | None] = TINY
    tracker: ClassVar[TrackerChoice] = "compare"

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.WARNING)
        self.folder = tempfile.mkdtemp()
        self.bucket = FaultyBucket()
        self.ids = CountingIds()
        self.clock = FakeClock()
        self.token = 0
        self.pointer: CheckpointPointer | None = None
        self.durable: dict[str, Picture] = {}  # by manifest key, as it was when the save began
        self.zombie: Owner | None = None

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)
        shutil.rmtree(self.folder)

    @initialize()
    def first(self) -> None:
        self.owner = self.new_owner()
        self.owner.state.map("totals").update({number: str(number) * 9 for number in range(-300, 0)})  # deltas pay

    # --- owners ----------------------------------------------------------------------------------------------------

    def new_owner(self) -> Owner:
        self.token += 1
        return self.restored(self.token)

    def restored(self, token: int) -> Owner:
        spawner = HeldSpawner()
        engine = make_engine(
            self.bucket,
            token,
            ids=self.ids,
            sizes=self.sizes,
            workshop=Workshop(scratch_dir=self.folder, tracker=self.tracker),
            spawner=spawner,
            clock=self.clock,
        )
        restored = engine.restore(self.pointer)
        assert restored.fell_back is None, restored.fell_back
        owner = Owner(engine, spawner, restored.state, {})
        if self.pointer is not None:
            assert restored.manifest_key == self.pointer.manifest_key
            assert owner.picture() == self.durable[self.pointer.manifest_key], "not the state that was saved"
        return owner

    def look(self) -> None:
        """Whatever is in the bucket, another worker restores just what the pointer names."""
        self.restored(self.token + 1).engine.close()

    @rule(paused=st.booleans())
    def taken_over(self, paused: bool) -> None:
        if paused:
            self.zombie = self.owner
        else:
            self.owner.engine.close()
        self.owner = self.new_owner()

    def acting(self, zombie: bool) -> Owner:
        return self.zombie if zombie and self.zombie is not None else self.owner

    def bury(self, owner: Owner) -> None:
        owner.engine.close()
        if owner is self.zombie:
            self.zombie = None
        else:
            self.owner = self.new_owner()

    # --- work ------------------------------------------------------------------------------------------------------

    @rule(zombie=st.booleans(), count=st.sampled_from([1, 3, 25, ROWS]), seed=seeds)
    def write_rows(self, zombie: bool, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((count, COLUMNS)) if seed % 4 else 0
        self.acting(zombie).rows[rng.integers(0, ROWS, count)] = noise

    @rule(length=st.integers(0, LENGTH_MAX), start=st.integers(0, LENGTH_MAX), seed=seeds)
    def write_the_file(self, length: int, start: int, seed: int) -> None:
        with self.owner.path.open("ab") as file:
            file.truncate(length)
        with self.owner.path.open("r+b") as file:
            file.seek(start)
            file.write(random.Random(seed).randbytes(seed % 5000) if seed % 3 else bytes(seed % 9000))

    @rule()
    def remove_the_file(self) -> None:
        self.owner.path.unlink(missing_ok=True)

    @rule(name=st.sampled_from("abc"), length=st.integers(0, 3000), dtype=st.sampled_from(["<f4", "<i8"]), seed=seeds)
    def set_tensor(self, name: str, length: int, dtype: str, seed: int) -> None:
        self.owner.tensors[name] = np.random.default_rng(seed).integers(0, 9, length).astype(dtype)

    @rule(name=st.sampled_from("abc"))
    def drop_tensor(self, name: str) -> None:
        self.owner.tensors.pop(name, None)

    @rule(zombie=st.booleans(), key=st.integers(0, 3), size=st.sampled_from([0, 1, 60, 2000]), seed=seeds)
    def set_entries(self, zombie: bool, key: int, size: int, seed: int) -> None:
        owner = self.acting(zombie)
        owner.state[str(key)] = seed
        owner.state.map("totals")[key] = [seed + number for number in range(size)]

    # --- saves -----------------------------------------------------------------------------------------------------

    @rule(
        zombie=st.booleans(),
        deadline=st.booleans(),
        pointer=st.sampled_from(["moves"] * 4 + ["is refused", "moves, and the reply is lost", "is cut off"]),
    )
    def begin(self, zombie: bool, deadline: bool, pointer: str) -> None:
        owner = self.acting(zombie)
        if owner.engine.busy:
            return
        picture = owner.picture()
        saving = owner.engine.begin(
            owner.state,
            record=lambda each: self.record(owner, each, picture, pointer),
            deadline=self.clock.monotonic() + 60 if deadline else None,
        )
        if saving is None:
            assert owner is not self.owner or self.pointer is None or picture == self.durable[self.pointer.manifest_key]
            return
        owner.carrying = owner.spawner.work.pop(SAVE)

    def record(self, owner: Owner, pointer: CheckpointPointer, picture: Picture, happens: str) -> None:
        if owner is not self.owner:
            raise LeaseLostError("another owner holds the shard")
        if happens == "is refused":
            raise AwsUnavailableError("record: down")
        assert self.pointer is None or pointer.seq > self.pointer.seq, "a pointer never goes back"
        self.pointer = pointer
        self.durable[pointer.manifest_key] = picture
        if happens == "is cut off":
            raise Crash
        if happens == "moves, and the reply is lost":
            raise AwsUnavailableError("record: reply lost")

    @rule(zombie=st.booleans(), fault=write_faults, shadows=st.sampled_from(["move"] * 5 + ["fail"]))
    def carry(self, zombie: bool, fault: WriteFault | None, shadows: str) -> None:
        owner = self.acting(zombie)
        self.bucket.arm(fault)
        try:
            with failing_shadows(shadows == "fail"):
                owner.carry()
        except Crash:
            self.bucket.arm(None)
            self.bury(owner)
        finally:
            self.bucket.arm(None)
        self.look()

    @precondition(lambda self: self.owner.carrying is not None)
    @rule(seconds=st.sampled_from([0, 100]), cancelled=st.booleans())
    def hurry(self, seconds: int, cancelled: bool) -> None:
        self.owner.engine.hurry(self.clock.monotonic() + 60)
        self.clock.advance(seconds)
        if cancelled:
            self.owner.engine.cancel()

    @rule(zombie=st.booleans())
    def settle(self, zombie: bool) -> None:
        owner = self.acting(zombie)
        try:
            owner.engine.settle()
        except (AwsUnavailableError, CheckpointLateError, ShadowLostError):
            pass
        except LeaseLostError:
            assert owner is not self.owner
            self.bury(owner)

    @rule()
    def save_at_last(self) -> None:
        """Whatever failed before, the next whole save carries everything."""
        self.carry(zombie=False, fault=None, shadows="move")
        self.settle(zombie=False)
        self.begin(zombie=False, deadline=False, pointer="moves")
        self.carry(zombie=False, fault=None, shadows="move")
        self.settle(zombie=False)
        if self.pointer is not None:
            assert self.owner.picture() == self.durable[self.pointer.manifest_key]


@contextmanager
def failing_shadows(fail: bool) -> Iterator[None]:
    """The second image's shadow can't be brought forward."""
    real = Image.advance
    calls: list[Image] = []

    def advance(self: Image, gathered: ImageGather) -> None:
        calls.append(self)
        if fail and len(calls) == 2:
            raise ShadowLostError
        real(self, gathered)

    Image.advance = advance  # type: ignore[method-assign]
    try:
        yield
    finally:
        Image.advance = real  # type: ignore[method-assign]


class SavingLifeInProduction(SavingLife):
    """With the sizes of production: all of it is one slice."""

    sizes = None


class SavingLifeOfTheKernel(SavingLife):
    """The kernel tells which pages were written."""

    tracker = "pagemap"


TestSavingLife = SavingLife.TestCase
TestSavingLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSavingLifeInProduction = SavingLifeInProduction.TestCase
TestSavingLifeInProduction.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestSavingLifeOfTheKernel = pytest.mark.skipif(pagemap_works() is not None, reason=str(pagemap_works()))(
    SavingLifeOfTheKernel.TestCase
)
TestSavingLifeOfTheKernel.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
