"""One lease from restore to commit, over the real store, engine and policies in memory."""

import errno
import random
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import IO, Any

import pytest

from spotproof import events
from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import to_epoch_ms
from spotproof.concurrency import InlineSpawner, Spawner
from spotproof.contract import checkpoints_prefix
from spotproof.errors import AwsUnavailableError, CheckpointTooNewError, InputChangedError
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import (
    Candidate,
    CapacityClass,
    CheckpointPointer,
    Lease,
    OutputPointer,
    RequeueCause,
    RunOptions,
    Shard,
    ShardState,
    ShardUsage,
)
from spotproof.leases.requeue import Requeuer
from spotproof.retries import Retrier
from spotproof.shards.model import InputPart, ObjectPin, PlannedShard
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.outcome import ShardOutcome
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


@pytest.fixture
def world() -> World:
    return World()


def notice(world: World, *, in_s: float) -> Signal:
    return Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=world.clock.now() + timedelta(seconds=in_s))


def test_an_undisturbed_shard_is_committed_and_published(world: World) -> None:
    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    assert world.output.published == [str(TOTAL)]
    assert world.known_row().state is ShardState.DONE


def test_a_committed_shard_leaves_no_checkpoints(world: World) -> None:
    world.worker(world.job()).execute()

    assert list(world.objects.list(checkpoints_prefix(RUN.run_id, 0))) == []


def test_a_notice_saves_releases_and_the_next_worker_goes_on_where_it_stopped(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(notice(world, in_s=4))})

    assert first.execute() is ShardOutcome.RELEASED
    assert world.known_row().state is ShardState.READY
    assert world.known_row().interruptions == 1
    assert first.ledger.seconds(Spent.REDONE) == 0

    second = world.worker(world.job())
    assert second.execute() is ShardOutcome.COMMITTED
    assert second.ledger.seconds(Spent.WORK) == STEPS - 5
    assert world.output.published == [str(TOTAL)]


def test_a_shard_that_was_handed_back_tells_how_much_of_the_notice_was_left(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="spotproof")
    worker = world.worker(world.job())
    worker.function = world.job({5: lambda: worker.monitor.offer(notice(world, in_s=4))})

    worker.execute()

    [released] = [record for record in caplog.records if record.message == events.SHARD_RELEASED]
    assert 0 < vars(released)["left_ms"] <= 4000


def test_a_shard_that_fits_into_the_window_is_finished(world: World) -> None:
    worker = world.worker(world.job())
    worker.function = world.job({5: lambda: worker.monitor.offer(notice(world, in_s=120))})

    assert worker.execute() is ShardOutcome.COMMITTED


def test_a_notice_that_leaves_no_time_lets_go_of_what_was_saved(world: World) -> None:
    worker = world.worker(world.job())
    worker.function = world.job({6: lambda: worker.monitor.offer(notice(world, in_s=0.5))})

    assert worker.execute() is ShardOutcome.RELEASED

    # Saved every 3 s: step 6 is lost with the two before it.
    assert worker.ledger.seconds(Spent.REDONE) == 3
    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED
    assert world.output.published == [str(TOTAL)]


def test_without_notice_the_next_worker_redoes_at_most_one_interval(world: World) -> None:
    class KilledError(BaseException):
        """Stands for SIGKILL: nothing of the worker runs any more."""

    def kill() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        world.worker(world.job({8: kill})).execute()
    dead_owner = world.known_row().owner
    assert dead_owner is not None
    world.store.requeue(RUN, 0, owner=dead_owner, cause=RequeueCause.LOST, losses_max=4)

    survivor = world.worker(world.job())
    assert survivor.execute() is ShardOutcome.COMMITTED
    interval_s = RUN.options.checkpoint_interval_s
    assert interval_s is not None
    assert survivor.ledger.seconds(Spent.WORK) - (STEPS - 7) <= interval_s
    assert world.output.published == [str(TOTAL)]


def test_a_zombie_whose_shard_was_given_away_commits_and_publishes_nothing(world: World) -> None:
    zombie = world.worker(world.job())

    def give_away() -> None:
        owner = world.known_row().owner
        assert owner is not None
        world.store.requeue(RUN, 0, owner=owner, cause=RequeueCause.TERMINATED, losses_max=4)
        assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    zombie.function = world.job({STEPS: give_away})

    assert zombie.execute() is ShardOutcome.LOST
    assert world.output.published == [str(TOTAL)]


