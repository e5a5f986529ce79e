"""The operations on jobs: submit, describe, list, cancel, terminate, snapshot."""

from collections.abc import Callable
from typing import Any

from localcloud.batch.attempts import Attempts
from localcloud.batch.job import Job, Status
from localcloud.batch.parameters import ClientException
from localcloud.batch.scheduler import Scheduler
from localcloud.batch.store import BatchStore, JobQueue, name_of
from localcloud.batch.submission import new_jobs
from localcloud.batch.transitions import Transitions
from localcloud.clock import Clock

DESCRIBE_MAX = 100
LIST_MAX = 1000
LIST_FILTERED_MAX = 100
BULK_MAX = 50
SNAPSHOT_MAX = 100


class JobOperations:
    """Each operation takes checked parameters and returns the API's answer; the reactor's state is held."""

    def __init__(self, *, clock: Clock, transitions: Transitions, scheduler: Scheduler, attempts: Attempts) -> None:
        self._clock = clock
        self._transitions = transitions
        self._scheduler = scheduler
        self._attempts = attempts

    def submit_job(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        job = new_jobs(store, given, now_ms=self._clock.now_ms())
        self._transitions.submitted(job)
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def describe_jobs(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        wanted = given["jobs"]
        if len(wanted) > DESCRIBE_MAX:
            raise ClientException(f"DescribeJobs takes at most {DESCRIBE_MAX} jobs, got {len(wanted)}")
        found = [store.jobs.get(name_of(one)) for one in wanted]
        return {"jobs": [job.describe() for job in found if job is not None]}

    def list_jobs(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        selectors = [key for key in ("jobQueue", "arrayJobId", "multiNodeJobId") if key in given]
        if len(selectors) != 1:
            raise ClientException("ListJobs takes exactly one of jobQueue, arrayJobId or multiNodeJobId")
        filters = given.get("filters") or []
        if len(filters) > 1:
            raise ClientException(f"ListJobs takes one filter, got {len(filters)}")
        matching = self._selected(store, given)
        if filters:
            test = _filter(filters[0])
            matching = [job for job in matching if job.parent is None and test(job)]
        else:
            status = given.get("jobStatus", "RUNNING")
            matching = [job for job in matching if job.status == status]
        return _page(matching, given, LIST_FILTERED_MAX if filters else LIST_MAX)

    def _selected(self, store: BatchStore, given: dict[str, Any]) -> list[Job]:
        if "arrayJobId" in given:
            parent = store.jobs.get(given["arrayJobId"])
            return list(parent.children) if parent else []
        if "multiNodeJobId" in given:
            return []
        queue = store.queue(given["jobQueue"])
        return [job for job in store.jobs.values() if job.queue_arn == queue.arn and job.parent is None]

    def cancel_job(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        self._stop(store, given["jobId"], given["reason"], running=False)
        return {}

    def terminate_job(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        self._stop(store, given["jobId"], given["reason"], running=True)
        return {}

    def cancel_jobs(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        return self._stop_many(store, given, running=False)

    def terminate_jobs(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        return self._stop_many(store, given, running=True)

    def get_job_queue_snapshot(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        queue = store.queue(given["jobQueue"])
        waiting = [
            job for job in store.runnable.values() if job.status is Status.RUNNABLE and job.queue_arn == queue.arn
        ]
        front = sorted(waiting, key=lambda job: job.order)[:SNAPSHOT_MAX]
        jobs = [{"jobArn": job.arn, "earliestTimeAtPosition": round(job.runnable_since * 1000)} for job in front]
        return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": self._clock.now_ms()}}

    def stop_everything(self, store: BatchStore, reason: str) -> int:
        """Fail every job that has not ended, at once; returns how many."""
        live = [job for job in store.jobs.values() if not job.ended and not job.children]
        for job in live:
            self._stop_one(job, reason, running=True)
            self._attempts.kill(job)
        return len(live)

    def stop_queue(self, store: BatchStore, queue: JobQueue, reason: str) -> None:
        """Terminate every job of a queue, as TerminateJob would."""
        for job in self._selected(store, {"jobQueue": queue.name}):
            self._stop(store, job.id, reason, running=True)

    def _stop_many(self, store: BatchStore, given: dict[str, Any], *, running: bool) -> dict[str, Any]:
        if len(given["jobs"]) > BULK_MAX:
            raise ClientException(f"at most {BULK_MAX} jobs per call, got {len(given['jobs'])}")
        successful, errors = [], []
        for job_id in given["jobs"]:
            if name_of(job_id) in store.jobs:
                self._stop(store, job_id, given["reason"], running=running)
                successful.append(job_id)
            else:
                errors.append({"job": job_id, "code": "ClientException", "message": f"Job {job_id} does not exist"})
        return {"successful": successful, "errors": errors}

    def _stop(self, store: BatchStore, job_id: str, reason: str, *, running: bool) -> None:
        job = store.jobs.get(name_of(job_id))
        if job is None:
            return  # Batch answers 200 for a job it doesn't know
        job.stop_reason = reason
        job.is_terminated, job.is_cancelled = job.is_terminated or running, job.is_cancelled or not running
        for one in job.children or [job]:
            self._stop_one(one, reason, running=running)

    def _stop_one(self, job: Job, reason: str, *, running: bool) -> None:
        if job.ended:
            return
        if job.status in (Status.SUBMITTED, Status.PENDING, Status.RUNNABLE):
            self._scheduler.unplace(job)
            job.is_terminated, job.is_cancelled = running, not running
            self._transitions.enter(job, Status.FAILED, reason)
        elif running:
            job.stop_reason, job.is_terminated = reason, True
            self._attempts.stop(job)


def _filter(given: dict[str, Any]) -> Callable[[Job], bool]:
    name, values = given["name"], given["values"]
    match name:
        case "JOB_NAME":
            return lambda job: any(_like(value, job.name) for value in values)
        case "JOB_DEFINITION":
            return lambda job: any(_like(value, name_of(job.definition_arn)) for value in values)
        case "BEFORE_CREATED_AT":
            return lambda job: job.created_ms < int(values[0])
        case "AFTER_CREATED_AT":
            return lambda job: job.created_ms > int(values[0])
        case _:
            raise ClientException(f"unknown filter {name!r}")


def _like(pattern: str, text: str) -> bool:
    pattern, text = name_of(pattern).lower(), text.lower()
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern or text.partition(":")[0] == pattern


def _page(jobs: list[Job], given: dict[str, Any], most: int) -> dict[str, Any]:
    size = min(int(given.get("maxResults") or most), most)
    token = str(given.get("nextToken") or "0")
    if not token.isdigit():
        raise ClientException(f"nextToken {token!r} is not one of ours")
    start = int(token)
    answer: dict[str, Any] = {"jobSummaryList": [job.summarize() for job in jobs[start : start + size]]}
    if start + size < len(jobs):
        answer["nextToken"] = str(start + size)
    return answer
