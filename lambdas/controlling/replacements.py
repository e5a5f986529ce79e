"""Replaces a worker that used up its Batch attempts: as it was, with more memory, or past a pool that loses hosts."""

from dataclasses import dataclass

from lambdas.controlling.notes import Notes
from lambdas.controlling.routing import Router
from lambdas.queue_pairs import QueuePairs
from lambdas.telemetry import Telemetry
from spotproof.capacity.classify import WorkerEnd, WorkerEndKind
from spotproof.capacity.memory import decide_memory
from spotproof.capacity.topup import (
    TopUpKind,
    TopUpOutcome,
    TopUpRequest,
    TopUpResult,
    WorkerTopUp,
    is_top_up,
    worker_parameters,
)
from spotproof.clock import to_epoch_ms
from spotproof.errors import ItemError
from spotproof.interruptions.eventbridge import JobStateChange
from spotproof.leases.model import Run, RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """`topup` is None if no other worker would do better."""

    topup: TopUpOutcome | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """One worker for each that ended, in the queue where it has the best chance."""

    topup: WorkerTopUp
    router: Router
    notes: Notes
    queues: QueuePairs

    def hold(self, run_id: str, *, ended_at: int, reason: str) -> None:
        """Nobody new for the run until it is submitted again.

        A hold that is younger than the end stays: so an event that comes again does not hold what was submitted since.
        A damaged one says nothing, and is replaced.

        Args:
            ended_at: when the worker ended that is the reason, epoch ms.
        """
        try:
            held = self.topup.held(run_id)
        except ItemError:
            held = None
        if held is None or held.since < ended_at:
            self.topup.hold(run_id, reason=reason)

    def replace(
        self, job: JobStateChange, end: WorkerEnd, run: Run | None, run_id: RunId, telemetry: Telemetry
    ) -> Replaced:
        """Submit the worker, once.

        Raises:
            AwsError: table or Batch refused or stayed unavailable; doing it again is safe.
        """
        if run is not None and self._is_steered(job):
            reason = self._why_left_to_controller(job, end, run)
            if reason:
                return Replaced(topup=None, reason=reason)
        memory_mib, reason = job.memory_mib, ""
        if end.kind is WorkerEndKind.OUT_OF_MEMORY:
            cap_mib = self.queues.pair_of(job.job_queue).worker_memory_mib_max(job.vcpus)
            decision = decide_memory(memory_mib=job.memory_mib, cap_mib=cap_mib)
            memory_mib, reason = decision.memory_mib, decision.reason
            if memory_mib is None:
                self.hold(
                    run_id,
                    ended_at=to_epoch_ms(job.time),
                    reason=f"worker {job.job_id} ran out of memory: {reason}",
                )
                self._note(job, run_id, "worker not replaced", reason, None, telemetry)
                return Replaced(topup=None, reason=reason)
        queue, routed = self._queue(job, end, run)
        request = TopUpRequest(
            run_id=run_id,
            key=job.job_id,
            kind=TopUpKind.REPLACEMENT,
            job_queue=queue,
            job_definition=job.job_definition,
            parameters=worker_parameters(job.parameters, run_id=run_id),
            base_name=job.job_name,
            tags=job.tags,
            memory_mib=memory_mib,
            share=job.share,
        )
        outcome = self.topup.submit_once(request)
        told = "; ".join(part for part in (f"{end.kind}: {end.reason}", reason, routed) if part)
        if outcome.result in (TopUpResult.SUBMITTED, TopUpResult.ALREADY):
            self._note(job, run_id, "worker replaced", told, outcome, telemetry)
        return Replaced(topup=outcome, reason="; ".join(part for part in (reason, routed) if part))

    def _is_steered(self, job: JobStateChange) -> bool:
        """Whether a function submitted it on demand: replaced by us and added by the controller it would be two."""
        return self.queues.is_on_demand(job.job_queue) and is_top_up(job.job_name)

    def _why_left_to_controller(self, job: JobStateChange, end: WorkerEnd, run: Run) -> str:
        """Only what the controller can't know is ours to do: that the next on-demand worker needs more memory."""
        if end.kind is not WorkerEndKind.OUT_OF_MEMORY:
            return "the controller decides each minute how many on-demand workers there are"
        room = self.router.room(run, batch_job_id=job.job_id, vcpus=job.vcpus, workers=run.workers)
        return "" if room.one_more else f"no room for a bigger on-demand worker: {room.caps.reason}"

    def _queue(self, job: JobStateChange, end: WorkerEnd, run: Run | None) -> tuple[str, str]:
        """Where it goes, and why; only a worker that Spot let down is sent elsewhere."""
        reclaimed = end.kind in (WorkerEndKind.HOST_RECLAIMED, WorkerEndKind.INTERRUPTED)
        if run is None or not reclaimed or not self.queues.is_spot(job.job_queue):
            return job.job_queue, ""
        route = self.router.route(run, batch_job_id=job.job_id, vcpus=job.vcpus, workers=run.workers)
        if not route.on_demand:
            return job.job_queue, route.reason
        return self.queues.on_demand_for(job.job_queue), f"on demand: {route.reason}"

    def _note(
        self,
        job: JobStateChange,
        run_id: RunId,
        kind: str,
        reason: str,
        outcome: TopUpOutcome | None,
        telemetry: Telemetry,
    ) -> None:
        facts = {"ended": job.job_id, "batch_job_id": outcome.job_id if outcome else None}
        self.notes.note(
            run_id, at=to_epoch_ms(job.time), name=f"worker-{job.job_id}", kind=kind, reason=reason, facts=facts,
            telemetry=telemetry,
        )  # fmt: skip
