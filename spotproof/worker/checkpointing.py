"""When a shard's state is saved, and what a stop means for the work at hand."""

import logging
from enum import StrEnum

from spotproof import events
from spotproof.checkpoints.budget import StopChoice, decide_on_stop, dirty_budget_bytes, reserve_s
from spotproof.checkpoints.engine import CheckpointEngine, Saved
from spotproof.checkpoints.estimate import SaveCosts, SaveEstimate
from spotproof.checkpoints.policy import choose_interval, decide_save
from spotproof.checkpoints.presets import plan_saves
from spotproof.checkpoints.risk import RATE_PRIOR_PER_H, assess_risk
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore, delete_all
from spotproof.clock import Clock
from spotproof.contract import NOTICE_LEAD_S, checkpoints_prefix
from spotproof.errors import AwsError, CheckpointError
from spotproof.interruptions.model import Signal, SignalKind
from spotproof.leases.model import Lease, RunOptions
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from spotproof.worker.ledger import LedgerBook, Spent

logger = logging.getLogger(__name__)


class StopAction(StrEnum):
    GO_ON = "go-on"  # the shard will be finished in time
    LET_GO = "let-go"  # hand the shard back now


def remaining_s(*, worked_s: float, fraction_before: float, fraction_now: float) -> float | None:
    """Seconds of work left, if the rest goes like the part done by this worker; None while nothing is known."""
    done = fraction_now - fraction_before
    if done <= 0 or worked_s <= 0:
        return None
    return worked_s * (1.0 - fraction_now) / done


