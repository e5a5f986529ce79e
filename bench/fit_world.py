"""A worker on a virtual clock: the real shard run, policy and engine, a job that changes memory, a store of given speed.

Bytes and bandwidth are both divided by SCALE, so virtual seconds are those of the full size. Two things do not shrink and
so weigh SCALE times as much as they would: pages of 4 KiB (a changed page stands for 1 MiB), and manifests.
"""

import random
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from simulation.fixed_gauge import FixedGauge
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler, microseconds
from spotproof.checkpoints import estimate, gather
from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.estimate import SaveEstimate
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import OCTETS, Buffer
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import Clock, to_epoch_ms
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import (
    CheckpointPointer,
    CheckpointPreset,
    Host,
    Lease,
    OutputPointer,
    Run,
    RunId,
    RunOptions,
    RunState,
    Session,
    SessionId,
    SessionState,
    Shard,
)
from spotproof.retries import Retrier
from spotproof.shards.model import PlannedShard
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.ledger import LedgerBook
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.shard_run import ShardRun

SCALE: Final = 256
PAGE: Final = 4096
LATENCY_S: Final = 0.03  # of a request
SPEED_LEAST: Final = 0.7  # a transfer goes at 70 to 100 % of the link
SIZES: Final = EngineSizes(slice_bytes=256 * 2**10, pack_bytes=256 * 2**10, delta_bytes=64 * 2**10, inline_bytes=64)
CAUTIOUS: Final = SaveEstimate(carried_bytes=SaveEstimate().carried_bytes / SCALE)
POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: what the state, the store and the window are like; everything else follows from the seed."""

    state_gib: int
    megabytes_per_s: float
    window_s: float
    seed: int

    @property
    def pages(self) -> int:
        return self.state_gib * 2**30 // SCALE // PAGE

    @property
    def bytes_per_s(self) -> float:
        return self.megabytes_per_s * 1e6 / SCALE


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the job of one seed behaves."""

    step_s: float  # from one safe point to the next
    changes_bytes_per_s: float  # it would like to change, a store of this speed permitting
    scattered: bool  # pages at random, or one after the other
    notice_s: float  # when the notice comes

    @classmethod
    def draw(cls, case: Case) -> "Habits":
        rng = random.Random(f"habits of {case}")
        return cls(
            step_s=rng.uniform(0.2, 2.0),
            changes_bytes_per_s=case.bytes_per_s * 10 ** rng.uniform(-1.5, 0.5),
            scattered=rng.random() < 0.5,
            notice_s=rng.uniform(10.0, 600.0),
        )


class Link:
    """The way to the store: one transfer's bytes at a time, each request with its latency."""

    def __init__(self, clock: Clock, *, bytes_per_s: float, rng: random.Random) -> None:
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        self._rng = rng
        self._free_at = 0.0
        self.carried_bytes = 0

    def carry(self, size_bytes: int) -> None:
        speed = self._bytes_per_s * self._rng.uniform(SPEED_LEAST, 1.0)
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + size_bytes / speed
        self._clock.sleep(self._free_at + LATENCY_S - now)
        self.carried_bytes += size_bytes


class ThrottledStore(InMemoryObjectStore):
    """Writes over the link. An object is there when all of it has arrived."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def put(self, key: str, data: Buffer) -> None:
        self._link.carry(memoryview(data).nbytes)
        super().put(key, data)

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        assert not isinstance(content, Path), "checkpoints are memory"
        self._link.carry(memoryview(content).nbytes)
        return super().put_if_absent(key, content, content_type=content_type, metadata=metadata)


class NotingStore(InMemoryLeaseStore):
    """Remembers when the pointer moved."""

    def __init__(self, *, clock: Clock, retrier: Retrier) -> None:
        super().__init__(clock=clock, retrier=retrier)
        self._noting = clock
        self.recorded_at: list[float] = []

    def record_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> None:
        super().record_checkpoint(lease, pointer)
        self.recorded_at.append(self._noting.monotonic())


class EndlessInput:
    """Nobody knows how much of the shard is left."""

    fraction_done = 0.0

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]:
        raise NotImplementedError

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]:
        raise NotImplementedError


class NoOutput:
    """The job never ends, so nothing is staged."""

    started = False

    def open(self, name: str) -> Any:
        raise NotImplementedError

    def stage(self, value: Any) -> OutputPointer:
        raise NotImplementedError

    def publish(self, pointer: OutputPointer) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Nothing on disk."""


