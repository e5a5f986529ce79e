"""The product's engine over one array."""

import time
from dataclasses import dataclass
from typing import Any

from bench.checkpoint.changes import ROW_BYTES, Rows
from bench.checkpoint.clocks import Took, took
from spotproof.checkpoints.engine import CheckpointEngine, Restored
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import SystemClock
from spotproof.concurrency import ThreadSpawner
from spotproof.ids import SystemIds
from spotproof.leases.model import CheckpointPointer, Lease, RunId, SessionId


@dataclass
class Measured:
    """One save."""

    took: Took
    stall_cpu_s: float
    stall_s: float
    sent_bytes: int
    requests: int


class Subject:
    """One owner of the shard; `token` rises with each."""

    def __init__(self, objects: ObjectStore, *, token: int, size_bytes: int, tracker: Any) -> None:
        self._shape = (size_bytes // ROW_BYTES, ROW_BYTES)
        self.workshop = Workshop(tracker=tracker, spawner=ThreadSpawner())
        self.engine = CheckpointEngine(
            objects=objects,
            lease=_lease(token),
            clock=SystemClock(),
            ids=SystemIds(),
            spawner=ThreadSpawner(),
            workshop=self.workshop,
        )
        self.pointer: CheckpointPointer | None = None

    def restore(self, pointer: CheckpointPointer | None) -> tuple[Restored, Took]:
        with took() as measured:
            restored = self.engine.restore(pointer)
            self.state = restored.state
            self.rows: Rows = self.state.array("rows", self._shape, "u1")
        self.pointer = pointer
        return restored, measured

    def save(self) -> Measured:
        """Until the pointer would have moved."""
        with took() as measured:
            cpu = time.thread_time()
            self.engine.begin(self.state, record=self._record)
            stall_cpu_s = time.thread_time() - cpu
            self.engine.wait()
            saved = self.engine.settle()
        return Measured(
            took=measured,
            stall_cpu_s=stall_cpu_s,
            stall_s=0.0 if saved is None else saved.stall_s,
            sent_bytes=0 if saved is None else saved.size_bytes,
            requests=0 if saved is None else saved.requests,
        )

    def extra_bytes(self) -> int:
        """Memory beside the array itself."""
        return self.workshop.pool.held_bytes + sum(len(each.shadow) for each in self.state.images.values())

    def _record(self, pointer: CheckpointPointer) -> None:
        self.pointer = pointer


def _lease(token: int) -> Lease:
    return Lease(
        run_id=RunId("bench"),
        index=0,
        stripe=0,
        owner=SessionId(f"owner-{token}"),
        fencing_token=token,
        checkpoint=None,
        failures=0,
        interruptions=0,
        losses=0,
    )
