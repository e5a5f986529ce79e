"""Leases, engines and buckets as the checkpoint tests need them."""

from spotproof.checkpoints.engine import CheckpointEngine, Saved
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore
from spotproof.leases.model import CheckpointPointer, Lease, RunId, SessionId
from tests.fakes.clock import FakeClock
from tests.fakes.ids import CountingIds

RUN = "run-1"


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
    objects: ObjectStore, token: int = 1, *, ids: CountingIds | None = None, index: int = 7
) -> CheckpointEngine:
    ids = ids or CountingIds()
    return CheckpointEngine(objects=objects, lease=make_lease(token, index=index), clock=FakeClock(), ids=ids)


def save(engine: CheckpointEngine, state: State) -> Saved:
    """Save and let the pointer move, as a worker does."""
    saved = engine.save(state)
    engine.confirm(saved)
    return saved


def pointer_of(saved: Saved) -> CheckpointPointer:
    assert saved.pointer is not None
    return saved.pointer


def three_generations(objects: InMemoryObjectStore) -> list[CheckpointPointer]:
    """Pointers of three saves by one owner; the last two are kept. Cursor = 1, 2, 3; totals grow by one key each."""
    engine = make_engine(objects)
    state = engine.restore(None).state
    pointers = []
    for cursor in (1, 2, 3):
        state["cursor"] = cursor
        state.map("totals").update({("carrier", number): cursor for number in range(cursor * 100)})
        pointers.append(pointer_of(save(engine, state)))
    return pointers
