"""A shard's work as time: the user's function, its safe points, its checkpoints and its output."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, cast

from bench.scale.journal import Journal
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.checkpoints.budget import StateSize
from spotproof.checkpoints.engine import CheckpointEngine, Restored, Saved, Saving
from spotproof.checkpoints.gather import Gathered
from spotproof.checkpoints.state import State
from spotproof.concurrency import Waiter
from spotproof.errors import AwsError, LeaseLostError
from spotproof.interruptions.model import Signal
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.model import CheckpointPointer, Lease, OutputFile, OutputPointer

DIGEST = "0f" * 32  # as long as a real one
STATE_BYTES = 50_000
PIECE_S_MIN = 0.001  # virtual time is whole microseconds: less than this is no work


class NudgingMonitor(Monitor):
    """The product's monitor; whatever it is told also ends the current stretch of work at its next safe point.

    It is not started: the model offers each signal when the product's poll would have seen it.
    """

    nudge: Waiter

    def offer(self, signal: Signal) -> None:
        super().offer(signal)
        self.nudge.set()


@dataclass
class Progress:
    """The shard's state: how many seconds of its work are done."""

    done_s: float = 0.0
    saved_s: float = 0.0  # of which a durable checkpoint holds
    dirty_bytes: int = STATE_BYTES


@dataclass
class Saves:
    """What durable checkpoints hold, by manifest key."""

    done_s: dict[str, float] = field(default_factory=dict)


@dataclass
class WorkHandle:
    """What the function gets as `shard`: it works until something is to be decided at a safe point.

    Safe points at which nothing is due (no signal, no checkpoint) are passed over: the product would decide nothing there.
    """

    process: Process
    journal: Journal
    monitor: NudgingMonitor
    work_s: float
    safe_point_s: float
    checkpoint_interval_s: float
    progress: Progress = field(default_factory=Progress)
    saved_at: float = 0.0
    began_at: float | None = None  # the stretch under way
    ready_to_leave: bool = False  # the function never says so
    at_first_safe_point: bool = True  # where the product takes the measure of this worker's pace

    @property
    def fraction_done(self) -> float:
        return min(1.0, self.progress.done_s / self.work_s)

    @property
    def finished(self) -> bool:
        return self.work_s - self.progress.done_s < PIECE_S_MIN

    def work(self) -> None:
        """Until the next safe point that matters."""
        left_s = self.work_s - self.progress.done_s
        clock = self.process.clock
        told = self.monitor.stop() is not None or self.monitor.hint() is not None
        due_s = self.saved_at + self.checkpoint_interval_s - clock.monotonic()
        self.began_at = clock.monotonic()
        told, self.at_first_safe_point = told or self.at_first_safe_point, False
        if told:
            clock.sleep(min(left_s, self.safe_point_s))
        else:
            self.monitor.nudge = self.process.spawner.flag()
            if self.monitor.nudge.wait(min(left_s, max(due_s, self.safe_point_s))):
                clock.sleep(min(self._to_safe_point_s(), left_s - (clock.monotonic() - self.began_at)))
        self.progress.done_s = min(self.work_s, self.progress.done_s + self.stop_counting())

    def stop_counting(self) -> float:
        """Seconds worked in the stretch under way, which end here; 0 between stretches."""
        if self.began_at is None:
            return 0.0
        worked_s = self.process.clock.monotonic() - self.began_at
        self.began_at = None
        self.journal.executed_s += min(worked_s, self.work_s - self.progress.done_s)
        return worked_s

    def _to_safe_point_s(self) -> float:
        assert self.began_at is not None
        done_s = self.progress.done_s + self.process.clock.monotonic() - self.began_at
        return self.safe_point_s - done_s % self.safe_point_s


def model_job(shard: WorkHandle, _state: State) -> Generator[None, None, None]:
    """The user's function."""
    while not shard.finished:
        shard.work()
        yield


