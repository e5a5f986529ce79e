"""The Batch client's surface: submit, describe, list, cancel, terminate, and looks at queues."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from simulation.cloud.aws_event import epoch_ms, new_uuid
from simulation.cloud.batch_attempts import Attempts
from simulation.cloud.batch_job import SimJob, SimJobDefinition, SimQueue
from simulation.cloud.batch_placement import Placement
from simulation.cloud.batch_queues import QueueViews
from simulation.cloud.batch_states import JobStates
from simulation.cloud.fleet import Fleet
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from spotproof.interruptions.eventbridge import JobStatus

DESCRIBE_MAX: Final = 100
LIST_MAX: Final = 1000
LIST_FILTERED_MAX: Final = 100
ARRAY_SIZE: Final = (2, 10_000)
RUNNABLE_S: Final = 2.0  # at most so long a job stays SUBMITTED
NOT_LISTED_YET: Final = "A7 job not listed yet"  # chance per ListJobs that the newest are missing
FRESH_S: Final = 10.0
_passed: Final[set[str]] = set()  # requests as text
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_WAITING: Final = (JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE)


class BatchApi:
    """What a GatedClient calls. Every parameter is checked by botocore's model of the service."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        rng: random.Random,
        faults: FaultBook,
        fleet: Fleet,
        queues: Sequence[SimQueue],
        definitions: Sequence[SimJobDefinition],
        states: JobStates,
        placement: Placement,
        attempts: Attempts,
        page_max: int,
    ) -> None:
        self.jobs: dict[str, SimJob] = {}  # in order of submission; children after their parent
        self._scheduler = scheduler
        self._rng = rng
        self._faults = faults
        self._queues = {queue.name: queue for queue in queues}
        self._definitions = {f"{one.name}:{one.revision}": one for one in definitions}
        self._latest = {one.name: one for one in sorted(definitions, key=lambda one: one.revision)}
        self._states = states
        self._placement = placement
        self._attempts = attempts
        self._page_max = page_max
        self._views = QueueViews(scheduler=scheduler, fleet=fleet, queues=self._queues, jobs=self.jobs.values)

    def submit_job(self, **given: Any) -> dict[str, Any]:
        """Submitting the same twice gives two jobs: SubmitJob has no idempotency token."""
        _check("SubmitJob", given)
        job = self._new_job(given)
        self.jobs |= {one.id: one for one in (job, *job.children)}
        self._states.submitted(job)
        for one in job.children or (job,):
            self._scheduler.after(RUNNABLE_S * self._rng.random(), partial(self._accepted, one))
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def describe_jobs(self, **given: Any) -> dict[str, Any]:
        _check("DescribeJobs", given)
        if len(given["jobs"]) > DESCRIBE_MAX:
            raise _refused("DescribeJobs", f"at most {DESCRIBE_MAX} jobs, got {len(given['jobs'])}")
        found = [self.jobs.get(_name_of(one)) for one in given["jobs"]]
        return {"jobs": [job.describe() for job in found if job is not None]}

    def list_jobs(self, **given: Any) -> dict[str, Any]:
        _check("ListJobs", given)
        if len([key for key in ("jobQueue", "arrayJobId") if key in given]) != 1:
            raise _refused("ListJobs", "exactly one of jobQueue and arrayJobId must be given")
        filters = given.get("filters") or []
        if len(filters) > 1:
            raise _refused("ListJobs", f"one filter at most, got {len(filters)}")
        jobs = self._visible(self._selected(given))
        if filters:
            jobs = [job for job in jobs if _passes(filters[0])(job)]
            return _page(jobs, given, min(self._page_max, LIST_FILTERED_MAX))
        jobs = [job for job in jobs if job.status == given.get("jobStatus", "RUNNING")]
        return _page(jobs, given, min(self._page_max, LIST_MAX))

    def cancel_job(self, **given: Any) -> dict[str, Any]:
        """Jobs that have not begun to start fail; others stay as they are. Unknown ids are answered like known ones."""
        _check("CancelJob", given)
        for job in self._leaves(given["jobId"]):
            if job.status in _WAITING:
                job.is_cancelled = True
                self._fail_waiting(job, given["reason"])
        return {}

    def terminate_job(self, **given: Any) -> dict[str, Any]:
        """Like cancelling, and SIGTERM to the containers of those that run."""
        _check("TerminateJob", given)
        self._mark_parent(given)
        for job in self._leaves(given["jobId"]):
            job.is_terminated = True
            if job.status in _WAITING:
                self._fail_waiting(job, given["reason"])
            else:
                job.stop_reason = given["reason"]
                self._attempts.stop(job)
        return {}

    def get_job_queue_snapshot(self, **given: Any) -> dict[str, Any]:
        _check("GetJobQueueSnapshot", given)
        return self._views.front(self._queue("GetJobQueueSnapshot", given["jobQueue"]))

    def describe_job_queues(self, **given: Any) -> dict[str, Any]:
        _check("DescribeJobQueues", given)
        return self._views.queues([_name_of(one) for one in given["jobQueues"]])

    def describe_compute_environments(self, **given: Any) -> dict[str, Any]:
        _check("DescribeComputeEnvironments", given)
        return self._views.environments([_name_of(one) for one in given["computeEnvironments"]])

    def _queue(self, operation: str, name_or_arn: str) -> SimQueue:
        queue = self._queues.get(_name_of(name_or_arn))
        if queue is None:
            raise _refused(operation, f"Job queue {name_or_arn} does not exist")
        return queue

    def _new_job(self, given: Mapping[str, Any]) -> SimJob:
        queue = self._queues.get(_name_of(given["jobQueue"]))
        wanted = _name_of(given["jobDefinition"])
        definition = self._definitions.get(wanted) or self._latest.get(wanted)
        if queue is None or definition is None:
            raise _refused("SubmitJob", f"JobQueue {given['jobQueue']} or JobDefinition {wanted} not found.")
        if not _NAME.fullmatch(given["jobName"]):
            raise _refused("SubmitJob", "Job name should match valid pattern")
        job = self._job(given, queue, definition, parent=None, index=None)
        size = (given.get("arrayProperties") or {}).get("size")
        if size is not None and not ARRAY_SIZE[0] <= size <= ARRAY_SIZE[1]:
            raise _refused("SubmitJob", f"Array size must be from {ARRAY_SIZE[0]} to {ARRAY_SIZE[1]}.")
        job.children = [self._job(given, queue, definition, parent=job, index=index) for index in range(size or 0)]
        return job

    def _job(
        self,
        given: Mapping[str, Any],
        queue: SimQueue,
        definition: SimJobDefinition,
        *,
        parent: SimJob | None,
        index: int | None,
    ) -> SimJob:
        retry, timeout = given.get("retryStrategy") or {}, given.get("timeout") or {}
        overrides = given.get("containerOverrides") or {}
        asked = {each["type"]: each["value"] for each in overrides.get("resourceRequirements", [])}
        variables = {each["name"]: each["value"] for each in overrides.get("environment", [])}
        return SimJob(
            id=new_uuid(self._rng) if parent is None else f"{parent.id}:{index}",
            name=given["jobName"],
            queue=queue,
            definition=definition,
            parameters={**definition.parameters, **(given.get("parameters") or {})},
            attempts_max=retry.get("attempts", 1) if retry else definition.attempts_max,
            conditions=retry.get("evaluateOnExit", ()) if retry else definition.conditions,
            timeout_s=timeout.get("attemptDurationSeconds", definition.timeout_s),
            tags=given.get("tags") or {},
            created_at=self._scheduler.now,
            memory_mib=int(asked.get("MEMORY", definition.memory_mib)),
            variables=variables,
            parent=parent,
            index=index,
        )

    def _accepted(self, job: SimJob) -> None:
        if job.status is JobStatus.SUBMITTED:
            self._states.make_runnable(job)

    def _fail_waiting(self, job: SimJob, reason: str) -> None:
        self._placement.unplace(job)
        self._states.enter(job, JobStatus.FAILED, reason)

    def _mark_parent(self, given: Mapping[str, Any]) -> None:
        job = self.jobs.get(_name_of(given["jobId"]))
        if job is not None and job.children and not job.ended:
            job.is_terminated, job.stop_reason = True, given["reason"]

    def _leaves(self, job_id: str) -> list[SimJob]:
        """The job or its children, where not ended."""
        job = self.jobs.get(_name_of(job_id))
        return [] if job is None else [one for one in job.children or (job,) if not one.ended]

    def _selected(self, given: Mapping[str, Any]) -> Sequence[SimJob]:
        if "arrayJobId" in given:
            parent = self.jobs.get(given["arrayJobId"])
            return parent.children if parent is not None else ()
        queue = self._queue("ListJobs", given["jobQueue"])
        return [job for job in self.jobs.values() if job.queue is queue and job.parent is None]

    def _visible(self, jobs: Sequence[SimJob]) -> Sequence[SimJob]:
        if not self._faults.strikes(NOT_LISTED_YET, "batch.list_jobs"):
            return jobs
        limit = self._scheduler.now - microseconds(FRESH_S)
        return [job for job in jobs if job.created_at < limit]


