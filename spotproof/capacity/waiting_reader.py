"""Finds the workers that have not started, with what is known of the queue they wait in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof.capacity.launch_failures import ScalingClient
from spotproof.capacity.live_jobs import DESCRIBE_MAX, run_of_job
from spotproof.capacity.queue_facts import QueueReader
from spotproof.capacity.waiting_facts import AheadFacts, QueueFacts, WaitingFacts
from spotproof.clock import Clock, to_epoch_ms
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_ec2 import EC2Client

JOBS_MAX: Final = 49  # explained at a time; an array is one. With one child of each and the head: one DescribeJobs
_WAITING: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING")


class WaitingReader:
    """Reads in a bounded number of requests. Needs batch:GetJobQueueSnapshot and DescribeJobs, and what QueueReader needs."""

    def __init__(
        self, *, batch: "BatchClient", ec2: "EC2Client", scaling: ScalingClient, retrier: Retrier, clock: Clock
    ) -> None:
        self._batch = batch
        self._retrier = retrier
        self._clock = clock
        self._queues = QueueReader(batch=batch, ec2=ec2, scaling=scaling, retrier=retrier, clock=clock)

    def in_queue(self, queue: str) -> tuple[WaitingFacts, ...]:
        """The jobs with workers among the first hundred that wait in the queue: one request if nobody waits, else six.

        Raises:
            AwsError: Batch refused or stayed unavailable.
        """
        front = self._front(queue)
        jobs = list(dict.fromkeys(_parent(job_id) for job_id in front))[:JOBS_MAX]
        return tuple(self._waiting(queue, front, jobs)) if jobs else ()

    def of_jobs(self, job_ids: Sequence[str]) -> tuple[WaitingFacts, ...]:
        """Those of these Batch jobs, at most JOBS_MAX of them, that have workers which have not started.

        Raises:
            AwsError: Batch refused or stayed unavailable.
        """
        by_queue: dict[str, list[str]] = {}
        for described in self._described(list(job_ids)[:JOBS_MAX]):
            if any(_waiting_by_status(described).values()):
                by_queue.setdefault(described["jobQueue"], []).append(described["jobId"])
        return tuple(
            facts for queue, jobs in by_queue.items() for facts in self._waiting(queue, self._front(queue), jobs)
        )

    def _waiting(self, queue: str, front: Sequence[str], jobs: Sequence[str]) -> Iterator[WaitingFacts]:
        foremost = {_parent(job_id): job_id for job_id in reversed(front)}  # the first of each job
        asked = [*jobs, *(foremost[job] for job in jobs if job in foremost), *front[:1]]
        described = {each["jobId"]: each for each in self._described(list(dict.fromkeys(asked)))}
        known = self._queues.read(queue)
        head = described.get(front[0]) if front else None
        for job in jobs:
            if job in described:
                child = described.get(foremost.get(job, job), described[job])
                yield from self._facts(described[job], child, head, known)

    def _facts(
        self, job: Mapping[str, Any], child: Mapping[str, Any], head: Mapping[str, Any] | None, queue: QueueFacts
    ) -> Iterator[WaitingFacts]:
        """One for each status that workers of the job wait in; `child`: the foremost of them."""
        for status, workers in _waiting_by_status(job).items():
            of_child = child if child["status"] == status else job
            ahead = None if head is None or _parent(head["jobId"]) == job["jobId"] else head
            vcpus, memory_mib = _size(child)
            yield WaitingFacts(
                job_id=job["jobId"],
                run_id=run_of_job(job.get("parameters", {}), parent_job_id=job["jobId"]),
                workers=workers,
                status=status,
                reason=of_child.get("statusReason", ""),
                waited_s=(to_epoch_ms(self._clock.now()) - _waits_since(of_child)) / 1000,
                vcpus=vcpus,
                memory_mib=memory_mib,
                queue=queue,
                ahead=None
                if ahead is None
                else AheadFacts(job_id=ahead["jobId"], reason=ahead.get("statusReason", "")),
            )

    def _front(self, queue: str) -> list[str]:
        answer = self._call("looking at the front of the queue", self._batch.get_job_queue_snapshot, jobQueue=queue)
        jobs = answer.get("frontOfQueue", {}).get("jobs", [])
        return [str(job["jobArn"]).rpartition("/")[2] for job in jobs]

    def _described(self, job_ids: Sequence[str]) -> list[Any]:
        if not job_ids:
            return []
        answer = self._call("looking at waiting jobs", self._batch.describe_jobs, jobs=list(job_ids)[:DESCRIBE_MAX])
        found: list[Any] = answer["jobs"]
        return found

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def _parent(job_id: str) -> str:
    return job_id.partition(":")[0]


def _waiting_by_status(job: Mapping[str, Any]) -> dict[str, int]:
    """Workers of the job that have not started, by status."""
    array = job.get("arrayProperties", {})
    if array.get("size"):
        counts = array.get("statusSummary", {})
        return {status: int(counts[status]) for status in _WAITING if counts.get(status)}
    return {job["status"]: 1} if job["status"] in _WAITING else {}


def _waits_since(job: Mapping[str, Any]) -> int:
    """Epoch ms: a retried job waits since its last attempt ended."""
    ended = [int(attempt["stoppedAt"]) for attempt in job.get("attempts", []) if attempt.get("stoppedAt")]
    return max([int(job["createdAt"]), *ended])


def _size(job: Mapping[str, Any]) -> tuple[int, int]:
    """vCPUs and MiB that a worker asks for."""
    container = job.get("container", {})
    asked = {each["type"]: each["value"] for each in container.get("resourceRequirements", [])}
    vcpus = asked.get("VCPU", container.get("vcpus", 0))
    return int(float(vcpus)), int(float(asked.get("MEMORY", container.get("memory", 0))))