PAUSED = Signal(kind=SignalKind.PAUSE, channel=Channel.SESSION)


def test_a_paused_run_saves_and_hands_back_without_an_interruption(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(PAUSED)})

    assert first.execute() is ShardOutcome.RELEASED

    row = world.known_row()
    assert (row.state, row.interruptions, row.capacity_class) == (ShardState.READY, 0, CapacityClass.SPOT)
    assert first.ledger.seconds(Spent.REDONE) == 0
    second = world.worker(world.job())
    assert second.execute() is ShardOutcome.COMMITTED
    assert second.ledger.seconds(Spent.WORK) == STEPS - 5


def test_a_notice_during_a_pause_is_an_interruption(world: World) -> None:
    worker = world.worker(world.job())

    def both() -> None:
        worker.monitor.offer(PAUSED)
        worker.monitor.offer(notice(world, in_s=4))

    worker.function = world.job({5: both})

    assert worker.execute() is ShardOutcome.RELEASED
    assert world.known_row().interruptions == 1


def test_a_commit_tells_what_the_shard_took(world: World) -> None:
    worker = world.worker(world.job())
    worker.ledger.book(100.0, Spent.WORK)  # on shards before

    worker.execute()

    owner = worker.lease.owner
    assert world.gauge.begun == 1
    assert world.known_row().usage == ShardUsage(
        session=owner, worked_ms=STEPS * 1000, input_bytes=1000, peak_mib=512, cpu_ms=1500
    )
    assert world.known_row().earlier_ms == 0


def test_work_handed_back_is_kept_apart_and_what_was_lost_is_not_counted(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(notice(world, in_s=4))})
    first.execute()
    in_time = world.known_row().earlier_ms
    second = world.worker(world.job())
    second.function = world.job({9: lambda: second.monitor.offer(notice(world, in_s=0.5))})
    second.execute()
    lost_ms = round(second.ledger.seconds(Spent.REDONE) * 1000)
    too_late = world.known_row().earlier_ms

    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    usage = world.known_row().usage
    assert usage is not None
    assert (in_time, too_late, lost_ms) == (5000, 8000, 1000)
    assert too_late + usage.worked_ms == STEPS * 1000  # every step once


def test_the_work_of_a_failed_attempt_is_kept_as_far_as_it_was_saved(world: World) -> None:
    def fail() -> None:
        raise ValueError("bad carrier")

    world.worker(world.job({8: fail})).execute()

    assert world.known_row().earlier_ms == 6000


def test_a_raising_function_is_tried_again_and_quarantined_at_the_limit(world: World) -> None:
    def fail() -> None:
        raise ValueError("bad carrier")

    assert world.worker(world.job({2: fail})).execute() is ShardOutcome.FAILED
    assert "bad carrier" in (world.known_row().last_error or "")
    world.clock.advance(3600)

    assert world.worker(world.job({2: fail})).execute() is ShardOutcome.QUARANTINED
    assert world.output.staged == []


def test_a_function_that_calls_exit_fails_its_shard_and_not_the_worker(world: World) -> None:
    def leave() -> None:
        raise SystemExit(0)

    assert world.worker(world.job({2: leave})).execute() is ShardOutcome.FAILED


def test_changed_input_is_quarantined_at_once_with_the_objects_name(world: World) -> None:
    world.reader.error = InputChangedError("s3://b/in/x.csv changed")

    assert world.worker(world.job()).execute() is ShardOutcome.QUARANTINED
    assert "s3://b/in/x.csv" in (world.known_row().last_error or "")


def test_when_s3_stays_down_the_shard_is_handed_back_without_blame(world: World) -> None:
    world.reader.error = AwsUnavailableError("S3 503")

    assert world.worker(world.job()).execute() is ShardOutcome.RELEASED
    row = world.known_row()
    assert (row.failures, row.interruptions, row.state) == (0, 0, ShardState.READY)


