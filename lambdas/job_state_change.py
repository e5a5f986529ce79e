"""A worker's Batch job ended: say why, and replace workers that used up their attempts through no fault of their own."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from lambdas.controlling.job_ends import JobEnds
from lambdas.controlling.parts import Parts
from lambdas.controlling.replacements import Replacements
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept, account_of
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.capacity.classify import WorkerEnd, WorkerEndKind, classify_worker_end
from spotproof.capacity.live_jobs import run_of_job
from spotproof.capacity.topup import TopUpOutcome, TopUpResult
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.eventbridge import RUN_ID, JobStateChange, parse_job_state
from spotproof.leases.model import Run, RunId, RunState
from spotproof.leases.store import LeaseStore

SERVICE = "job_state_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What the end of a worker led to. `end` is None if the event was none of our business."""

    end: WorkerEnd | None
    job: JobStateChange | None  # as Batch shows it; None like `end`
    run_id: str | None
    topup: TopUpOutcome | None
    reason: str  # why it was not replaced, or where its replacement went


def why_no_replacement(run: Run | None, end: WorkerEnd) -> str:
    """Why no worker is submitted in place of the one that ended; empty if one may be.

    Without a run the worker ended before it planned one, and nobody else may be there to do it.
    """
    if run is not None and run.state is not RunState.RUNNING:
        return f"run is {run.state}"
    if run is not None and len(run.closed) == run.stripes:
        return "every shard is done or quarantined"
    if not end.kind.replaceable and end.kind is not WorkerEndKind.OUT_OF_MEMORY:
        return f"{end.kind} is not replaced"
    return ""


def end_of(job: JobStateChange) -> WorkerEnd:
    """Why the worker ended, from the last attempt where there was one."""
    last = job.attempts[-1] if job.attempts else None
    return classify_worker_end(
        exit_code=last.exit_code if last else None,
        reason=last.reason if last else "",
        status_reason=last.status_reason if last else "",
        job_reason=job.status_reason,
        cancelled=job.cancelled,
        terminated=job.terminated,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEndFlow:
    """Asks Batch, classifies, then replaces or notes that nobody should."""

    store: LeaseStore
    ends: JobEnds
    replacements: Replacements

    def take(self, told: JobStateChange, telemetry: Telemetry, *, account: str) -> Ended:
        """Handle one job event; the same event again submits nothing again.

        Raises:
            AwsError: table or Batch refused, stayed unavailable, or do not show the end yet; doing it again is safe.
        """
        confirmed = self.ends.confirm(told, account=account)
        if confirmed.job is None:
            return Ended(end=None, job=None, run_id=None, topup=None, reason=confirmed.reason)
        return self._replace(confirmed.job, telemetry)

    def _replace(self, job: JobStateChange, telemetry: Telemetry) -> Ended:
        end = end_of(job)
        run_id = run_of_job(job.parameters, parent_job_id=job.parent_job_id)
        if not RUN_ID.fullmatch(run_id):
            return Ended(end=end, job=job, run_id=run_id, topup=None, reason="no run can have this id")
        run = self.store.get_run(RunId(run_id))
        reason = why_no_replacement(run, end)
        if run is not None and not run.state.ended and end.kind.holds_replacements:
            self.replacements.hold(
                run_id, ended_at=to_epoch_ms(job.time), reason=f"worker {job.job_id} ended: {end.kind}: {end.reason}"
            )
        if reason:
            return Ended(end=end, job=job, run_id=run_id, topup=None, reason=reason)
        done = self.replacements.replace(job, end, run, RunId(run_id), telemetry)
        return Ended(end=end, job=job, run_id=run_id, topup=done.topup, reason=done.reason)


def build(wiring: Wiring) -> WorkerEndFlow:
    parts = Parts(wiring)
    ends = JobEnds(jobs=parts.jobs, queues=parts.queues.names, clock=wiring.clock)
    return WorkerEndFlow(store=wiring.store, ends=ends, replacements=parts.replacements)


def handle(
    wiring: Wiring, flow: WorkerEndFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    told = accept(parse_job_state, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if told is None:
        return {"rejected": 1}
    wiring.begin()
    ended = flow.take(told, telemetry, account=account_of(context))
    submitted = ended.topup is not None and ended.topup.result is TopUpResult.SUBMITTED
    telemetry.count(events.METRIC_WORKERS_REPLACED, 1 if submitted else 0)
    telemetry.count(events.METRIC_WORKERS_FAILED, 1 if ended.end is not None and ended.end.kind.needs_a_person else 0)
    job = ended.job
    if ended.end is None or job is None:
        telemetry.info(events.EVENT_IGNORED, batch_job_id=told.job_id, reason=ended.reason)
        return {"ignored": 1}
    telemetry.info(
        events.WORKER_CLASSIFIED,
        batch_job_id=job.job_id,
        run_id=ended.run_id,
        kind=ended.end.kind,
        reason=ended.end.reason,
        attempts=len(job.attempts),
        attempts_max=job.attempts_max,
        not_replaced_because=ended.reason if ended.topup is None else "",
    )
    if ended.topup is None:
        return {"classified": ended.end.kind}
    telemetry.info(
        events.WORKER_REPLACED,
        batch_job_id=job.job_id,
        run_id=ended.run_id,
        result=ended.topup.result,
        new_batch_job_id=ended.topup.job_id,
        reason=f"{ended.topup.reason}; {ended.reason}",
    )
    return {"classified": ended.end.kind, "topup": ended.topup.result}


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> WorkerEndFlow:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
