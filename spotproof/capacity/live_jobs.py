"""A run's Batch jobs: what is waiting or running, and how its workers were submitted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

# A parent of a running array is PENDING (Batch user guide, array jobs).
LIVE_STATUSES: Final = ("RUNNING", "STARTING", "RUNNABLE", "PENDING", "SUBMITTED")
JOBS_READ_MAX: Final = 1000  # per queue and status; more than that is no place to look for one worker
DESCRIBE_MAX: Final = 100  # ids per DescribeJobs


# How the reason of a job begins that a function cancelled: no person's will, so it stops no replacements.
CANCELLED_BY_US: Final = "spotproof: "
WAITING_STATUSES: Final = frozenset({"SUBMITTED", "PENDING", "RUNNABLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """How workers were submitted: enough to submit others like them."""

    job_name: str
    job_queue: str
    job_definition: str  # ARN with revision
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1  # size of the array
    memory_mib: int | None = None  # of each; None: Batch did not say
    vcpus: float = 1.0  # of each
    share: str = ""  # of those who share the queue; empty: nobody does


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """A job of our queues that has not ended, with its workers by how far they are."""

    job_id: str
    run_id: str
    queue: str  # name
    created_at: int  # epoch ms
    waiting: int  # for a host
    starting: int
    running: int
    submission: Submission

    @property
    def live(self) -> int:
        return self.waiting + self.starting + self.running


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJobs:
    """Every job of our queues that has not ended, at one moment."""

    jobs: tuple[LiveJob, ...]
    truncated: frozenset[str]  # queues with more jobs than were read

    def of_run(self, run_id: str, *, queue: str | None = None) -> tuple[LiveJob, ...]:
        """The run's jobs, of one queue if asked."""
        return tuple(job for job in self.jobs if job.run_id == run_id and queue in (None, job.queue))


