"""One worker's leases over the real shard run: what it spends, what it saves and what it loses."""

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from hypothesis import strategies as st

from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.concurrency import InlineSpawner
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import Candidate, CheckpointPointer, Lease, OutputPointer, RequeueCause, Run, ShardUsage
from spotproof.retries import Retrier
from spotproof.shards.model import PlannedShard
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.ledger import LedgerBook
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.shard_run import ShardRun
from tests.fakes.clock import FakeClock
from tests.fakes.gauge import FixedGauge
from tests.fakes.ids import CountingIds
from tests.fakes.spawner import HeldSpawner
from tests.stateful.checkpoint_bucket import FaultyBucket

TROUBLES: Final = (
    None,
    None,
    "restore is down",
    "the function raises",
    "a stop without a deadline",
    "a stop with a near deadline",
    "the lease is taken away",
    "saves are down",
    "the commit is down",
    "commit and release are down",
)


@dataclass(frozen=True, slots=True)
class Script:
    """What one lease of a worker brings: steps of work in eighths of a second, and a trouble before one of them."""

    eighths: tuple[int, ...]
    trouble: str | None
    at: int


scripts: Final = st.builds(
    Script,
    st.lists(st.integers(1, 64), min_size=1, max_size=5).map(tuple),
    st.sampled_from(TROUBLES),
    st.integers(0, 3),
)


class NoInput:
    """A shard without records: the script is the work."""

    fraction_done: float = 0.0

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]:
        return iter(())

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]:
        return iter(())


class NoOutput:
    """Takes whatever is staged; nothing is published."""

    started: bool = False

    def stage(self, value: Any) -> OutputPointer:
        return OutputPointer(files=(), manifest_key=None, sha256=str(value), size_bytes=1, records=1)

    def publish(self, pointer: OutputPointer) -> None:
        """Nothing to copy."""

    def discard(self) -> None:
        """Nothing on disk."""

    def open(self, name: str) -> Any:
        raise NotImplementedError


class BrittleStore(DynamoDBLeaseStore):
    """Refuses what a script says, before any effect; knows what was acknowledged."""

    down: tuple[str, ...] = ()
    acknowledged: int = 0  # pointers

    def record_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> None:
        self._check("record")
        super().record_checkpoint(lease, pointer)
        self.acknowledged += 1

    def commit(self, lease: Lease, output: OutputPointer, *, usage: ShardUsage | None = None) -> None:
        self._check("commit")
        super().commit(lease, output, usage=usage)

    def release(self, lease: Lease, *, interrupted: bool, worked_ms: int = 0) -> None:
        self._check("release")
        super().release(lease, interrupted=interrupted, worked_ms=worked_ms)

    def _check(self, what: str) -> None:
        if what in self.down:
            raise AwsUnavailableError(f"{what}: down")