class Writing:
    """The job's changes: the same for the same step, so that any step's memory can be made again."""

    def __init__(self, case: Case, habits: Habits) -> None:
        self._case = case
        self._each = habits.changes_bytes_per_s * habits.step_s / PAGE  # pages a step, on average
        self._scattered = habits.scattered

    def change(self, memory: npt.NDArray[np.uint8], step: int) -> None:
        """Rewrite the pages of `step` (from 1): memory is (pages, PAGE)."""
        first, stop = int(self._each * (step - 1)), int(self._each * step)
        rng = np.random.default_rng((self._case.seed, step))
        count, pages = min(stop - first, self._case.pages), self._case.pages
        chosen = rng.choice(pages, count, replace=False) if self._scattered else np.arange(first, first + count) % pages
        memory[chosen] = rng.integers(0, 256, (count, PAGE), dtype=np.uint8)

    def memory_after(self, step: int) -> npt.NDArray[np.uint8]:
        memory = np.zeros((self._case.pages, PAGE), np.uint8)
        for each in range(1, step + 1):
            self.change(memory, each)
        return memory


@dataclass
class Story:
    """What came of one case. Times: virtual seconds since the worker began."""

    case: Case
    habits: Habits
    notice_at: float
    end_at: float  # of the host
    steps: int = 0  # that the job had made when it was stopped
    steps_at_notice: int = 0
    outcome: str = "killed"
    let_go_at: float | None = None
    durable_at: float | None = None  # the newest pointer
    saves: int = 0
    restored_steps: int = 0
    restored_right: bool = False
    fell_back: str | None = None
    crash: str | None = None
    working_s: float = 0.0
    carried_bytes: int = 0

    @property
    def margin_s(self) -> float | None:
        """Between the last durable checkpoint and the end of the host."""
        return None if self.durable_at is None else self.end_at - self.durable_at

    @property
    def held(self) -> bool:
        """A durable checkpoint of everything the job had done, restored right, and time to spare."""
        return self.restored_right and self.restored_steps == self.steps and (self.margin_s or 0.0) > 0.0


