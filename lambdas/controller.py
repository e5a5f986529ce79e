"""The scheduled controller: finds and repairs whatever an event should have caused but did not."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from lambdas.run_events import RunEvents
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry
from lambdas.wiring import PATIENCE_S, Wiring, wire
from spotproof import events
from spotproof.capacity.live_jobs import RunJobs
from spotproof.capacity.topup import Hold, TopUpKind, TopUpRequest, TopUpResult, WorkerTopUp, worker_parameters
from spotproof.checkpoints.garbage_sweep import Sweeper, SweepPace
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.clock import Clock, to_epoch_ms
from spotproof.commits.finalizer import QUIET
from spotproof.errors import SpotproofError
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.model import Run, RunId, RunState, Session, SessionState
from spotproof.leases.requeue import Requeuer
from spotproof.leases.store import LeaseStore

SERVICE = "controller"
RESERVE_S: Final = 8.0  # of the invocation's time: nothing new is begun with less left
HOLE_PAUSE_S: Final = 1.0  # a claim under way takes milliseconds
ANNOUNCED_MAX: Final = 20  # ended runs handed to the finalizer per invocation
ANNOUNCE_EVERY_S: Final = 45.0  # a finalizer that was just told, by a worker or by us, needs time to begin
STUCK_EVERY_MS: Final = 120_000  # at most one worker per run and this long
SWEEP_S_MAX: Final = 10.0  # of an invocation for one run's orphans
CLEANING_S: Final = 3600.0  # what could not be cleaned for so long is tried less often from then on
CLEANING_EVERY_MINUTES: Final = 60


@dataclass
class Round:
    """What one invocation did."""

    runs: int = 0
    skipped: int = 0  # no time left for them; the next round begins elsewhere
    rescued: int = 0
    requeued: int = 0
    holes: int = 0
    announced: int = 0
    topped_up: int = 0
    orphans: int = 0  # objects of dead epochs that were deleted
    going_on: list[Run] = field(default_factory=list)  # runs that were tended and have not ended
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckDecision:
    """Whether a run needs a worker from us, and why."""

    needs_worker: bool
    reason: str
    like: str = ""  # the Batch job that the new worker is copied from


def decide_stuck(
    *, run: Run, sessions: Iterable[Session], hold: Hold | None, live_jobs: bool, now_ms: int
) -> StuckDecision:
    """Whether work is left and nobody is there, or coming, to do it."""
    known = sorted(sessions, key=lambda session: session.started_at)
    from_batch = [session for session in known if session.host.batch_job_id]
    if run.state is not RunState.RUNNING:
        return StuckDecision(needs_worker=False, reason=f"run is {run.state}")
    if any(session.state is SessionState.ALIVE and session.until >= now_ms for session in known):
        return StuckDecision(needs_worker=False, reason="a worker is alive")
    if live_jobs:
        return StuckDecision(needs_worker=False, reason="a Batch job of the run waits or runs")
    like = from_batch[-1].host.batch_job_id if from_batch else run.batch_job_id or ""
    if not like:
        return StuckDecision(needs_worker=False, reason="no worker of the run came from Batch: start one by hand")
    last_came_at = from_batch[-1].started_at if from_batch else run.created_at
    if hold is not None and hold.since >= last_came_at:
        return StuckDecision(needs_worker=False, reason=f"held: {hold.reason}; submit the run again to go on")
    return StuckDecision(needs_worker=True, reason="work is left, no live session, no Batch job", like=like)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningDecision:
    """Whether the finalizer is to clean up after an ended run now, and why."""

    due: bool
    reason: str


def decide_cleaning(run: Run, *, now_ms: int) -> CleaningDecision:
    """The finalizer cleans a run that it ends at once; whatever came or was left later is for a pass of its own.

    That one waits until nobody writes for the run any more. What S3 refuses for an hour it will refuse for longer: a
    listing and tagging a minute would cost more than the objects.
    """
    rested_s = (now_ms - (run.ended_at or now_ms)) / 1000
    if rested_s < QUIET.total_seconds():
        return CleaningDecision(due=False, reason="fenced workers may still write")
    if run.finalizer_until is not None and run.finalizer_until >= now_ms:
        return CleaningDecision(due=False, reason="a finalizer is at it")
    if rested_s >= CLEANING_S and now_ms // 60_000 % CLEANING_EVERY_MINUTES:
        return CleaningDecision(due=False, reason="could not be cleaned for long: once an hour")
    return CleaningDecision(due=True, reason="not called clean yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Tends every active run and hands finished ones to the finalizer. Every step may be repeated or cut short."""

    store: LeaseStore
    requeuer: Requeuer
    closer: StripeCloser
    jobs: RunJobs
    topup: WorkerTopUp
    run_events: RunEvents
    sweeper: Sweeper
    clock: Clock
    # What the last round in this execution environment saw; lost with it, at the price of a few more reads.
    seen: dict[RunId, Closing] = field(default_factory=dict)
    announce_every_s: float = 0.0  # a run's end is not announced twice within
    announced: dict[RunId, float] = field(default_factory=dict)  # monotonic seconds of the last announcement

    def tend_all(self, *, deadline: float, telemetry: Telemetry) -> Round:
        """One round over all runs, until `deadline` (monotonic seconds) comes near. A run that fails stops no other."""
        done = Round()
        active = sorted(self.store.active_runs())
        for run_id in self._rotated(active):
            if deadline - self.clock.monotonic() < RESERVE_S:
                done.skipped += 1
                continue
            try:
                self._tend(run_id, done, deadline, telemetry)
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")
        for gone in self.seen.keys() - set(active):
            del self.seen[gone]
        for gone in self.announced.keys() - set(active) - set(self.store.ended_runs()):
            del self.announced[gone]
        self._announce_ended(done, deadline)
        self._sweep(done, deadline)
        return done

    def _rotated(self, run_ids: list[RunId]) -> list[RunId]:
        """Another one first every minute, so that no run starves when time is short."""
        if not run_ids:
            return []
        first = to_epoch_ms(self.clock.now()) // 60_000 % len(run_ids)
        return run_ids[first:] + run_ids[:first]

    def _tend(self, run_id: RunId, done: Round, deadline: float, telemetry: Telemetry) -> None:
        run = self.store.get_run(run_id)
        if run is None or run.state.ended:
            return
        done.runs += 1
        takings = self.requeuer.rescue_expired(run, to_epoch_ms(self.clock.now()))
        done.rescued += takings.sessions
        done.requeued += takings.shards
        closing = self._close(run, done, deadline)
        if closing.complete:
            self._announce_complete(closing.run, done)
        else:
            self._top_up_if_stuck(closing.run, done, telemetry)
            done.going_on.append(closing.run)

    def _sweep(self, done: Round, deadline: float) -> None:
        """Last, with the time that is left: a late orphan harms nobody."""
        for run in done.going_on:
            until = min(deadline - RESERVE_S, self.clock.monotonic() + SWEEP_S_MAX)
            try:
                done.orphans += self.sweeper.sweep(run, deadline=until).deleted
            except SpotproofError as error:
                done.failures.append(f"{run.run_id}: {error}")

    def _close(self, run: Run, done: Round, deadline: float) -> Closing:
        before = self.seen.get(run.run_id)
        closing = self.closer.close_finished_stripes(
            run, before.missing if before else (), before.blockers if before else ()
        )
        done.holes += len(closing.repaired)
        if closing.missing and deadline - self.clock.monotonic() > RESERVE_S:
            self.clock.sleep(HOLE_PAUSE_S)
            closing = self.closer.close_finished_stripes(closing.run, closing.missing, closing.blockers)
            done.holes += len(closing.repaired)
        self.seen[run.run_id] = closing
        return closing

    def _announce_complete(self, run: Run, done: Round) -> None:
        """Unless somebody is at it."""
        if run.finalizer_until is None or run.finalizer_until < to_epoch_ms(self.clock.now()):
            self._announce(run.run_id, done)

    def _announce(self, run_id: RunId, done: Round) -> None:
        now = self.clock.monotonic()
        if now - self.announced.get(run_id, float("-inf")) < self.announce_every_s:
            return
        self.announced[run_id] = now
        self.run_events.announce_finished(run_id)
        done.announced += 1

    def _announce_ended(self, done: Round, deadline: float) -> None:
        """Ended runs whose checkpoints and staged objects are not deleted yet: the finalizer goes on with them."""
        now_ms = to_epoch_ms(self.clock.now())
        for run_id in self._rotated(sorted(self.store.ended_runs()))[:ANNOUNCED_MAX]:
            if deadline - self.clock.monotonic() < RESERVE_S:
                return
            try:
                run = self.store.get_run(run_id)
                if run is not None and decide_cleaning(run, now_ms=now_ms).due:
                    self._announce(run_id, done)
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")

    def _top_up_if_stuck(self, run: Run, done: Round, telemetry: Telemetry) -> None:
        now_ms = to_epoch_ms(self.clock.now())
        sessions = list(self.store.sessions(run))
        decision = decide_stuck(run=run, sessions=sessions, hold=None, live_jobs=False, now_ms=now_ms)
        if decision.needs_worker:  # only now is it worth asking Batch
            decision = decide_stuck(
                run=run,
                sessions=sessions,
                hold=self.topup.held(run.run_id),
                live_jobs=self.jobs.has_live_job(run.run_id),
                now_ms=now_ms,
            )
            telemetry.info(
                events.RUN_STUCK, run_id=run.run_id, topping_up=decision.needs_worker, reason=decision.reason
            )
        if decision.needs_worker:
            self._top_up(run, decision.like, done, now_ms, telemetry)

    def _top_up(self, run: Run, batch_job_id: str, done: Round, now_ms: int, telemetry: Telemetry) -> None:
        like = self.jobs.submission_of(batch_job_id)
        if like is None:
            done.failures.append(f"{run.run_id}: Batch has forgotten job {batch_job_id}: submit the run again")
            return
        request = TopUpRequest(
            run_id=run.run_id,
            key=f"stuck-{now_ms // STUCK_EVERY_MS}",
            kind=TopUpKind.STUCK,
            job_queue=like.job_queue,
            job_definition=like.job_definition,
            parameters=worker_parameters(like.parameters, run_id=run.run_id),
            base_name=like.job_name,
        )
        outcome = self.topup.submit_once(request)
        done.topped_up += outcome.result is TopUpResult.SUBMITTED
        telemetry.info(
            events.WORKER_REPLACED, run_id=run.run_id, result=outcome.result, new_batch_job_id=outcome.job_id,
            reason=outcome.reason,
        )  # fmt: skip


