"""Changes of a job's status, with the events, parents and dependents they reach."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from localcloud.batch.job import Job, Status
from localcloud.batch.retry import Action, decide_retry
from localcloud.batch.store import BatchStore
from localcloud.clock import Clock
from localcloud.event_bus import EventBus, ServiceEvent
from localcloud.executor import TaskExit
from localcloud.journal import Journal

STATE_CHANGE = "Batch Job State Change"
QUEUE_BLOCKED = "Batch Job Queue Blocked"
TIMED_OUT = "Job attempt duration exceeded timeout"


class Transitions:
    """The job state machine. Every method expects the reactor's state to be held."""

    def __init__(
        self, *, clock: Clock, journal: Journal, events: EventBus, store_of: Callable[[Job], BatchStore]
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._events = events
        self._store_of = store_of
        self._sequence = itertools.count(1)

    def submitted(self, job: Job) -> None:
        """Take a new job into its store and as far as it can go without capacity."""
        store = self._store_of(job)
        for one in (job, *job.children):
            store.jobs[one.id] = one
            self._note(one)
        waits = job.depends_on or job.children
        if waits:
            self.enter(job, Status.PENDING)
        for child in job.children:
            child.status = Status.PENDING
        leaves = job.children or [job]
        store.waiting |= {one.id: one for one in leaves}
        for one in leaves:
            self.release_if_ready(one)

    def release_if_ready(self, job: Job) -> None:
        """Settle a waiting job: runnable once all it depends on has succeeded, failed as soon as any of it has."""
        if job.status not in (Status.SUBMITTED, Status.PENDING):
            return
        needed = [other.status for other in self._needed(job)]
        if Status.FAILED in needed:
            self.enter(job, Status.FAILED, "Dependent Job failed")
        elif all(status is Status.SUCCEEDED for status in needed):
            self.make_runnable(job, reason=None, in_front=False)

    def make_runnable(self, job: Job, *, reason: str | None, in_front: bool) -> None:
        """Queue the job; a retried one goes to the front (AWS Batch best practices)."""
        number = next(self._sequence)
        job.order = -number if in_front else number
        job.runnable_since = self._clock.now()
        self._store_of(job).runnable[job.id] = job
        self.enter(job, Status.RUNNABLE, reason)

    def enter(self, job: Job, status: Status, reason: str | None = None) -> None:
        """Set the status, tell the bus, and settle parents and dependents."""
        job.status, job.status_reason = status, reason
        if status not in (Status.SUBMITTED, Status.PENDING):
            self._store_of(job).waiting.pop(job.id, None)
        if job.ended:
            job.stopped_ms = self._clock.now_ms()
        self._note(job)
        self.publish(job, STATE_CHANGE, (job.arn,))
        if job.ended:
            self._settle_parent(job)
            self._settle_dependents(job)

    def attempt_ended(self, job: Job, how: TaskExit) -> None:
        """Close the running attempt and decide what follows."""
        attempt = job.attempt
        assert attempt is not None
        if attempt.timeout is not None:
            attempt.timeout.cancel()
        stopped_by = job.stop_reason or (TIMED_OUT if attempt.timed_out else None)
        status_reason = stopped_by or how.status_reason
        job.attempt = None
        job.past.append(_described(attempt.container(), how, attempt.started_ms, self._clock.now_ms(), status_reason))
        self._journal.note(
            "attempt.ended",
            job=job.id,
            attempt=len(job.past),
            instance=attempt.instance.id,
            exit_code=how.exit_code,
            reason=how.reason,
            status_reason=status_reason,
        )
        if stopped_by is not None:
            self.enter(job, Status.FAILED, stopped_by)
        elif how.exit_code == 0:
            self.enter(job, Status.SUCCEEDED, how.status_reason)
        else:
            self._after_failure(job, how)

    def _after_failure(self, job: Job, how: TaskExit) -> None:
        decision = decide_retry(
            how=how, attempts_made=len(job.past), attempts_max=job.attempts_max, conditions=job.conditions
        )
        self._journal.note("attempt.decided", job=job.id, action=str(decision.action), reason=decision.reason)
        if decision.action is Action.RETRY:
            self.make_runnable(job, reason=how.status_reason, in_front=True)
        else:
            self.enter(job, Status.FAILED, how.status_reason)

    def publish(self, job: Job, detail_type: str, resources: tuple[str, ...]) -> None:
        """Put an event about the job on the bus."""
        self._events.publish(
            ServiceEvent(
                account=job.account,
                region=job.region,
                source="aws.batch",
                detail_type=detail_type,
                detail=job.describe(),
                resources=resources,
            )
        )

    def note_blocked(self, job: Job, queue_arn: str, detail_type: str) -> None:
        """Tell that the job, first of its queue, can't be placed."""
        self._journal.note("queue.blocked", job=job.id, queue=queue_arn, reason=job.status_reason)
        self.publish(job, detail_type, (job.arn, queue_arn))

    def _needed(self, job: Job) -> Iterator[Job]:
        """The jobs that must have succeeded before this one starts."""
        owner = job.parent or job
        if owner.is_sequential and job.index:
            yield owner.children[job.index - 1]
        jobs = self._store_of(job).jobs
        for link in owner.depends_on:
            other = jobs.get(link.get("jobId", ""))
            if other is None:
                continue
            one_to_one = link.get("type") == "N_TO_N" and job.index is not None and other.children
            yield other.children[job.index or 0] if one_to_one else other

    def _settle_parent(self, job: Job) -> None:
        parent = job.parent
        if parent is None or parent.ended:
            return
        if all(child.ended for child in parent.children):
            failed = any(child.status is Status.FAILED for child in parent.children)
            reason = parent.stop_reason or ("Array Child Job failed" if failed else None)
            self.enter(parent, Status.FAILED if failed else Status.SUCCEEDED, reason)

    def _settle_dependents(self, job: Job) -> None:
        for other in list(self._store_of(job).waiting.values()):
            self.release_if_ready(other)

    def _note(self, job: Job) -> None:
        self._journal.note(
            "job." + job.status.lower(),
            job=job.id,
            name=job.name,
            reason=job.status_reason,
            attempts=len(job.past),
            instance=job.placed_on.id if job.placed_on else None,
        )


def _described(
    container: dict[str, Any], how: TaskExit, started_ms: int | None, stopped_ms: int, status_reason: str
) -> dict[str, Any]:
    shown = {**container, "networkInterfaces": []}
    if how.exit_code is not None:
        shown["exitCode"] = how.exit_code
    if how.reason is not None:
        shown["reason"] = how.reason
    described = {"container": shown, "stoppedAt": stopped_ms, "statusReason": status_reason}
    return described if started_ms is None else {**described, "startedAt": started_ms}
