"""When a shard's state is saved, and what a stop means for the work at hand."""

import logging
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final, assert_never

from spotproof import events
from spotproof.checkpoints.budget import (
    SAVE_MARGIN,
    StopChoice,
    StopDecision,
    decide_on_stop,
    dirty_budget_bytes,
)
from spotproof.checkpoints.engine import CheckpointEngine, Restored, Saved, Saving
from spotproof.checkpoints.estimate import ChangeRate, SaveCosts, SaveEstimate
from spotproof.checkpoints.policy import Interval, SaveChoice, SaveDecision, choose_interval, decide_save
from spotproof.checkpoints.presets import plan_saves
from spotproof.checkpoints.risk import RATE_PRIOR_PER_H, assess_risk
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore, delete_all
from spotproof.clock import Clock
from spotproof.contract import checkpoints_prefix
from spotproof.errors import AwsError, CheckpointError
from spotproof.interruptions.model import Signal, SignalKind
from spotproof.leases.model import Lease, NoticePolicy, RunOptions
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.pace import Pace
from spotproof.worker.time_left import TimeLeft

logger = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 0.25  # at the changed bytes: asking the kernel takes up to a millisecond per GiB
LOOK_FOR_STOP_S: Final = 0.5  # while the job is held
ROUNDS_MAX: Final = 100  # decisions at one safe point: each but the last has waited for a save
PARTING_S: Final = 5.0  # for a save that is not needed any more, when no deadline says less


class StopAction(StrEnum):
    GO_ON = "go-on"  # the shard will be finished in time, or there is time for more of it
    LET_GO = "let-go"  # hand the shard back now