def test_a_shard_that_could_not_be_handed_back_ends_its_session_and_is_rescued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reader.error = AwsUnavailableError("S3 503")
    worker = world.worker(world.job())

    def refuse(lease: Lease, *, interrupted: bool, worked_ms: int) -> None:
        raise AwsUnavailableError("DynamoDB 503")

    monkeypatch.setattr(world.store, "release", refuse)

    assert worker.execute() is ShardOutcome.LOST
    assert worker.session.lost  # or the next hold would take the shard's cover away, and nobody would rescue it
    worker.session.close()
    world.clock.advance(91)
    Requeuer(world.store).rescue_expired(RUN, to_epoch_ms(world.clock.now()))
    assert world.known_row().state is ShardState.READY


def test_a_full_scratch_disk_is_a_failure_that_says_so(world: World) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert world.worker(world.job({2: fill})).execute() is ShardOutcome.UNFIT
    assert "disk" in (world.known_row().last_error or "")


def test_running_out_of_memory_fails_the_shard_and_makes_the_worker_unfit(world: World) -> None:
    def allocate() -> None:
        raise MemoryError

    assert world.worker(world.job({2: allocate})).execute() is ShardOutcome.UNFIT
    assert world.known_row().failures == 1
    assert "memory" in (world.known_row().last_error or "")


def test_a_value_that_cannot_be_saved_fails_the_shard_by_its_key(world: World) -> None:
    def job(shard: ShardHandle, state: Any) -> Generator[None, None, Any]:
        state["socket"] = object()
        yield

    assert world.worker(job).execute() is ShardOutcome.FAILED
    assert "socket" in (world.known_row().last_error or "")


def test_a_function_without_yield_is_committed_once(world: World) -> None:
    def job(shard: ShardHandle, state: Any) -> Any:
        return 7

    assert world.worker(job).execute() is ShardOutcome.COMMITTED
    assert world.output.published == ["7"]


def test_behind_an_open_output_file_nothing_is_saved_and_the_shard_is_replayed_from_before_it(world: World) -> None:
    worker = world.worker(world.job())

    def open_file() -> None:
        world.output.started = True

    worker.function = world.job({5: open_file, 9: lambda: worker.monitor.offer(notice(world, in_s=1))})

    assert worker.execute() is ShardOutcome.RELEASED
    pointer = world.known_row().checkpoint
    assert pointer is not None
    assert pointer.seq == 1  # of step 3; the one due at step 6 was not made


def test_a_rebalance_recommendation_saves_once_and_work_goes_on(world: World) -> None:
    worker = world.worker(world.job())
    hint = Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=world.clock.now() + timedelta(minutes=20))
    worker.function = world.job({1: lambda: worker.monitor.offer(hint)})

    assert worker.execute() is ShardOutcome.COMMITTED


def test_a_checkpoint_of_a_newer_worker_ends_this_one_and_keeps_the_shard(world: World) -> None:
    worker = world.worker(world.job())

    def refuse(pointer: CheckpointPointer | None) -> Any:
        raise CheckpointTooNewError("schema 99; upgrade the worker")

    worker.engine.restore = refuse  # type: ignore[method-assign]

    with pytest.raises(CheckpointTooNewError):
        worker.execute()
    assert world.known_row().state is ShardState.READY
    assert world.known_row().failures == 0


def test_a_restore_that_fails_takes_nothing_from_the_work_of_earlier_shards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_lease = world.lease

    def lease_after_useful_work() -> tuple[Lease, WorkerSession, Monitor, LedgerBook]:
        lease, session, monitor, ledger = first_lease()
        with ledger.span(Spent.WORK):
            world.clock.advance(7)
        return lease, session, monitor, ledger

    def refuse(pointer: CheckpointPointer | None) -> Any:
        raise AwsUnavailableError("S3 503")

    monkeypatch.setattr(world, "lease", lease_after_useful_work)
    worker = world.worker(world.job())
    worker.engine.restore = refuse  # type: ignore[method-assign]

    assert worker.execute() is ShardOutcome.RELEASED
    assert (worker.ledger.seconds(Spent.WORK), worker.ledger.seconds(Spent.REDONE)) == (7, 0)


def test_a_save_that_fails_costs_nothing_but_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise AwsUnavailableError("S3 503")

    monkeypatch.setattr(world.objects, "put", refuse)
    monkeypatch.setattr(world.objects, "put_if_absent", lambda *a, **k: refuse("", b""))

    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED
    assert world.output.published == [str(TOTAL)]
