"""One table, one bucket and one shard in memory, for workers to run it."""

import random
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import IO, Any

from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import to_epoch_ms
from spotproof.concurrency import InlineSpawner, Spawner
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import Candidate, Lease, OutputPointer, RunOptions, Shard
from spotproof.retries import Retrier
from spotproof.shards.model import InputPart, ObjectPin, PlannedShard
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.ledger import LedgerBook
from spotproof.worker.registry import JobFunction
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.shard_run import ShardRun
from tests.fakes.clock import FakeClock
from tests.fakes.gauge import FixedGauge
from tests.fakes.ids import CountingIds
from tests.fakes.leases import a_run, a_session
from tests.fakes.spawner import HeldSpawner

STEPS = 10
STEP_S = 1.0
RUN = a_run(
    shards=1,
    stripes=1,
    session_buckets=1,
    options=RunOptions(ttl_s=90, heartbeat_s=30, checkpoint_interval_s=3, failures_max=2),
)


PIN = ObjectPin(bucket="data", key="in", etag='"1"', size_bytes=1000)
PLANNED = PlannedShard(index=0, label="in", parts=(InputPart(pin=PIN, start=0, stop=1000),), size_bytes=1000)


class CountingReader:
    """A shard of STEPS batches; the batch after cursor n is n + 1."""

    def __init__(self) -> None:
        self.position = 0
        self.error: Exception | None = None

    @property
    def fraction_done(self) -> float:
        return self.position / STEPS

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[int]:
        for number in range((after or 0) + 1, STEPS + 1):
            if self.error is not None and number == 5:
                raise self.error
            self.position = number
            yield number

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]:
        raise NotImplementedError


class KeptOutput:
    """Keeps what was staged and published; publishing counts only for a DONE row."""

    def __init__(self) -> None:
        self.staged: list[Any] = []
        self.published: list[Any] = []
        self.started = False

    def stage(self, value: Any) -> OutputPointer:
        self.staged.append(value)
        return OutputPointer(files=(), manifest_key=None, sha256=str(value), size_bytes=1, records=1)

    def publish(self, pointer: OutputPointer) -> None:
        self.published.append(pointer.sha256)

    def discard(self) -> None:
        """Nothing on disk."""

    def open(self, name: str) -> Any:
        raise NotImplementedError


class World:
    """One table and one bucket; `worker` makes one worker's run of the single shard."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.retrier = Retrier(clock=self.clock, rng=random.Random(1))
        self.store = InMemoryLeaseStore(clock=self.clock, retrier=self.retrier)
        self.objects = InMemoryObjectStore()
        self.ids = CountingIds()
        self.output = KeptOutput()
        self.gauge = FixedGauge()
        self.reader = CountingReader()
        self.workers = 0
        self.spawner: Spawner = InlineSpawner()  # of saves
        self.store.create_run(RUN)

    def lease(self) -> tuple[Lease, WorkerSession, Monitor, LedgerBook]:
        self.workers += 1
        spawner = HeldSpawner()
        monitor = Monitor(sources=[], clock=self.clock, spawner=spawner, poll_s=2)
        ledger = LedgerBook(self.clock)
        until = to_epoch_ms(self.clock.now()) + 90_000
        session = WorkerSession(
            session=a_session(f"worker-{self.workers}", run=RUN, until=until),
            run=RUN,
            store=self.store,
            heartbeat_store=self.store,
            monitor=monitor,
            ledger=ledger,
            clock=self.clock,
            spawner=spawner,
        )
        session.open()
        assert session.hold(0)
        row = self.row()
        if row is None:
            lease = self.store.claim_fresh(RUN, 0, session.session)
        else:
            candidate = Candidate(index=0, fencing_token=row.fencing_token, drained=False)
            lease = self.store.claim_requeued(RUN, candidate, session.session)
        assert lease is not None
        return lease, session, monitor, ledger

    def worker(self, function: JobFunction) -> ShardRun:
        lease, session, monitor, ledger = self.lease()
        workshop = Workshop()
        engine = CheckpointEngine(
            objects=self.objects,
            lease=lease,
            clock=self.clock,
            ids=self.ids,
            spawner=self.spawner,
            workshop=workshop,
        )
        self.reader.position = 0
        return ShardRun(
            lease=lease,
            run=RUN,
            planned=PLANNED,
            gauge=self.gauge,
            function=function,
            handle=ShardHandle(
                index=0,
                shard_id="s",
                options={},
                reader=self.reader,
                output=self.output,
                monitor=monitor,
                scratch=lambda: workshop.folder,
                clock=self.clock,
            ),
            sink=self.output,
            engine=engine,
            checkpointing=Checkpointing(
                engine=engine,
                objects=self.objects,
                lease=lease,
                options=RUN.options,
                window_s=120,
                store=self.store,
                retrier=self.retrier,
                ledger=ledger,
                clock=self.clock,
            ),
            store=self.store,
            session=session,
            monitor=monitor,
            ledger=ledger,
            clock=self.clock,
        )

    def row(self) -> Shard | None:
        return self.store.get_shard(RUN, 0)

    def known_row(self) -> Shard:
        row = self.row()
        assert row is not None
        return row

    def job(self, at_step: dict[int, Any] | None = None) -> JobFunction:
        """Adds up batch numbers, a second each; `at_step` maps a batch number to something to do before it counts."""
        actions = dict(at_step or {})

        def total(shard: ShardHandle, state: Any) -> Generator[None, None, Any]:
            sums = state.map("sums")
            for number in shard.batches(after=state.get("cursor")):
                actions.pop(number, lambda: None)()
                self.clock.advance(STEP_S)
                sums["total"] = sums.get("total", 0) + number
                state["cursor"] = number
                yield
            return sums["total"]

        return total


TOTAL = sum(range(1, STEPS + 1))


def notice(world: World, *, in_s: float) -> Signal:
    return Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=world.clock.now() + timedelta(seconds=in_s))
