"""The Batch jobs of a run: its workers, whether they have started or not."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

TAG_RUN: Final = "spotproof:run"
TAG_JOB: Final = "spotproof:job"
ARRAY_SIZE_MAX: Final = 10_000  # Batch: arrays of 2 to 10,000
_DESCRIBE_MAX: Final = 100  # Batch: ids in one DescribeJobs
_JOB_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAGES_MAX: Final = 20  # of 1000 jobs; a queue with more is listed as far as that
_JOB_NAME_MAX: Final = 128
_NOT_STARTED: Final = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING"})
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED"})
_ACTIVE_STATUSES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """One Batch job of a run; an array counts its children by status."""

    job_id: str
    run_id: str
    queue: str
    status: str
    reason: str  # statusReason, empty when Batch gives none
    exit_code: int | None
    size: int  # workers: 1, or the size of the array
    children: Mapping[str, int]  # status -> number; empty without an array

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    @property
    def by_status(self) -> Mapping[str, int]:
        """Workers by status."""
        counted = {status: number for status, number in self.children.items() if number}
        return counted or {self.status: self.size}

    @property
    def not_started(self) -> int:
        return sum(number for status, number in self.by_status.items() if status in _NOT_STARTED)


def batch_job_name(run_id: str) -> str:
    """A name that Batch takes: letters, digits, `-` and `_`, at most 128."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", run_id)[:_JOB_NAME_MAX].lstrip("-_") or "run"


class WorkerJobs:
    """Submits, finds and terminates the Batch jobs of runs."""

    def __init__(self, *, batch: "BatchClient", retrier: Retrier, queues: Iterable[str]) -> None:
        """`queues`: names of all queues of the deployment."""
        self.batch = batch
        self.retrier = retrier
        self.queues = tuple(queues)

    def submit(
        self,
        *,
        run_id: str,
        job: str,
        definition: str,
        workers: int,
        queue: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        share: str = "",
    ) -> str:
        """Submit `workers` workers of the run as one job, and return its id; its tasks get the tags too.

        Args:
            queue: its name.
            share: whose vCPUs of a shared queue they take; empty where nobody shares.

        Raises:
            AwsError: Batch refuses or can't be reached.
        """
        array = {"arrayProperties": {"size": workers}} if workers > 1 else {}
        shared = {"shareIdentifier": share} if share else {}
        answer = self._call(
            f"submitting run {run_id}",
            self.batch.submit_job,
            jobName=batch_job_name(run_id),
            jobQueue=queue,
            jobDefinition=definition,
            parameters=dict(parameters),
            tags={**tags, TAG_RUN: run_id, TAG_JOB: job},
            propagateTags=True,
            **array,
            **shared,
        )
        return str(answer["jobId"])

    def of_run(self, run_id: str) -> list[WorkerJob]:
        """Jobs of the run: the ones named after it, ended or not, and every other active one with its parameters."""
        ids = self._queued_ids(filters=[{"name": "JOB_NAME", "values": [batch_job_name(run_id)]}]) | self._active_ids()
        if _JOB_ID.fullmatch(run_id):  # submitted without a run id: the job's own id serves
            ids.add(run_id)
        return [job for job in self.describe(sorted(ids)) if job.run_id == run_id]

    def active(self) -> list[WorkerJob]:
        """Every job of any run that has not ended."""
        return [job for job in self.describe(sorted(self._active_ids())) if job.run_id]

    def describe(self, job_ids: Iterable[str]) -> list[WorkerJob]:
        """The jobs as Batch knows them now; unknown ids are left out."""
        described: list[WorkerJob] = []
        ids = list(job_ids)
        for start in range(0, len(ids), _DESCRIBE_MAX):
            chunk = ids[start : start + _DESCRIBE_MAX]
            answer = self._call("looking at Batch jobs", self.batch.describe_jobs, jobs=chunk)
            described.extend(_worker_job(detail) for detail in answer["jobs"])
        return described

    def waiting_reasons(self, jobs: Iterable[WorkerJob]) -> Counter[str]:
        """Why workers have not started: Batch's words and for how many; "" where it says nothing."""
        reasons: Counter[str] = Counter()
        for job in jobs:
            if not job.not_started:
                continue
            children = self._list(arrayJobId=job.job_id, jobStatus="RUNNABLE") if job.size > 1 else ()
            told = Counter(str(child.get("statusReason", "")) for child in children)
            if told:
                reasons += told
            else:
                reasons[job.reason] += job.not_started
        return reasons

    def terminate(self, job_id: str, *, reason: str) -> None:
        """End a job, or an array with all its children; a job that has ended stays as it is."""
        self._call(f"terminating Batch job {job_id}", self.batch.terminate_job, jobId=job_id, reason=reason)

    def _active_ids(self) -> set[str]:
        return set().union(*(self._queued_ids(jobStatus=status) for status in _ACTIVE_STATUSES))

    def _queued_ids(self, **selection: Any) -> set[str]:
        """Ids in all queues; an array counts as its parent only."""
        listed = (str(each["jobId"]) for queue in self.queues for each in self._list(jobQueue=queue, **selection))
        return {job_id for job_id in listed if ":" not in job_id}

    def _list(self, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        for _ in range(_PAGES_MAX):
            answer = self._call("listing Batch jobs", self.batch.list_jobs, **parameters, **token)
            yield from answer["jobSummaryList"]
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self.retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def _worker_job(detail: Mapping[str, Any]) -> WorkerJob:
    array = detail.get("arrayProperties", {})
    exit_code = detail.get("container", {}).get("exitCode")
    job_id = str(detail["jobId"])
    run_id = str(detail.get("parameters", {}).get("run", ""))
    return WorkerJob(
        job_id=job_id,
        run_id=job_id if run_id == contract.AUTO else run_id,
        queue=str(detail.get("jobQueue", "")),
        status=str(detail.get("status", "")),
        reason=str(detail.get("statusReason", "")),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        size=int(array.get("size", 1)),
        children={str(status): int(number) for status, number in array.get("statusSummary", {}).items()},
    )