class RunJobs:
    """Reads Batch, and cancels what waits; needs batch:ListJobs and batch:DescribeJobs."""

    def __init__(self, *, batch: "BatchClient", queues: Sequence[str], retrier: Retrier) -> None:
        self._batch = batch
        self._queues = queues
        self._retrier = retrier

    def has_live_job(self, run_id: str) -> bool:
        """Whether a job of the run waits or runs in our queues. In doubt (too many jobs to read) the answer is yes.

        Raises:
            AwsAccessError, AwsUnavailableError: Batch refused or stayed unavailable.
        """
        for queue in self._queues:
            for status in LIVE_STATUSES:
                job_ids = list(islice(self._job_ids(queue, status), JOBS_READ_MAX + 1))
                if len(job_ids) > JOBS_READ_MAX or any(_is_of_run(job, run_id) for job in self._described(job_ids)):
                    return True
        return False

    def read(self) -> LiveJobs:
        """All live jobs of our queues: 5 requests a queue, and one more for every 100 jobs; arrays are one job.

        At most JOBS_READ_MAX jobs of a queue and status are looked at.

        Raises:
            AwsAccessError, AwsUnavailableError: Batch refused or stayed unavailable.
        """
        found: dict[str, LiveJob] = {}  # a job that moves on while we read is listed twice
        truncated: set[str] = set()
        for queue in self._queues:
            job_ids: list[str] = []
            for status in LIVE_STATUSES:
                listed = list(islice(self._job_ids(queue, status), JOBS_READ_MAX + 1))
                if len(listed) > JOBS_READ_MAX:
                    truncated.add(queue)
                job_ids += listed[:JOBS_READ_MAX]
            found |= {job["jobId"]: _live_job(job, queue) for job in self._described(list(dict.fromkeys(job_ids)))}
        return LiveJobs(jobs=tuple(job for job in found.values() if job.live), truncated=frozenset(truncated))

    def submission_of(self, job_id: str) -> Submission | None:
        """How the job was submitted; None once Batch has forgotten it (7 days after its end)."""
        for job in self._described([job_id.partition(":")[0]]):
            return _submission(job)
        return None

    def live_job(self, job_id: str) -> LiveJob | None:
        """The job, or the array that the child belongs to; None if it has ended or is not one of our queues'."""
        for job in self._described([job_id.partition(":")[0]]):
            queue = job["jobQueue"].rpartition("/")[2]
            found = _live_job(job, queue)
            if queue in self._queues and found.live:
                return found
        return None

    def waits(self, job_id: str) -> bool:
        """Whether the job still waits for a host: the child of an array that `job_id` names, or any child of an array."""
        return any(is_waiting(job) for job in self._described([job_id]))

    def described(self, job_id: str) -> Mapping[str, Any] | None:
        """What DescribeJobs says of the job, or of the child of an array, now; None if Batch does not know it.

        Raises:
            AwsAccessError, AwsUnavailableError: Batch refused or stayed unavailable.
        """
        for job in self._described([job_id]):
            found: Mapping[str, Any] = job
            return found
        return None

    def held_up(self, job_id: str) -> Mapping[str, Any] | None:
        """The same of a job that holds up its queue; of an array, of the first child that Batch gives a reason to wait.

        Batch gives reasons to RUNNABLE jobs, which the parent of an array never is. Children beyond the first
        DESCRIBE_MAX are not looked at.

        Raises:
            AwsAccessError, AwsUnavailableError: Batch refused or stayed unavailable.
        """
        job = self.described(job_id)
        size = 0 if job is None else job.get("arrayProperties", {}).get("size") or 0
        children = self._described([f"{job_id}:{index}" for index in range(min(size, DESCRIBE_MAX))])
        return next((child for child in children if is_waiting(child) and child.get("statusReason")), job)

    def cancel(self, job_id: str, *, reason: str) -> None:
        """End what of the job waits for a host; workers that have started stay as they are (needs batch:CancelJob).

        Raises:
            AwsAccessError, AwsUnavailableError: Batch refused or stayed unavailable.
        """
        self._call(f"cancelling job {job_id}", self._batch.cancel_job, jobId=job_id, reason=CANCELLED_BY_US + reason)

    def _job_ids(self, queue: str, status: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            page = self._call(
                f"listing {status} jobs", self._batch.list_jobs, jobQueue=queue, jobStatus=status, **token
            )
            yield from (job["jobId"] for job in page["jobSummaryList"])
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _described(self, job_ids: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(job_ids), DESCRIBE_MAX):
            answer = self._call(
                "describing jobs", self._batch.describe_jobs, jobs=list(job_ids[start : start + DESCRIBE_MAX])
            )
            yield from answer["jobs"]

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def run_of_job(parameters: Mapping[str, str], *, parent_job_id: str) -> str:
    """The run a worker belongs to: as given, or for "auto" its own job id, the way workers choose it."""
    given = parameters.get("run", contract.AUTO)
    return parent_job_id if given == contract.AUTO else given


def is_waiting(job: Mapping[str, Any]) -> bool:
    """Whether a described job, or any child of the array that it is, waits for a host."""
    return _live_job(job, "").waiting > 0


def _is_of_run(job: Mapping[str, Any], run_id: str) -> bool:
    return run_of_job(job.get("parameters", {}), parent_job_id=job["jobId"].partition(":")[0]) == run_id


def _submission(job: Mapping[str, Any]) -> Submission:
    return Submission(
        job_name=job["jobName"],
        job_queue=job["jobQueue"],
        job_definition=job["jobDefinition"],
        parameters=job.get("parameters", {}),
        tags={name: value for name, value in job.get("tags", {}).items() if _is_own_tag(name)},
        workers=job.get("arrayProperties", {}).get("size") or 1,
        memory_mib=_memory_mib(job.get("container", {})),
        vcpus=_vcpus(job.get("container", {})),
        share=job.get("shareIdentifier", ""),
    )


def _is_own_tag(name: str) -> bool:
    """Batch adds the resource's ARN, and keeps names of its own."""
    return name != "resourceArn" and not name.lower().startswith("aws:")


def _memory_mib(container: Mapping[str, Any]) -> int | None:
    memory = _asked(container).get("MEMORY") or container.get("memory")
    return int(memory) if memory else None


def _vcpus(container: Mapping[str, Any]) -> float:
    return float(_asked(container).get("VCPU") or container.get("vcpus") or 1)


def _asked(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["type"]: each["value"] for each in container.get("resourceRequirements", [])}


def _live_job(job: Mapping[str, Any], queue: str) -> LiveJob:
    array = job.get("arrayProperties", {})
    counts = array.get("statusSummary") if array.get("size") else None
    if not counts:
        counts = {job["status"]: 1}
    return LiveJob(
        job_id=job["jobId"],
        run_id=run_of_job(job.get("parameters", {}), parent_job_id=job["jobId"].partition(":")[0]),
        queue=queue,
        created_at=job.get("createdAt", 0),
        waiting=sum(counts.get(status, 0) for status in WAITING_STATUSES),
        starting=counts.get("STARTING", 0),
        running=counts.get("RUNNING", 0),
        submission=_submission(job),
    )
