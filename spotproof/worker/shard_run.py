"""One lease from restore to commit: the only place where a user's function runs."""

import contextlib
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import GeneratorType
from typing import Any, Protocol, TypeVar

from spotproof import events
from spotproof.checkpoints.engine import CheckpointEngine, Restored
from spotproof.checkpoints.state import State
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import (
    AwsAccessError,
    AwsError,
    AwsMissingError,
    CheckpointTooNewError,
    ConfigurationError,
    LeaseLostError,
    OutputConflictError,
    OutputDamagedError,
    ScratchFullError,
    SessionLostError,
    UserCodeError,
)
from spotproof.interruptions.model import Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.model import Lease, OutputPointer, Run, ShardState
from spotproof.leases.store import LeaseStore
from spotproof.shards.model import PlannedShard
from spotproof.worker.checkpointing import Checkpointing, StopAction
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.registry import JobFunction
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_gauge import ShardGauge, usage_of
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.stopped import WorkerStopped
from spotproof.worker.user_errors import Failure, classify_failure, retry_after_s

logger = logging.getLogger(__name__)
T = TypeVar("T")


class OutputSink(Protocol):
    """Turns what a function returned and wrote into a committed output."""

    @property
    def started(self) -> bool:
        """Whether the function has opened an output file: those are no part of the state, so no save may follow."""
        ...

    def stage(self, value: Any) -> OutputPointer:
        """Encode and upload under our own token; durable when it returns."""
        ...

    def publish(self, pointer: OutputPointer) -> None:
        """Copy the committed output to its final keys."""
        ...

    def discard(self) -> None:
        """Remove local scratch files."""
        ...


class LetGoError(Exception):
    """A stop ended our work on the shard; what could be saved is saved.

    Attributes:
        interrupted: the host is going; else the run was paused, which says nothing about the shard or its host.
        deadline: when the host goes, where that is known.
    """

    def __init__(self, stop: Signal) -> None:
        super().__init__(f"{stop.kind} by {stop.channel}")
        self.interrupted = stop.kind is not SignalKind.PAUSE
        self.deadline = stop.deadline