def _passes(given: Mapping[str, Any]) -> Callable[[SimJob], bool]:
    name, values = given["name"], given["values"]
    match name:
        case "JOB_NAME":
            return lambda job: any(_like(value, job.name) for value in values)
        case "BEFORE_CREATED_AT":
            return lambda job: epoch_ms(job.created_at) < int(values[0])
        case "AFTER_CREATED_AT":
            return lambda job: epoch_ms(job.created_at) > int(values[0])
    raise _refused("ListJobs", f"unknown filter {name}")


def _like(pattern: str, text: str) -> bool:
    """Not case-sensitive; `*` at the end fits any rest (Batch API, ListJobs)."""
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _page(jobs: Sequence[SimJob], given: Mapping[str, Any], most: int) -> dict[str, Any]:
    start = int(given.get("nextToken") or 0)
    stop = start + min(int(given.get("maxResults") or most), most)
    answer: dict[str, Any] = {"jobSummaryList": [job.summarize() for job in jobs[start:stop]]}
    return answer if stop >= len(jobs) else {**answer, "nextToken": str(stop)}


def _name_of(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


def _check(operation: str, given: Mapping[str, Any]) -> None:
    """Raises ParamValidationError. The same listing is asked for again and again: what passed once passes."""
    text = f"{operation} {given}"
    if text in _passed:
        return
    shape = _model().operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(given, shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
    if operation == "ListJobs":
        _passed.add(text)


def _refused(operation: str, message: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "ClientException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(response, operation)


@cache
def _model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("batch", "service-2"), "batch")
