"""A worker's Batch job ended: say why, and replace workers that used up their attempts through no fault of their own."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from lambdas.controlling.parts import Parts
from lambdas.controlling.replacements import Replacements
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.capacity.classify import WorkerEnd, WorkerEndKind, classify_worker_end
from spotproof.capacity.live_jobs import CANCELLED_BY_US, run_of_job
from spotproof.capacity.topup import TopUpOutcome, TopUpResult
from spotproof.interruptions.eventbridge import RUN_ID, JobStateChange, JobStatus, parse_job_state
from spotproof.leases.model import Run, RunId, RunState
from spotproof.leases.store import LeaseStore

SERVICE = "job_state_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What the end of a worker led to. `end` is None if the event was none of our business."""

    end: WorkerEnd | None
    run_id: str | None
    topup: TopUpOutcome | None
    reason: str  # why it was not replaced, or where its replacement went


def why_not_ours(job: JobStateChange, queues: Collection[str]) -> str:
    """Why the event needs no action; empty for a failed worker of ours.

    A parent's end never means that the run is complete: only counted shards do. Neither does SUCCEEDED: workers
    succeed whenever they find nothing to lease.
    """
    if job.status is not JobStatus.FAILED:
        return f"job is {job.status}"
    if job.is_array_parent:
        return "parent of an array: its children have their own events"
    if job.job_queue.rpartition("/")[2] not in queues:
        return "job of another queue"
    if job.status_reason.startswith(CANCELLED_BY_US):
        return "cancelled by a function of ours"
    return ""


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
    """Classifies, then replaces or notes that nobody should."""

    store: LeaseStore
    replacements: Replacements
    queues: Collection[str]

    def take(self, job: JobStateChange, telemetry: Telemetry) -> Ended:
        """Handle one job event; the same event again submits nothing again.

        Raises:
            AwsError: table or Batch refused or stayed unavailable; doing it again is safe.
        """
        reason = why_not_ours(job, self.queues)
        if reason:
            return Ended(end=None, run_id=None, topup=None, reason=reason)
        end = end_of(job)
        run_id = run_of_job(job.parameters, parent_job_id=job.parent_job_id)
        if not RUN_ID.fullmatch(run_id):
            return Ended(end=end, run_id=run_id, topup=None, reason="no run can have this id")
        run = self.store.get_run(RunId(run_id))
        reason = why_no_replacement(run, end)
        if run is not None and not run.state.ended and end.kind.holds_replacements:
            self.replacements.hold(run_id, reason=f"worker {job.job_id} ended: {end.kind}: {end.reason}")
        if reason:
            return Ended(end=end, run_id=run_id, topup=None, reason=reason)
        done = self.replacements.replace(job, end, run, RunId(run_id), telemetry)
        return Ended(end=end, run_id=run_id, topup=done.topup, reason=done.reason)


def build(wiring: Wiring) -> WorkerEndFlow:
    parts = Parts(wiring)
    return WorkerEndFlow(store=wiring.store, replacements=parts.replacements, queues=parts.queues.names)


def handle(
    wiring: Wiring, flow: WorkerEndFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    job = accept(parse_job_state, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if job is None:
        return {"rejected": 1}
    wiring.begin()
    ended = flow.take(job, telemetry)
    submitted = ended.topup is not None and ended.topup.result is TopUpResult.SUBMITTED
    telemetry.count(events.METRIC_WORKERS_REPLACED, 1 if submitted else 0)
    telemetry.count(events.METRIC_WORKERS_FAILED, 1 if ended.end is not None and ended.end.kind.needs_a_person else 0)
    if ended.end is None:
        telemetry.info(events.EVENT_IGNORED, batch_job_id=job.job_id, reason=ended.reason)
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