class ModelEngine:
    """Stands in for CheckpointEngine: a save is two requests to the bucket, a restore two."""

    def __init__(self, *, handle: WorkHandle, lease: Lease, saves: Saves, s3_s: Callable[[], float]) -> None:
        self._handle = handle
        self._lease = lease
        self._saves = saves
        self._s3_s = s3_s
        self._seq = 0
        self._saving: Saving | None = None

    def restore(self, pointer: CheckpointPointer | None) -> Restored:
        progress = self._handle.progress
        if pointer is not None:
            self._wait(2)
            progress.done_s = progress.saved_s = self._saves.done_s[pointer.manifest_key]
            self._seq = pointer.seq
        self._handle.saved_at = self._handle.process.clock.monotonic()
        return Restored(
            state=cast(State, progress), seq=self._seq, manifest_key=None, fell_back=None, size_bytes=STATE_BYTES,
            requests=2, duration_s=0.0,
        )  # fmt: skip

    def pending_bytes(self, _state: State) -> int:
        return STATE_BYTES

    def size_of(self, _state: State) -> StateSize:
        return StateSize(total_bytes=0, room_bytes=STATE_BYTES)

    @property
    def busy(self) -> bool:
        return self._saving is not None

    def begin(
        self, _state: State, *, record: Callable[[CheckpointPointer], None], deadline: float | None = None
    ) -> Saving:
        """A whole save, which the job waits for: the model has no background work. It fails only at the table."""
        started = self._handle.process.clock.monotonic()
        self._handle.saved_at = started
        self._seq += 1
        prefix = contract.checkpoints_prefix(self._lease.run_id, self._lease.index)
        key = f"{prefix}{self._lease.fencing_token:06d}/{self._seq:08d}-0123456789ab.manifest"
        pointer = CheckpointPointer(manifest_key=key, seq=self._seq)
        gathered = Gathered(
            values=bytes(STATE_BYTES), values_changed=True, maps=(), images=(), kept_images=frozenset()
        )  # fmt: skip
        saving = Saving(gathered=gathered, pointer=pointer, stall_s=0.0, started=started, deadline=deadline)
        self._saving = saving
        self._wait(2)
        self._saves.done_s[key] = self._handle.progress.done_s
        try:
            record(pointer)
        except (LeaseLostError, AwsError) as error:
            saving.error = error
            return saving
        self._handle.progress.saved_s = self._handle.progress.done_s
        duration_s = self._handle.process.clock.monotonic() - started
        saving.saved = Saved(
            pointer=pointer, size_bytes=STATE_BYTES, requests=2, stall_s=duration_s, duration_s=duration_s
        )  # fmt: skip
        return saving

    def wait(self, _timeout_s: float | None = None) -> bool:
        return True

    def settle(self) -> Saved | None:
        saving, self._saving = self._saving, None
        if saving is None:
            return None
        if saving.error is not None:
            raise saving.error
        return saving.saved

    def hurry(self, deadline: float) -> None:
        """Nothing is on its way outside of `begin`."""

    def cancel(self) -> None:
        """As `hurry`."""

    def close(self) -> None:
        """Nothing to free."""

    def _wait(self, requests: int) -> None:
        for _ in range(requests):
            self._handle.process.clock.sleep(self._s3_s())

    def as_engine(self) -> CheckpointEngine:
        return cast(CheckpointEngine, self)


@dataclass
class ModelSink:
    """Stands in for ShardSink: one request to stage, one copy to publish."""

    process: Process
    lease: Lease
    s3_s: Callable[[], float]
    started: bool = False

    def stage(self, _value: Any) -> OutputPointer:
        self.process.clock.sleep(self.s3_s())
        lease = self.lease
        folder = f"{contract.staging_prefix(lease.run_id, lease.index)}{lease.fencing_token}-{lease.owner}/"
        name = f"part-{lease.index:08d}.parquet"
        file = OutputFile(name=name, staged_key=folder + name, sha256=DIGEST, size_bytes=1_234_567)
        return OutputPointer(files=(file,), manifest_key=None, sha256=DIGEST, size_bytes=1_234_567, records=12_345)

    def publish(self, _pointer: OutputPointer) -> None:
        self.process.clock.sleep(self.s3_s())

    def discard(self) -> None:
        """Nothing is on the disk."""


class NoObjects:
    """The bucket as the end of a shard sees it: a listing and a delete, time only."""

    def __init__(self, process: Process, s3_s: Callable[[], float]) -> None:
        self._process = process
        self._s3_s = s3_s

    def list(self, _prefix: str) -> list[Any]:
        self._process.clock.sleep(self._s3_s())
        return []

    def delete_many(self, _keys: Any) -> None:
        self._process.clock.sleep(self._s3_s())