class Checkpointing:
    """One lease's saves: asks the policy at every safe point, and measures what saving costs."""

    def __init__(
        self,
        *,
        engine: CheckpointEngine,
        objects: ObjectStore,
        lease: Lease,
        options: RunOptions,
        store: LeaseStore,
        retrier: Retrier,
        ledger: LedgerBook,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._objects = objects
        self._lease = lease
        self._options = options
        self._plan = plan_saves(options)
        self._store = store
        self._retrier = retrier
        self._ledger = ledger
        self._clock = clock
        self._work_at_start_s = 0.0
        self._work_at_save_s = ledger.seconds(Spent.WORK)  # of earlier shards: none of it is at risk
        self._fraction_at_start: float | None = None  # at the first safe point, as is _work_at_start_s
        self._saved_at = clock.monotonic()
        self._costs: SaveCosts | None = None
        self._saved_for_stop = False
        self._estimate = SaveEstimate()
        self._hint_served: Signal | None = None
        self._deadline: float | None = None
        self._reserve_s = 0.0
        self._saved_any = lease.checkpoint is not None

    def begin(self) -> None:
        """The shard is restored: what happens from now on is at risk until it is saved."""
        self._work_at_save_s = self._ledger.seconds(Spent.WORK)
        self._saved_at = self._clock.monotonic()

    @property
    def at_risk_s(self) -> float:
        """Work since the last durable checkpoint, seconds: what a stop now would cost."""
        return self._ledger.seconds(Spent.WORK) - self._work_at_save_s

    def offer(self, state: State, *, hint: Signal | None, fraction_done: float, output_started: bool) -> None:
        """At a safe point: save if the policy says so. A failed save costs nothing but time.

        Raises:
            LeaseLostError: the pointer was refused.
            UnsavableValueError: the state holds a type that can't be saved.
        """
        self._remaining_s(fraction_done)
        decision = decide_save(
            interval=choose_interval(
                plan=self._plan,
                costs=self._costs,
                restore_s=0.0,
                risk=assess_risk(
                    hours=self._ledger.seconds(Spent.WORK) / 3600,
                    interruptions=self._lease.interruptions,
                    losses=self._lease.losses,
                    rate_prior_per_h=self._options.interruption_rate_per_h or RATE_PRIOR_PER_H,
                ),
            ),
            since_save_s=self._clock.monotonic() - self._saved_at,
            dirty_bytes=state.dirty_bytes,
            budget_bytes=dirty_budget_bytes(window_s=self._options.window_s or NOTICE_LEAD_S, estimate=self._estimate)
            if self._plan.keeps_budget
            else None,
            in_flight=False,
            hint_pending=hint is not None and self._hint_served is None,
            output_started=output_started,
        )
        if not decision.save:
            return
        self._hint_served = hint
        try:
            self._save(state, reason=decision.reason, deadline=None)
        except (CheckpointError, AwsError) as error:
            self._saved_at = self._clock.monotonic()  # not again at the very next safe point
            self._report_failure(error)

    def on_stop(self, state: State, stop: Signal, *, fraction_done: float, output_started: bool) -> StopAction:
        """At a safe point under a hard stop: finish if it fits, else save if that fits, else let go of what is saved.

        Raises:
            LeaseLostError: the pointer was refused.
            UnsavableValueError: the state holds a type that can't be saved.
        """
        if stop.kind is SignalKind.CANCEL:
            return StopAction.LET_GO
        window_s = self._window_s(stop)
        decision = decide_on_stop(
            window_s=window_s,
            reserve_s=self._reserve_s,
            remaining_s=self._remaining_s(fraction_done),
            save_estimate_s=self._estimate.seconds(self._engine.pending_bytes(state)),
            can_save=self._plan.saves and not output_started,
            saved_since_stop=self._saved_for_stop,
        )
        logger.info(
            events.STOP_DECIDED,
            extra={
                "shard": self._lease.index,
                "choice": decision.choice,
                "reason": decision.reason,
                "window_s": round(window_s, 3),
                "fraction_done": round(fraction_done, 4),
            },
        )
        if decision.choice is StopChoice.FINISH:
            return StopAction.GO_ON
        if decision.choice in (StopChoice.SAVE_AND_GO_ON, StopChoice.SAVE_AND_LEAVE):
            try:
                self._save(state, reason=decision.reason, deadline=self._deadline)
                self._saved_for_stop = True
            except (CheckpointError, AwsError) as error:
                self._report_failure(error)
        return StopAction.GO_ON if decision.choice is StopChoice.SAVE_AND_GO_ON else StopAction.LET_GO

    def delete_all(self) -> None:
        """The shard is done: its checkpoints are of no use any more.

        Raises:
            AwsError: some could not be deleted; the finalizer will.
        """
        if self._saved_any:
            delete_all(self._objects, checkpoints_prefix(self._lease.run_id, self._lease.index))

    def _window_s(self, stop: Signal) -> float:
        """Seconds left until the deadline; the first look fixes the reserve and the retry layer's deadline."""
        if stop.deadline is None:
            return float("inf")
        left_s = (stop.deadline - self._clock.now()).total_seconds()
        deadline = self._clock.monotonic() + left_s
        if self._deadline is None or deadline < self._deadline - 0.5:
            self._reserve_s = reserve_s(left_s)
            self._deadline = deadline - self._reserve_s
            self._retrier.deadline = self._deadline
        return left_s

    def _remaining_s(self, fraction_done: float) -> float | None:
        """The first call sets where this worker's own pace is measured from: a resumed shard does not start at 0."""
        if self._fraction_at_start is None:
            self._fraction_at_start = fraction_done
            self._work_at_start_s = self._ledger.seconds(Spent.WORK)
        return remaining_s(
            worked_s=self._ledger.seconds(Spent.WORK) - self._work_at_start_s,
            fraction_before=self._fraction_at_start,
            fraction_now=fraction_done,
        )

    def _save(self, state: State, *, reason: str, deadline: float | None) -> None:
        with self._ledger.span(Spent.CHECKPOINT):
            saved = self._engine.save(state, deadline=deadline)
            if saved.pointer is not None and not saved.skipped:
                self._store.record_checkpoint(self._lease, saved.pointer)
                self._engine.confirm(saved, collect=deadline is None)
        self._took(saved, reason)

    def _took(self, saved: Saved, reason: str) -> None:
        at_risk_s = self.at_risk_s
        self._work_at_save_s = self._ledger.seconds(Spent.WORK)
        self._saved_at = self._clock.monotonic()
        if saved.skipped:
            return
        self._saved_any = True
        costs = SaveCosts(stall_s=saved.duration_s, carry_s=saved.duration_s, requests=saved.requests)
        self._costs = costs if self._costs is None else self._costs.observe(costs)
        self._estimate = self._estimate.observe(size_bytes=saved.size_bytes, duration_s=saved.duration_s)
        logger.info(
            events.CHECKPOINT_SAVED,
            extra={
                "shard": self._lease.index,
                "fencing_token": self._lease.fencing_token,
                "seq": saved.pointer.seq if saved.pointer else 0,
                "size_bytes": saved.size_bytes,
                "requests": saved.requests,
                "duration_ms": round(saved.duration_s * 1000),
                "work_ms": round(at_risk_s * 1000),
                "reason": reason,
            },
        )

    def _report_failure(self, error: Exception) -> None:
        logger.warning(events.CHECKPOINT_FAILED, extra={"shard": self._lease.index, "error": str(error)})
