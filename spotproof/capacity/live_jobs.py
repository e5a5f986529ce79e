"""A run's Batch jobs: what is waiting or running, and how its workers were submitted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """How one worker was submitted: enough to submit another one like it."""

    job_name: str
    job_queue: str
    job_definition: str  # ARN with revision
    parameters: Mapping[str, str]


class RunJobs:
    """Reads Batch; needs batch:ListJobs and batch:DescribeJobs."""

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

    def submission_of(self, job_id: str) -> Submission | None:
        """How the job was submitted; None once Batch has forgotten it (7 days after its end)."""
        for job in self._described([job_id.partition(":")[0]]):
            return Submission(
                job_name=job["jobName"],
                job_queue=job["jobQueue"],
                job_definition=job["jobDefinition"],
                parameters=job.get("parameters", {}),
            )
        return None

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


def _is_of_run(job: Mapping[str, Any], run_id: str) -> bool:
    return run_of_job(job.get("parameters", {}), parent_job_id=job["jobId"].partition(":")[0]) == run_id