def build(wiring: Wiring, pace: SweepPace | None = None) -> Controller:
    """`pace`: how often orphans are looked for, if not as usual."""
    return Controller(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        closer=StripeCloser(wiring.store),
        jobs=RunJobs(batch=wiring.clients.batch, queues=wiring.settings.worker_queues(), retrier=wiring.retrier),
        topup=WorkerTopUp(
            dynamodb=wiring.clients.dynamodb,
            batch=wiring.clients.batch,
            table_name=wiring.settings.table,
            clock=wiring.clock,
            ids=wiring.ids,
            retrier=wiring.retrier,
        ),
        run_events=RunEvents(client=wiring.clients.events, bus=wiring.settings.own_bus(), retrier=wiring.retrier),
        sweeper=Sweeper(
            store=wiring.store,
            objects=S3ObjectStore(client=wiring.clients.s3, bucket=wiring.settings.work_bucket, retrier=wiring.retrier),
            clock=wiring.clock,
            pace=pace,
        ),
        clock=wiring.clock,
        announce_every_s=ANNOUNCE_EVERY_S,
    )


def handle(
    wiring: Wiring,
    flow: Controller,
    telemetry: Telemetry,
    event: dict[str, Any],  # noqa: ARG001 - a schedule says nothing
    context: Context,
) -> dict[str, Any]:
    remaining_s = context.get_remaining_time_in_millis() / 1000
    wiring.begin(budget_s=max(PATIENCE_S / 2, remaining_s - RESERVE_S / 2))
    done = flow.tend_all(deadline=wiring.clock.monotonic() + remaining_s, telemetry=telemetry)
    telemetry.count(events.METRIC_CONTROLLER_HEARTBEAT)
    telemetry.count(events.METRIC_SESSIONS_RESCUED, done.rescued)
    telemetry.count(events.METRIC_SHARDS_REQUEUED, done.requeued)
    telemetry.count(events.METRIC_WORKERS_REPLACED, done.topped_up)
    telemetry.count(events.METRIC_ORPHANS_DELETED, done.orphans)
    telemetry.count(events.METRIC_CONTROLLER_FAILURES, len(done.failures))
    facts = {
        "runs": done.runs,
        "skipped": done.skipped,
        "rescued": done.rescued,
        "requeued": done.requeued,
        "holes": done.holes,
        "announced": done.announced,
        "topped_up": done.topped_up,
        "orphans": done.orphans,
        "failures": len(done.failures),
    }
    telemetry.info(events.CONTROLLER_RAN, **facts)
    for failure in done.failures:
        telemetry.error(events.CONTROLLER_FAILED, error=failure)
    return facts


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> Controller:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