class Checkpointing:
    """One lease's saves: asks the policy at every safe point, and measures what saving costs."""

    def __init__(
        self,
        *,
        engine: CheckpointEngine,
        objects: ObjectStore,
        lease: Lease,
        options: RunOptions,
        window_s: float,
        store: LeaseStore,
        retrier: Retrier,
        ledger: LedgerBook,
        clock: Clock,
    ) -> None:
        """`window_s`: from a notice to the end of the host, where the run does not say."""
        self._engine = engine
        self._objects = objects
        self._lease = lease
        self._options = options
        self._window_s = options.window_s or window_s
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._plan = plan_saves(options)
        self._pace = Pace(ledger=ledger, clock=clock)
        self._costs: SaveCosts | None = None
        self._estimate = SaveEstimate()
        self._rate = ChangeRate()
        self._restore_s = 0.0
        self._interval = self._choose_interval()
        self._work_at_save_s = ledger.seconds(Spent.WORK)  # of earlier shards: none of it is at risk
        self._began_at = clock.monotonic()  # the newest save, or the work
        self._work_at_begin_s = self._work_at_save_s
        self._work_at_point_s = self._work_at_save_s  # at the safe point where the job stands, or stood last
        self._leaving = False  # at that safe point: what time passes from there on is no work on the shard
        self._looked_at = -math.inf
        self._dirty_bytes: int | None = None
        self._hint_served: Signal | None = None
        self._saving: Saving | None = None
        self._reason = ""
        self._time = TimeLeft(clock=clock, retrier=retrier)
        self._saved_since_stop = False
        self._choice: StopChoice | None = None
        self._saved_any = lease.checkpoint is not None

    def begin(self, restored: Restored) -> None:
        """The shard is restored: what happens from now on is at risk until it is saved."""
        self._restore_s = restored.duration_s
        self._work_at_save_s = self._work_at_begin_s = self._work_at_point_s = self._ledger.seconds(Spent.WORK)
        self._began_at = self._clock.monotonic()

    @property
    def at_risk_s(self) -> float:
        """Work since the last durable checkpoint, seconds: what a stop now would cost."""
        worked_s = self._work_at_point_s if self._leaving else self._ledger.seconds(Spent.WORK)
        return worked_s - self._work_at_save_s

    def offer(
        self,
        state: State,
        *,
        hint: Signal | None,
        fraction_done: float,
        output_started: bool,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """At a safe point: begin a save if the policy says so. A failed save costs nothing but time.

        Args:
            stopped: whether a stop has come. A job that is held until a save is durable is let go of for it: the stop
                is to be decided upon at this same safe point.

        Raises:
            LeaseLostError: the pointer was refused.
            UnsavableValueError: the state holds a type that can't be saved.
        """
        self._arrive(fraction_done)
        self._settle()
        for _ in range(ROUNDS_MAX):
            decision = self._decide(state, hint, output_started=output_started)
            if decision.choice is not SaveChoice.WAIT or not self._hold(stopped):
                break
        if decision.save:
            self._hint_served = hint
            self._begin(state, reason=decision.reason, deadline=None)
        self._pace.leave()

    def on_stop(
        self, state: State, stop: Signal, *, fraction_done: float, output_started: bool, wrapped_up: bool = False
    ) -> StopAction:
        """At a safe point under a hard stop: finish if it fits, else save and work on while that fits, else save and
        leave, else let go of what is saved. A job that has `wrapped_up` for the stop does not work on.

        Raises:
            LeaseLostError: the pointer was refused.
            UnsavableValueError: the state holds a type that can't be saved.
        """
        self._arrive(fraction_done)
        action = self._answer(state, stop, fraction_done, output_started=output_started, wrapped_up=wrapped_up)
        self._leaving = action is StopAction.LET_GO
        return action

    def _answer(
        self, state: State, stop: Signal, fraction_done: float, *, output_started: bool, wrapped_up: bool
    ) -> StopAction:
        if stop.kind is SignalKind.CANCEL:
            return StopAction.LET_GO
        self._settle()
        for _ in range(ROUNDS_MAX):
            decision = self._decide_on_stop(state, stop, output_started=output_started, wrapped_up=wrapped_up)
            self._tell(decision, stop, fraction_done)
            action = self._act(decision, state)
            if action is not None:
                self._pace.leave()
                return action
        return StopAction.LET_GO

    def spare_s(self, state: State, stop: Signal) -> float:
        """Seconds until a last save must begin to fit what is left; negative when it is late, infinite without a deadline."""
        left_s = self._time.look(stop)
        save_s = self._estimate.seconds(self._dirty(state) or 0) if self._plan.saves else 0.0
        return left_s - self._time.reserve_s - (self._in_flight_s() or 0.0) - SAVE_MARGIN * save_s

    def cancel(self) -> None:
        """No save is needed any more."""
        self._engine.cancel()

    def part(self) -> None:
        """Wait for the save that is not needed any more: nothing of it may be written after the shard is handed on."""
        self._engine.cancel()
        left_s = self._time.until_deadline_s()
        self._engine.wait(PARTING_S if left_s is None else min(PARTING_S, max(0.0, left_s + self._time.reserve_s)))
        self.take_note()

    def take_note(self) -> None:
        """At the end of the shard: what has become durable by now is no lost work."""
        try:
            self._settle()
        except Exception as error:  # nothing follows from it any more
            logger.warning(events.CHECKPOINT_FAILED, extra={"shard": self._lease.index, "error": str(error)})

    def close(self) -> None:
        """The shard is over for this worker."""
        self._engine.cancel()
        self._engine.close()

    def delete_all(self) -> None:
        """The shard is done: its checkpoints are of no use any more.

        Raises:
            AwsError: some could not be deleted; the finalizer will.
        """
        if self._saved_any:
            delete_all(self._objects, checkpoints_prefix(self._lease.run_id, self._lease.index))

    def _arrive(self, fraction_done: float) -> None:
        self._work_at_point_s = self._ledger.seconds(Spent.WORK)
        self._pace.arrive(fraction_done)

    def _decide(self, state: State, hint: Signal | None, *, output_started: bool) -> SaveDecision:
        return decide_save(
            interval=self._interval,
            since_save_s=self._clock.monotonic() - self._began_at,
            dirty_bytes=self._dirty(state),
            budget_bytes=self._budget_bytes(state) if self._plan.keeps_budget else None,
            in_flight=self._engine.busy,
            hint_pending=hint is not None and self._hint_served is None,
            output_started=output_started,
        )

    def _decide_on_stop(self, state: State, stop: Signal, *, output_started: bool, wrapped_up: bool) -> StopDecision:
        window_s = self._time.look(stop)
        step_s = self._pace.step_s
        dirty = self._dirty(state) or 0
        soon = dirty + (self._rate.bytes_in(step_s or 0.0) or 0)
        save_s = self._estimate.seconds(dirty)
        later_s = self._estimate.seconds(self._engine.size_of(state).carried_at_most(soon))
        return decide_on_stop(
            window_s=window_s,
            reserve_s=self._time.reserve_s,
            remaining_s=None if stop.kind is SignalKind.PAUSE else self._pace.remaining_s,  # every second costs
            save_estimate_s=save_s,
            can_save=self._plan.saves and not output_started,
            in_flight_s=self._in_flight_s(),
            step_s=step_s,
            step_save_s=later_s - save_s,
            saved_since_stop=self._saved_since_stop,
            may_work_on=not wrapped_up
            and stop.kind is SignalKind.NOTICE
            and self._options.on_notice is NoticePolicy.WORK,
        )

    def _act(self, decision: StopDecision, state: State) -> StopAction | None:
        """Do it; None if there is another decision to take, now that a save has ended."""
        match decision.choice:
            case StopChoice.FINISH | StopChoice.GO_ON:
                return StopAction.GO_ON
            case StopChoice.SAVE_AND_GO_ON:
                self._saved_since_stop = True
                self._begin(state, reason=decision.reason, deadline=self._time.deadline)
                return StopAction.GO_ON
            case StopChoice.WAIT:
                self._hurry()
                self._wait(decision.again_in_s)
                return None
            case StopChoice.SAVE_AND_LEAVE:
                self._begin(state, reason=decision.reason, deadline=self._time.deadline)
                self._wait(self._time.until_deadline_s())
                return StopAction.LET_GO
            case StopChoice.LET_GO:
                return StopAction.LET_GO
        assert_never(decision.choice)

    def _begin(self, state: State, *, reason: str, deadline: float | None) -> None:
        with self._ledger.span(Spent.CHECKPOINT):
            before_s, self._work_at_begin_s = self._work_at_begin_s, self._work_at_point_s
            self._began_at = self._clock.monotonic()
            try:
                self._saving = self._engine.begin(
                    state, record=lambda pointer: self._store.record_checkpoint(self._lease, pointer), deadline=deadline
                )
            except CheckpointError as error:  # nothing was taken: the next save is due after another interval
                self._saving, self._work_at_begin_s = None, before_s
                logger.warning(events.CHECKPOINT_FAILED, extra={"shard": self._lease.index, "error": str(error)})
                return
        self._reason = reason
        self._looked_at = -math.inf
        if self._saving is None:
            self._work_at_save_s = self._work_at_begin_s  # what is durable is what there is
        else:
            self._saved_any = True
            # Known now, not when it is durable: while a first save is long on its way, nothing else tells what changes.
            worked_s = self._work_at_begin_s - before_s
            self._rate = self._rate.observe(size_bytes=self._saving.gathered.changed_bytes, worked_s=worked_s)

    def _wait(self, timeout_s: float | None) -> None:
        with self._ledger.span(Spent.CHECKPOINT):
            ended = self._engine.wait(None if timeout_s is None else max(0.0, timeout_s))
        if ended:
            self._settle()

    def _hold(self, stopped: Callable[[], bool]) -> bool:
        """Hold the job until the save on its way has ended; False if a stop came first."""
        with self._ledger.span(Spent.CHECKPOINT):
            while not self._engine.wait(LOOK_FOR_STOP_S):
                if stopped():
                    return False
        self._settle()
        return True

    def _settle(self) -> None:
        """Take note of a save that has ended.

        Raises:
            LeaseLostError: the pointer was refused.
        """
        saving = self._saving
        if saving is None:
            return
        try:
            saved = self._engine.settle()
        except (CheckpointError, AwsError) as error:
            self._saving = None
            self._saved_since_stop = False
            waited_s = self._clock.monotonic() - saving.started
            self._estimate = self._estimate.observe_unfinished(size_bytes=saving.gathered.size_bytes, waited_s=waited_s)
            logger.warning(events.CHECKPOINT_FAILED, extra={"shard": self._lease.index, "error": str(error)})
            return
        if saved is not None:
            self._saving = None
            self._took(saved)

    def _took(self, saved: Saved) -> None:
        worked_s = self._work_at_begin_s - self._work_at_save_s
        self._work_at_save_s = self._work_at_begin_s
        newest = SaveCosts(stall_s=saved.stall_s, carry_s=saved.duration_s, requests=saved.requests)
        self._costs = newest if self._costs is None else self._costs.observe(newest)
        self._estimate = self._estimate.observe(size_bytes=saved.size_bytes, duration_s=saved.duration_s)
        self._interval = self._choose_interval()
        logger.info(
            events.CHECKPOINT_SAVED,
            extra={
                "shard": self._lease.index,
                "fencing_token": self._lease.fencing_token,
                "seq": saved.pointer.seq,
                "size_bytes": saved.size_bytes,
                "requests": saved.requests,
                "stall_ms": round(saved.stall_s * 1000),
                "duration_ms": round(saved.duration_s * 1000),
                "work_ms": round(worked_s * 1000),
                "reason": self._reason,
            },
        )

    def _choose_interval(self) -> Interval:
        risk = assess_risk(
            hours=self._ledger.seconds(Spent.WORK) / 3600,
            interruptions=self._lease.interruptions,
            losses=self._lease.losses,
            rate_prior_per_h=self._options.interruption_rate_per_h or RATE_PRIOR_PER_H,
        )
        return choose_interval(plan=self._plan, costs=self._costs, restore_s=self._restore_s, risk=risk)

    def _dirty(self, state: State) -> int | None:
        """About what a save begun now would carry; looked at a few times a second."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._dirty_bytes = self._engine.pending_bytes(state)
        if self._dirty_bytes is not None:
            return self._dirty_bytes
        return self._rate.bytes_in(self._ledger.seconds(Spent.WORK) - self._work_at_begin_s)

    def _budget_bytes(self, state: State) -> int | None:
        step_s = self._pace.step_s or 0.0
        return dirty_budget_bytes(
            window_s=self._window_s,
            estimate=self._estimate,
            notice_lag_s=self._options.poll_s + step_s,
            in_flight_s=self._in_flight_s() or 0.0,
            size=self._engine.size_of(state),
            step_bytes=self._rate.bytes_in(step_s) or 0,
        )

    def _in_flight_s(self) -> float | None:
        if self._saving is None:
            return None
        elapsed_s = self._clock.monotonic() - self._saving.started
        return self._estimate.left_s(self._saving.gathered.size_bytes, elapsed_s=elapsed_s)

    def _hurry(self) -> None:
        if self._time.deadline is not None:
            self._engine.hurry(self._time.deadline)

    def _tell(self, decision: StopDecision, stop: Signal, fraction_done: float) -> None:
        if decision.choice is self._choice:
            return
        self._choice = decision.choice
        left_s = math.inf if stop.deadline is None else (stop.deadline - self._clock.now()).total_seconds()
        logger.info(
            events.STOP_DECIDED,
            extra={
                "shard": self._lease.index,
                "choice": decision.choice,
                "reason": decision.reason,
                "window_s": round(left_s, 3),
                "fraction_done": round(fraction_done, 4),
            },
        )
