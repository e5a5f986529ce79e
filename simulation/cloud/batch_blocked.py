"""Queues whose first job can't start for want of capacity, and the event that says so."""

import random
from dataclasses import dataclass
from typing import Final

from simulation.cloud.aws_event import EventSink, service_event
from simulation.cloud.batch_job import SimJob
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from simulation.kernel.trace import Trace
from spotproof import contract
from spotproof.interruptions.eventbridge import BATCH_SOURCE

SEEN_AFTER_S: Final = (30, 150)  # Batch calls a queue blocked after so many seconds, drawn evenly
# Batch does not always know why (jobs stuck in RUNNABLE, Batch user guide): then nobody learns of the shortage.
UNDETERMINED: Final = "P11 cause undetermined"  # chance per blocked head
NO_CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [{types}]"
NO_IDEA: Final = "UNDETERMINED - Batch job is blocked, root cause is undetermined."


@dataclass(slots=True)
class Head:
    """The first job of a queue, which EC2 has no host for."""

    job: SimJob
    tell_at: int  # microseconds
    told: bool = False


class BlockedQueues:
    """Hears of every vain launch for the head of a queue."""

    def __init__(
        self, *, scheduler: Scheduler, trace: Trace, rng: random.Random, faults: FaultBook, bus: EventSink
    ) -> None:
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._bus = bus
        self._heads: dict[str, Head] = {}  # by queue

    def no_capacity(self, job: SimJob, *, types: str) -> None:
        """There is no host for the head of its queue; told once, when it has been so for a while."""
        head = self._heads.get(job.queue.name)
        if head is None or head.job is not job:
            tell_at = self._scheduler.now + microseconds(self._rng.randrange(*SEEN_AFTER_S))
            head = self._heads[job.queue.name] = Head(job=job, tell_at=tell_at)
        if not head.told and self._scheduler.now >= head.tell_at:
            head.told = True
            self._tell(job, types)

    def placed(self, job: SimJob) -> None:
        """A host boots for the job: whatever was said of it is over."""
        head = self._heads.get(job.queue.name)
        if head is not None and head.job is job:
            del self._heads[job.queue.name]
            job.status_reason = ""

    def _tell(self, job: SimJob, types: str) -> None:
        undetermined = self._faults.strikes(UNDETERMINED, f"ec2 {job.queue.lifecycle}")
        job.status_reason = NO_IDEA if undetermined else NO_CAPACITY.format(types=types)
        self._trace.note(self._scheduler.now, "batch", f"queue {job.queue.name} blocked", job.status_reason)
        event = service_event(
            self._rng,
            self._scheduler.now,
            source=BATCH_SOURCE,
            detail_type=contract.DETAIL_QUEUE_BLOCKED,
            detail=job.describe(),
            resources=(job.arn, job.queue.arn),
        )
        self._bus.publish(event)