class BrittleBucket(FaultyBucket):
    """Takes an eighth of a second for each object, and can't be read while `down`."""

    down: bool = False

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._ticking = clock

    def _write(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> None:
        self._ticking.advance(1 / 8)
        super()._write(key, data, content_type, metadata)

    def get(self, key: str, *, size_max: int) -> bytes | None:
        if self.down:
            raise AwsUnavailableError("read: down")
        return super().get(key, size_max=size_max)


class WorkerLife:
    """Takes lease after lease with one session, monitor and ledger, as a worker's loop does."""

    def __init__(
        self,
        *,
        session: WorkerSession,
        monitor: Monitor,
        run: Run,
        store: BrittleStore,
        ledger: LedgerBook,
        clock: FakeClock,
    ) -> None:
        self.session = session
        self.ledger = ledger
        self._monitor = monitor
        self._run = run
        self._store = store
        self._clock = clock
        self._bucket = BrittleBucket(clock)
        self._ids = CountingIds()
        self.at_risk_eighths = 0  # work of the last lease since its last acknowledged save
        self.spent_eighths = 0  # on the last lease, from restore to commit
        self._known = 0  # saves that were acknowledged

    def perform(self, script: Script) -> ShardOutcome:
        """Lease the next shard and run the script on it.

        Raises:
            AwsError: as the shard run does.
        """
        lease = self._lease(script)
        self._bucket.down = script.trouble == "restore is down"
        self._store.down = {
            "saves are down": ("record",),
            "the commit is down": ("commit",),
            "commit and release are down": ("commit", "release"),
        }.get(script.trouble or "", ())
        self.at_risk_eighths, self._known = 0, self._store.acknowledged
        started = self._clock.monotonic()
        try:
            return self._shard_run(lease, script).execute()
        finally:
            self.spent_eighths = round((self._clock.monotonic() - started) * 8)
            self._learn_of_saves()
            self._bucket.down, self._store.down = False, ()

    def _learn_of_saves(self) -> None:
        if self._store.acknowledged > self._known:
            self._known, self.at_risk_eighths = self._store.acknowledged, 0

    def _lease(self, script: Script) -> Lease:
        if script.trouble == "restore is down":
            return self._lease_with_a_checkpoint()
        return self._fresh_lease()

    def _fresh_lease(self) -> Lease:
        index = self._store.take_ticket(self._run, 0)
        assert index is not None
        assert self.session.hold(index)
        lease = self._store.claim_fresh(self._run, index, self.session.session)
        assert lease is not None
        return lease

    def _lease_with_a_checkpoint(self) -> Lease:
        lease = self._fresh_lease()
        engine = self._engine(lease)
        state = engine.restore(None).state
        state["cursor"] = 1
        saved = engine.save(state, record=lambda pointer: self._store.record_checkpoint(lease, pointer))
        assert saved is not None
        self._store.release(lease, interrupted=False)
        again = self._store.claim_requeued(
            self._run,
            Candidate(index=lease.index, fencing_token=lease.fencing_token + 1, drained=False),
            self.session.session,
        )
        assert again is not None
        return again

    def _engine(self, lease: Lease) -> CheckpointEngine:
        return CheckpointEngine(
            objects=self._bucket, lease=lease, clock=self._clock, ids=self._ids, spawner=InlineSpawner()
        )

    def _shard_run(self, lease: Lease, script: Script) -> ShardRun:
        engine = self._engine(lease)
        output = NoOutput()
        return ShardRun(
            lease=lease,
            run=self._run,
            planned=PlannedShard(index=lease.index, label="s", parts=(), size_bytes=0),
            gauge=FixedGauge(),
            function=lambda shard, state: self._job(lease, script, state),
            handle=ShardHandle(
                index=lease.index,
                shard_id="s",
                options={},
                reader=NoInput(),
                output=output,
                monitor=self._monitor,
                scratch=lambda: Path(),
                clock=self._clock,
            ),
            sink=output,
            engine=engine,
            checkpointing=Checkpointing(
                engine=engine,
                objects=self._bucket,
                lease=lease,
                options=self._run.options,
                window_s=120,
                store=self._store,
                retrier=Retrier(clock=self._clock, rng=random.Random(0)),
                ledger=self.ledger,
                clock=self._clock,
            ),
            store=self._store,
            session=self.session,
            monitor=self._monitor,
            ledger=self.ledger,
            clock=self._clock,
        )

    def _job(self, lease: Lease, script: Script, state: Any) -> Generator[None, None, str]:
        for number, eighths in enumerate(script.eighths):
            self._learn_of_saves()
            if number == script.at:
                self._strike(lease, script)
            self._clock.advance(eighths / 8)
            self.at_risk_eighths += eighths
            state["cursor"] = number
            yield
        self._learn_of_saves()
        return f"output of {lease.index}"

    def _strike(self, lease: Lease, script: Script) -> None:
        match script.trouble:
            case "the function raises":
                self._clock.advance(1 / 8)
                self.at_risk_eighths += 1
                raise ValueError("the script says so")
            case "a stop without a deadline":
                self._monitor.offer(Signal(kind=SignalKind.TERMINATE, channel=Channel.SIGTERM))
            case "a stop with a near deadline":
                deadline = self._clock.now()
                self._monitor.offer(Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=deadline))
            case "the lease is taken away":
                cause = RequeueCause.TERMINATED
                self._store.requeue(self._run, lease.index, owner=lease.owner, cause=cause, losses_max=9)


def a_life(*, session: Any, run: Run, store: BrittleStore, clock: FakeClock) -> WorkerLife:
    """A worker whose session is open."""
    spawner, ledger = HeldSpawner(), LedgerBook(clock)
    monitor = Monitor(sources=[], clock=clock, spawner=spawner, poll_s=2)
    opened = WorkerSession(
        session=session,
        run=run,
        store=store,
        heartbeat_store=store,
        monitor=monitor,
        ledger=ledger,
        clock=clock,
        spawner=spawner,
    )
    opened.open()
    return WorkerLife(session=opened, monitor=monitor, run=run, store=store, ledger=ledger, clock=clock)