@dataclass
class ShardRun:
    """Everything one lease needs; used once."""

    lease: Lease
    run: Run
    planned: PlannedShard
    gauge: ShardGauge
    function: JobFunction
    handle: ShardHandle
    sink: OutputSink
    engine: CheckpointEngine
    checkpointing: Checkpointing
    store: LeaseStore
    session: WorkerSession
    monitor: Monitor
    ledger: LedgerBook
    clock: Clock
    _work_before_s: float = field(default=0.0, init=False)

    def execute(self) -> ShardOutcome:
        """Run the function on the shard and commit its output, or hand the shard back with its progress.

        Raises:
            CheckpointTooNewError: a newer worker's checkpoint; the shard is handed back.
            ConfigurationError: a library is missing that its output needs; the shard is handed back.
            AwsAccessError, AwsMissingError: the worker itself can't go on; the shard is handed back.
        """
        self._log(events.SHARD_LEASED, failures=self.lease.failures, interruptions=self.lease.interruptions)
        self.gauge.begin()
        self._work_before_s = self.ledger.seconds(Spent.WORK)
        try:
            return self._attempt()
        except LetGoError as stop:
            return self._release(interrupted=stop.interrupted, reason=str(stop), deadline=stop.deadline)
        except UserCodeError as error:
            return self._fail(classify_failure(error.__cause__ or error))
        except (ScratchFullError, MemoryError, OutputConflictError) as error:  # in restoring or staging, too
            return self._fail(classify_failure(error))
        except (LeaseLostError, SessionLostError) as error:
            return self._lose(error)
        except (CheckpointTooNewError, ConfigurationError, AwsAccessError, AwsMissingError) as error:
            self._release(interrupted=False, reason=str(error))
            raise
        except AwsError as error:
            return self._release(interrupted=False, reason=str(error))
        finally:
            self.checkpointing.close()
            self.sink.discard()

    def _attempt(self) -> ShardOutcome:
        with self.ledger.span(Spent.CHECKPOINT):
            restored = self.engine.restore(self.lease.checkpoint)
        if self.lease.checkpoint is not None:
            self._report_restored(restored)
        self.checkpointing.begin(restored)
        return self._commit(self._drive(restored.state))

    def _drive(self, state: State) -> Any:
        """Run the function to its end; what it returned. Its safe points are `yield` and `shard.safe_point()`."""
        self.handle.at_safe_point = lambda: self._inner_safe_point(state)
        self.handle.spare = lambda: self._spare_s(state)
        try:
            return self._steps(state)
        except WorkerStopped as stopped:
            raise stopped.cause from None

    def _steps(self, state: State) -> Any:
        with self.ledger.span(Spent.WORK):
            steps = self._guarded(lambda: self.function(self.handle, state))
        if not isinstance(steps, GeneratorType):
            return steps  # a function without `yield`: committed once all the same
        finished: list[Any] = []
        try:
            while not finished:
                with self.ledger.span(Spent.WORK):
                    finished = self._guarded(lambda: _advance(steps))
                if not finished:
                    self._at_safe_point(state)
        finally:
            _end(steps)
        return finished[0]

    def _guarded(self, step: Callable[[], T]) -> T:
        """Run user code; whatever it raises, SystemExit included, is the shard's failure and not the worker's."""
        try:
            return step()
        except (Exception, SystemExit) as error:
            raise UserCodeError(f"the function of job {self.run.job} raised {type(error).__name__}") from error

    def _inner_safe_point(self, state: State) -> None:
        """What happens at a safe point inside the function must not look like an error of the function."""
        try:
            self._at_safe_point(state)
        except Exception as error:
            raise WorkerStopped(error) from error

    def _at_safe_point(self, state: State) -> None:
        if self.session.lost:
            raise SessionLostError("this session is over")
        stop, done, started = self.monitor.stop(), self.handle.fraction_done, self.sink.started
        if stop is None:
            self.checkpointing.offer(
                state, hint=self.monitor.hint(), fraction_done=done, output_started=started, stopped=self._must_look_up
            )
            stop = self.monitor.stop()
        if stop is None:
            return
        action = self.checkpointing.on_stop(
            state, stop, fraction_done=done, output_started=started, wrapped_up=self.handle.ready_to_leave
        )
        if action is StopAction.LET_GO:
            raise LetGoError(stop)

    def _must_look_up(self) -> bool:
        return self.session.lost or self.monitor.stop() is not None

    def _spare_s(self, state: State) -> float:
        stop = self.monitor.stop()
        return float("inf") if stop is None else self.checkpointing.spare_s(state, stop)

    def _commit(self, value: Any) -> ShardOutcome:
        self.checkpointing.cancel()
        pointer = self.sink.stage(value)
        usage = usage_of(
            planned=self.planned, use=self.gauge.read(), worked_ms=self._worked_ms, session=self.lease.owner
        )
        self.store.commit(self.lease, pointer, usage=usage)
        self._log(
            events.SHARD_COMMITTED,
            size_bytes=pointer.size_bytes,
            records=pointer.records,
            output_sha256=pointer.sha256,
            work_ms=self.ledger.snapshot().work_ms,
        )
        # The shard is done whatever happens now: the finalizer repeats what fails here.
        try:
            self.sink.publish(pointer)
            self._log(events.SHARD_PUBLISHED)
            self.checkpointing.part()
            self.checkpointing.delete_all()
        except (AwsError, OutputConflictError, OutputDamagedError) as error:
            logger.warning(events.PUBLISH_FAILED, extra={"shard": self.lease.index, "error": str(error)})
        return ShardOutcome.COMMITTED

    def _release(self, *, interrupted: bool, reason: str, deadline: datetime | None = None) -> ShardOutcome:
        self.checkpointing.part()
        lost_s = self.checkpointing.at_risk_s
        self.ledger.move(lost_s, source=Spent.WORK, target=Spent.REDONE)
        try:
            self.store.release(self.lease, interrupted=interrupted, worked_ms=self._worked_ms)
        except (LeaseLostError, SessionLostError) as error:
            return self._lose(error)
        except AwsError as error:
            self.session.abandon()  # its expiry frees the shard instead
            self._log(events.LEASE_LOST, error=str(error), lost_ms=round(lost_s * 1000))
            return ShardOutcome.LOST
        left_ms = None if deadline is None else round((deadline - self.clock.now()).total_seconds() * 1000)
        self._log(
            events.SHARD_RELEASED,
            reason=reason,
            interrupted=interrupted,
            lost_ms=round(lost_s * 1000),
            left_ms=left_ms,
        )
        return ShardOutcome.RELEASED

    def _fail(self, failure: Failure) -> ShardOutcome:
        if failure.blameless:
            return self._release(interrupted=False, reason=failure.text)
        self.checkpointing.take_note()
        self.ledger.move(self.checkpointing.at_risk_s, source=Spent.WORK, target=Spent.REDONE)
        failures_max = 1 if failure.hopeless else self.run.options.failures_max
        retry_at = self.clock.now() + timedelta(seconds=retry_after_s(self.lease.failures + 1))
        error = f"{failure.kind}: {failure.text}"
        try:
            row = self.store.fail(
                self.lease,
                error=error,
                retry_at=to_epoch_ms(retry_at),
                failures_max=failures_max,
                worked_ms=self._worked_ms,
            )
        except LeaseLostError as lost:
            return self._lose(lost)
        quarantined = row.state is ShardState.QUARANTINED
        self._log(
            events.SHARD_QUARANTINED if quarantined else events.SHARD_FAILED,
            kind=failure.kind,
            error=failure.text,
            failures=row.failures,
        )
        if failure.kind.spoils_worker:
            return ShardOutcome.UNFIT
        return ShardOutcome.QUARANTINED if quarantined else ShardOutcome.FAILED

    @property
    def _worked_ms(self) -> int:
        """The job's own work under this lease; what was lost is taken out of it first."""
        return max(0, round((self.ledger.seconds(Spent.WORK) - self._work_before_s) * 1000))

    def _lose(self, error: Exception) -> ShardOutcome:
        self.checkpointing.take_note()
        lost_s = self.checkpointing.at_risk_s
        self.ledger.move(lost_s, source=Spent.WORK, target=Spent.REDONE)
        self._log(events.LEASE_LOST, error=str(error), lost_ms=round(lost_s * 1000))
        return ShardOutcome.LOST

    def _report_restored(self, restored: Restored) -> None:
        self._log(
            events.SHARD_RESUMED,
            seq=restored.seq,
            size_bytes=restored.size_bytes,
            requests=restored.requests,
            duration_ms=round(restored.duration_s * 1000),
            fell_back=restored.fell_back,
        )

    def _log(self, event: str, **fields: Any) -> None:
        shard = {"shard": self.lease.index, "fencing_token": self.lease.fencing_token}
        logger.info(event, extra={**shard, **fields})


def _advance(steps: Generator[None, None, Any]) -> list[Any]:
    """One step of the function; a list with its returned value once it has returned, else an empty one."""
    try:
        next(steps)
    except StopIteration as stop:
        return [stop.value]
    return []


def _end(steps: Generator[None, None, Any]) -> None:
    """End a function that stands at a safe point, before its shard is handed on; one that has ended stays as it is.

    Its `finally` blocks run. What they raise changes nothing any more: what happens to the shard is decided.
    """
    with contextlib.suppress(Exception, SystemExit):
        steps.close()