@dataclass
class FitWorld:
    """One case from the first step to the end of the host, and the restore elsewhere."""

    case: Case
    preset: CheckpointPreset = CheckpointPreset.AUTO
    tracker: TrackerChoice = "compare"
    scheduler: Scheduler = field(default_factory=Scheduler)

    def play(self) -> Story:
        with _constants_at_scale():
            return self._play()

    def _play(self) -> Story:
        habits = Habits.draw(self.case)
        rng = random.Random(f"world of {self.case}")
        process = Process(self.scheduler, name="worker", kind="worker", rng=rng, on_exit=lambda _: None)
        self.link = Link(process.clock, bytes_per_s=self.case.bytes_per_s, rng=rng)
        self.objects = ThrottledStore(self.link)
        self.retrier = Retrier(clock=process.clock, rng=rng)
        self.table = NotingStore(clock=process.clock, retrier=self.retrier)
        self.run = self.table.create_run(_a_run(self.case, self.preset))
        self.monitor = Monitor(sources=[], clock=process.clock, spawner=process.spawner, poll_s=POLL_S)
        self.story = Story(
            case=self.case, habits=habits, notice_at=habits.notice_s, end_at=habits.notice_s + self.case.window_s
        )
        self.writing = Writing(self.case, habits)
        seen_at = self.story.notice_at + rng.uniform(0.0, POLL_S)
        self.scheduler.at(microseconds(seen_at), lambda: self._notice(process))
        self.scheduler.at(microseconds(self.story.end_at), lambda: process.kill("the host is gone"))
        process.start(lambda: self._work(process))
        self.scheduler.run(until=microseconds(self.story.end_at + 1), done=lambda: False)
        self.story.crash = None if process.crash is None else repr(process.crash)
        self._look_back()
        return self.story

    def _notice(self, process: Process) -> None:
        deadline = process.clock.now() + timedelta(seconds=self.story.end_at - process.clock.monotonic())
        self.story.steps_at_notice = self.story.steps
        self.monitor.offer(Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=deadline))

    def _work(self, process: Process) -> int:
        ledger = LedgerBook(process.clock)
        session = self._session(process, ledger)
        lease = self.table.claim_fresh(self.run, 0, session.session)
        assert lease is not None
        engine = self._engine(process, lease)
        checkpointing = Checkpointing(
            engine=engine,
            objects=self.objects,
            lease=lease,
            options=self.run.options,
            window_s=self.case.window_s,
            store=self.table,
            retrier=self.retrier,
            ledger=ledger,
            clock=process.clock,
        )
        checkpointing._estimate = CAUTIOUS  # as cautious as the product's, at this scale
        outcome = ShardRun(
            lease=lease,
            run=self.run,
            planned=PlannedShard(index=0, label="", parts=(), size_bytes=0),
            gauge=FixedGauge(),
            function=self._job(process),
            handle=self._handle(process),
            sink=NoOutput(),
            engine=engine,
            checkpointing=checkpointing,
            store=self.table,
            session=session,
            monitor=self.monitor,
            ledger=ledger,
            clock=process.clock,
        ).execute()
        self.story.outcome = outcome.value
        self.story.let_go_at = process.clock.monotonic()
        assert outcome is ShardOutcome.RELEASED, outcome
        return 0

    def _job(self, process: Process) -> Any:
        def job(shard: ShardHandle, state: State) -> Generator[None, None, None]:  # noqa: ARG001 - as jobs are called
            memory = state.array("memory", (self.case.pages, PAGE), "uint8")
            while True:
                step = state.get("step", 0) + 1
                process.clock.sleep(self.story.habits.step_s)
                self.writing.change(memory, step)
                state["step"] = self.story.steps = step
                self.story.working_s += self.story.habits.step_s
                yield

        return job

    def _handle(self, process: Process) -> ShardHandle:
        return ShardHandle(
            index=0,
            shard_id="0",
            options={},
            reader=EndlessInput(),
            output=NoOutput(),
            monitor=self.monitor,
            scratch=lambda: Path("/nonexistent"),
            clock=process.clock,
        )

    def _session(self, process: Process, ledger: LedgerBook) -> WorkerSession:
        session = WorkerSession(
            session=_a_session(self.run, process.clock),
            run=self.run,
            store=self.table,
            heartbeat_store=self.table,
            monitor=self.monitor,
            ledger=ledger,
            clock=process.clock,
            spawner=process.spawner,
        )
        session.open()
        assert session.hold(0)
        return session

    def _engine(self, process: Process, lease: Lease) -> CheckpointEngine:
        return CheckpointEngine(
            objects=self.objects,
            lease=lease,
            clock=process.clock,
            ids=process.ids,
            spawner=process.spawner,
            workshop=Workshop(tracker=self.tracker),
            sizes=SIZES,
        )

    def _look_back(self) -> None:
        """Restore what the table names, as the next worker would, and compare it with the job's own memory."""
        story, row = self.story, self.table.get_shard(self.run, 0)
        story.saves, story.carried_bytes = len(self.table.recorded_at), self.link.carried_bytes
        if row is None or row.checkpoint is None:
            return
        story.durable_at = self.table.recorded_at[-1]
        elsewhere = Process(self.scheduler, name="next", kind="worker", rng=random.Random(0), on_exit=lambda _: None)
        elsewhere.start(lambda: self._restore(elsewhere, row))
        self.scheduler.run(until=self.scheduler.now + microseconds(3600), done=lambda: not elsewhere.alive)
        story.crash = story.crash or (None if elsewhere.crash is None else repr(elsewhere.crash))

    def _restore(self, process: Process, row: Shard) -> int:
        lease = Lease(
            run_id=self.run.run_id, index=0, stripe=0, owner=SessionId("next"), fencing_token=row.fencing_token + 1,
            checkpoint=row.checkpoint, failures=0, interruptions=1, losses=0,
        )  # fmt: skip
        restored = self._engine(process, lease).restore(row.checkpoint)
        step = restored.state.get("step", 0)
        memory = restored.state.array("memory", (self.case.pages, PAGE), "uint8")
        self.story.restored_steps = step
        self.story.fell_back = restored.fell_back
        self.story.restored_right = restored.fell_back is None and bool(
            np.array_equal(memory, self.writing.memory_after(step))
        )
        return 0


@contextmanager
def _constants_at_scale() -> Iterator[None]:
    """What counts as a small save, and the least room for copies, shrink with everything else."""
    shrunk = ((estimate, "SMALL_BYTES"), (gather, "ROOM_BYTES_MIN"))
    before = [(module, name, vars(module)[name]) for module, name in shrunk]
    for module, name, value in before:
        vars(module)[name] = value // SCALE
    try:
        yield
    finally:
        for module, name, value in before:
            vars(module)[name] = value


def _a_run(case: Case, preset: CheckpointPreset) -> Run:
    return Run(
        run_id=RunId("fit"), state=RunState.RUNNING, job="fit", plan_key="", plan_sha256="", parameters_sha256="",
        input_uri="", output_uri="", shards=1, stripes=1, session_buckets=1,
        options=RunOptions(window_s=case.window_s, poll_s=POLL_S, checkpoint=preset), closed=frozenset(), created_at=0,
    )  # fmt: skip


def _a_session(run: Run, clock: Clock) -> Session:
    now = to_epoch_ms(clock.now())
    return Session(
        session_id=SessionId("worker"), run_id=run.run_id, bucket=0, host=Host(instance_id="i-0a", lifecycle="spot"),
        state=SessionState.ALIVE, until=now + 86_400_000, seq=0, held=None, stop=None, hint_until=None, started_at=now,
    )  # fmt: skip
