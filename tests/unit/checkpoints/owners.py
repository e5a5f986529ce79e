"""One shard under one owner after another, each with a host of its own."""

from collections.abc import Callable
from pathlib import Path

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine, Restored, Saved
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import ImageEntry
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.concurrency import Spawner
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import CheckpointPointer
from tests.fakes.ids import CountingIds
from tests.unit.checkpoints.builders import TINY, make_engine, manifest_of


class Owners:
    """The pointer of the table, and the owner of the moment: `engine`, `state` and `workshop` are its own."""

    engine: CheckpointEngine
    state: State
    workshop: Workshop
    restored: Restored

    def __init__(
        self,
        folder: Path,
        *,
        objects: InMemoryObjectStore | None = None,
        sizes: EngineSizes | None = TINY,
        tracker: TrackerChoice = "compare",
        spawner: Spawner | None = None,
    ) -> None:
        self.objects = objects or InMemoryObjectStore()
        self.folder = folder
        self.sizes = sizes
        self.tracker: TrackerChoice = tracker
        self.spawner = spawner
        self.ids = CountingIds()
        self.token = 0
        self.pointer: CheckpointPointer | None = None
        self.take_over()

    def engine_of(self, token: int, *, objects: ObjectStore | None = None) -> tuple[CheckpointEngine, Workshop]:
        workshop = Workshop(scratch_dir=str(self.folder), tracker=self.tracker)
        engine = make_engine(
            objects or self.objects,
            token,
            ids=self.ids,
            sizes=self.sizes,
            workshop=workshop,
            spawner=self.spawner,
        )
        return engine, workshop

    def take_over(self, *, fell_back: bool = False) -> State:
        """The owner so far is gone; the next one restores what the pointer names."""
        self.token += 1
        self.engine, self.workshop = self.engine_of(self.token)
        self.restored = self.engine.restore(self.pointer)
        assert (self.restored.fell_back is not None) is fell_back, self.restored.fell_back
        self.state = self.restored.state
        return self.state

    def look(self) -> State:
        """What another worker would restore now; the owner stays."""
        engine, _ = self.engine_of(self.token + 1)
        restored = engine.restore(self.pointer)
        assert restored.fell_back is None, restored.fell_back
        return restored.state

    def save(self, *, deadline: float | None = None) -> Saved | None:
        return self.engine.save(self.state, record=self.record, deadline=deadline)

    def fail_to_save(self) -> None:
        """The pointer can't be moved: nothing of the save is durable."""

        def refuse(pointer: CheckpointPointer) -> None:
            raise AwsUnavailableError("record: down")

        self.begin_and_settle(refuse)

    def fail_in_the_last_step(self) -> None:
        """The pointer moves, and then the save fails before the engine could take note of it."""

        def record_and_fail(pointer: CheckpointPointer) -> None:
            self.record(pointer)
            raise AwsUnavailableError("record: reply lost")

        self.begin_and_settle(record_and_fail)

    def begin_and_settle(self, record: Callable[[CheckpointPointer], None]) -> None:
        try:
            self.engine.save(self.state, record=record)
        except AwsUnavailableError:
            return
        raise AssertionError("the save was to fail")

    def record(self, pointer: CheckpointPointer) -> None:
        assert self.pointer is None or pointer.seq > self.pointer.seq
        self.pointer = pointer

    def entry(self, name: str) -> ImageEntry:
        """The image in the manifest that the pointer names."""
        assert self.pointer is not None
        return manifest_of(self.objects, self.pointer).images[name]
