"""Leases, engines and buckets as the checkpoint tests need them."""

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine, Saved
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import Manifest, decode_manifest
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.concurrency import InlineSpawner, Spawner
from spotproof.leases.model import CheckpointPointer, Lease, RunId, SessionId
from tests.fakes.clock import FakeClock
from tests.fakes.ids import CountingIds

RUN = "run-1"
TINY = EngineSizes(slice_bytes=8192, pack_bytes=4096, delta_bytes=1024, inline_bytes=64)  # small states take every path
IN_OBJECTS = EngineSizes(inline_bytes=64)  # nothing of note rides in a manifest


def make_lease(token: int = 1, *, index: int = 7, run_id: str = RUN) -> Lease:
    return Lease(
        run_id=RunId(run_id),
        index=index,
        stripe=0,
        owner=SessionId(f"session-{token}"),
        fencing_token=token,
        checkpoint=None,
        failures=0,
        interruptions=0,
        losses=0,
    )


def make_engine(
    objects: ObjectStore,
    token: int = 1,
    *,
    ids: CountingIds | None = None,
    index: int = 7,
    sizes: EngineSizes | None = None,
    workshop: Workshop | None = None,
    spawner: Spawner | None = None,
    clock: FakeClock | None = None,
) -> CheckpointEngine:
    """An engine that carries its saves inside `begin`, unless a spawner says otherwise."""
    return CheckpointEngine(
        objects=objects,
        lease=make_lease(token, index=index),
        clock=clock or FakeClock(),
        ids=ids or CountingIds(),
        spawner=spawner or InlineSpawner(),
        workshop=workshop,
        sizes=sizes,
    )


def accept(pointer: CheckpointPointer) -> None:
    """A table that takes every pointer."""


def save(engine: CheckpointEngine, state: State, *, deadline: float | None = None) -> Saved:
    """Save what has changed, as a worker does."""
    saved = engine.save(state, record=accept, deadline=deadline)
    assert saved is not None, "something changed"
    return saved


def manifest_of(objects: InMemoryObjectStore, pointer: CheckpointPointer) -> Manifest:
    data = objects.objects[pointer.manifest_key]
    return decode_manifest(data, run_id=RUN, shard=7, key=pointer.manifest_key)


def three_generations(objects: InMemoryObjectStore) -> list[CheckpointPointer]:
    """Pointers of three saves by one owner; the last two are kept. Cursor = 1, 2, 3; totals has 100 keys for each.

    Each generation is a manifest and one object.
    """
    engine = make_engine(objects, sizes=IN_OBJECTS)
    state = engine.restore(None).state
    pointers = []
    for cursor in (1, 2, 3):
        state["cursor"] = cursor
        state.map("totals").update({("carrier", number): cursor for number in range(cursor * 100)})
        pointers.append(save(engine, state).pointer)
    return pointers
