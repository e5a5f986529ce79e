"""Whether a worker's job has failed as an event says: Batch is asked, because whoever forges the event can't forge that."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum, auto

from spotproof.capacity.live_jobs import CANCELLED_BY_US, RunJobs
from spotproof.clock import Clock
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.eventbridge import JobStateChange, JobStatus, parse_described_job


class EndVerdict(StrEnum):
    OURS = auto()  # a failed worker: to be classified
    NOT_OURS = auto()  # nothing to do, now or later
    TOO_EARLY = auto()  # what Batch shows may be older than the event: to be asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class EndJudgement:
    verdict: EndVerdict
    reason: str  # empty for a failed worker of ours


def why_not_ours(job: JobStateChange, queues: Collection[str]) -> str:
    """Why the job needs no action; empty for a failed worker of ours.

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


def judge_end(described: JobStateChange | None, queues: Collection[str]) -> EndJudgement:
    """What to make of an event that a worker of ours has failed.

    Args:
        described: the job as Batch shows it now; None if it knows none with this id.
        queues: names of ours.
    """
    if described is None:
        return EndJudgement(verdict=EndVerdict.NOT_OURS, reason="Batch knows no such job")
    if described.status not in (JobStatus.FAILED, JobStatus.SUCCEEDED):
        return EndJudgement(verdict=EndVerdict.TOO_EARLY, reason=f"Batch says that the job is {described.status}")
    reason = why_not_ours(described, queues)
    return EndJudgement(verdict=EndVerdict.NOT_OURS if reason else EndVerdict.OURS, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedEnd:
    """`job` is what Batch says, and None if nothing is to be done about the event."""

    job: JobStateChange | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnds:
    """One DescribeJobs for each event about a failed worker in our queues."""

    jobs: RunJobs
    queues: Collection[str]
    clock: Clock

    def confirm(self, told: JobStateChange, *, account: str) -> ConfirmedEnd:
        """The end that the event tells of, in Batch's words.

        Raises:
            AwsUnavailableError: Batch does not show the end yet. Lambda brings the event again a minute later and two
                after that; a forged one ends in the queue of failed events.
            AwsError: Batch refused or stayed unavailable.
        """
        reason = why_not_ours(told, self.queues)
        if reason:
            return ConfirmedEnd(job=None, reason=reason)
        shown = self.jobs.described(told.job_id)
        job = None
        if shown is not None:
            job = parse_described_job(shown, event_id=told.event_id, account=account, now=self.clock.now())
        judged = judge_end(job, self.queues)
        if judged.verdict is EndVerdict.TOO_EARLY:
            raise AwsUnavailableError(f"an event says that job {told.job_id} failed, but {judged.reason}; asked again")
        return ConfirmedEnd(job=job if judged.verdict is EndVerdict.OURS else None, reason=judged.reason)
