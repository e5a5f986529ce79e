"""A job's way through Batch's states, with the event of each step."""

import itertools
import random
from collections.abc import Callable
from typing import Final

from simulation.cloud.aws_event import EventSink, service_event
from simulation.cloud.batch_job import SimJob
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace
from spotproof import contract
from spotproof.interruptions.eventbridge import BATCH_SOURCE, JobStatus

CHILD_FAILED: Final = "Array Child Job failed"


class JobStates:
    """Enters states, tells the bus, settles the parents of arrays."""

    def __init__(self, *, scheduler: Scheduler, trace: Trace, rng: random.Random, bus: EventSink) -> None:
        self.waiting: dict[str, SimJob] = {}  # RUNNABLE jobs without a place
        self.on_runnable: Callable[[], None] = lambda: None
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._bus = bus
        self._orders = itertools.count(1)

    def submitted(self, job: SimJob) -> None:
        """Batch sends no event for a submission as such (Batch user guide, batch_job_events)."""
        self._trace.note(self._scheduler.now, "batch", "job SUBMITTED", f"{job.id} {job.name} to {job.queue.name}")
        if job.children:
            self.enter(job, JobStatus.PENDING)

    def make_runnable(self, job: SimJob, *, reason: str = "", in_front: bool = False) -> None:
        """Queue the job; a retried one goes to the front (AWS Batch best practices)."""
        number = next(self._orders)
        job.order = -number if in_front else number
        self.enter(job, JobStatus.RUNNABLE, reason)
        self.wait_for_place(job)

    def wait_for_place(self, job: SimJob) -> None:
        self.waiting[job.id] = job
        self.on_runnable()

    def enter(self, job: SimJob, status: JobStatus, reason: str = "") -> None:
        """Set the status and tell the bus; the end of an array's last child ends the parent."""
        job.status, job.status_reason = status, reason
        if status is not JobStatus.RUNNABLE:
            self.waiting.pop(job.id, None)
        if job.ended:
            job.stopped_at = self._scheduler.now
        self._trace.note(self._scheduler.now, "batch", f"job {status}", f"{job.id} {reason}".rstrip())
        self._publish(job)
        if job.ended and job.parent is not None:
            self._settle_parent(job.parent)

    def _publish(self, job: SimJob) -> None:
        event = service_event(
            self._rng,
            self._scheduler.now,
            source=BATCH_SOURCE,
            detail_type=contract.DETAIL_BATCH_JOB_STATE,
            detail=job.describe(),
            resources=(job.arn,),
        )
        self._bus.publish(event)

    def _settle_parent(self, parent: SimJob) -> None:
        if parent.ended or not all(child.ended for child in parent.children):
            return
        if any(child.status is JobStatus.FAILED for child in parent.children):
            self.enter(parent, JobStatus.FAILED, parent.stop_reason or CHILD_FAILED)
        else:
            self.enter(parent, JobStatus.SUCCEEDED)
