"""A Batch whose queues a test fills by hand; every operation that the functions use, with the shapes of its model."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from tests.fakes.clock import FakeClock

ARN = "arn:aws:batch:us-east-1:123456789012"
WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
LIVE = {*WAITING, "STARTING", "RUNNING"}
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"


@dataclass
class BatchWorld:
    """Jobs stay as a test puts them."""

    clock: FakeClock
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    refuse: str = ""  # an error code for every request
    numbers: Any = field(default_factory=lambda: count(1))

    def add(
        self,
        run: str,
        *,
        queue: str = "spot-queue",
        status: str = "RUNNABLE",
        workers: dict[str, int] | None = None,
        options: str = "auto",
        job_id: str = "",
        **more: Any,
    ) -> str:
        """A job; `workers`: an array with so many children of each status."""
        job_id = job_id or f"job-{next(self.numbers)}"
        if workers is not None:
            status = "PENDING" if set(workers) & LIVE else "SUCCEEDED"
        self.jobs[job_id] = {
            "jobId": job_id,
            "jobName": "delays",
            "jobQueue": f"{ARN}:job-queue/{queue}",
            "jobDefinition": f"{ARN}:job-definition/d:3",
            "status": status,
            "statusReason": "",
            "createdAt": round(self.clock.now().timestamp() * 1000),
            "parameters": {"run": run, "input": "s3://b/in/", "shard_by": "time:1d", "options": options},
            "container": {
                "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1800"}]
            },
            "tags": {"team": "delays", "resourceArn": f"{ARN}:job/{job_id}"},
            **({"arrayProperties": {"size": sum(workers.values()), "statusSummary": workers}} if workers else {}),
            **more,
        }
        return job_id

    def become(self, job_id: str, **workers: int) -> None:
        """Change how many children of an array are in each status."""
        self.jobs[job_id]["arrayProperties"]["statusSummary"] = workers
        if not set(workers) & LIVE:
            self.jobs[job_id]["status"] = "SUCCEEDED"

    # --- the client ----------------------------------------------------------------------------------------------

    def submit_job(self, **given: Any) -> Any:
        self._called("submit_job")
        self.submitted.append(given)
        size = given.get("arrayProperties", {}).get("size", 0)
        queue = given["jobQueue"].rpartition("/")[2]
        job_id = self.add("", queue=queue, workers={"RUNNABLE": size} if size else None)
        memory = given.get("containerOverrides", {}).get("resourceRequirements")
        self.jobs[job_id] |= {"jobName": given["jobName"], "parameters": given["parameters"]}
        if memory:
            self.jobs[job_id]["container"] = {"resourceRequirements": memory}
        return {"jobId": job_id, "jobName": given["jobName"]}

    def list_jobs(self, *, jobQueue: str, jobStatus: str = "", filters: Any = ()) -> Any:  # noqa: N803
        self._called("list_jobs")
        queued = [job for job in self.jobs.values() if job["jobQueue"].endswith(f"/{jobQueue.rpartition('/')[2]}")]
        if filters:
            return {"jobSummaryList": [job for job in queued if job["jobName"] in filters[0]["values"]]}
        return {"jobSummaryList": [job for job in queued if job["status"] == jobStatus]}

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        self._called("describe_jobs")
        return {"jobs": [self.jobs[job_id] for job_id in jobs if job_id in self.jobs]}

    def cancel_job(self, *, jobId: str, reason: str) -> Any:  # noqa: N803
        self._called("cancel_job")
        self.cancelled.append((jobId, reason))
        job = self.jobs[jobId]
        array = job.get("arrayProperties")
        if array is None:
            job["status"] = "FAILED"
        else:
            left = {status: number for status, number in array["statusSummary"].items() if status not in WAITING}
            self.become(jobId, **left)
        return {}

    def get_job_queue_snapshot(self, *, jobQueue: str) -> Any:  # noqa: N803
        self._called("get_job_queue_snapshot")
        front = [
            {"jobArn": f"{ARN}:job/{job['jobId']}", "earliestTimeAtPosition": 0}
            for job in self.jobs.values()
            if job["jobQueue"].endswith(f"/{jobQueue}") and set(_statuses(job)) & {"RUNNABLE"}
        ]
        return {"frontOfQueue": {"jobs": front}}

    def describe_job_queues(self, *, jobQueues: list[str]) -> Any:  # noqa: N803
        self._called("describe_job_queues")
        name = jobQueues[0].rpartition("/")[2]
        order = [{"order": 1, "computeEnvironment": f"{ARN}:compute-environment/{name}"}]
        return {
            "jobQueues": [
                {"jobQueueName": name, "state": "ENABLED", "status": "VALID", "computeEnvironmentOrder": order}
            ]
        }

    def describe_compute_environments(self, *, computeEnvironments: list[str]) -> Any:  # noqa: N803
        self._called("describe_compute_environments")
        return {
            "computeEnvironments": [
                {
                    "computeEnvironmentArn": arn,
                    "computeEnvironmentName": arn.rpartition("/")[2],
                    "state": "ENABLED",
                    "status": "VALID",
                    "computeResources": {
                        "type": "SPOT", "maxvCpus": 64, "desiredvCpus": 0, "instanceTypes": ["optimal"],
                    },
                }
                for arn in computeEnvironments
            ]
        }  # fmt: skip

    def _called(self, operation: str) -> None:
        self.calls[operation] += 1
        if self.refuse:
            error: Any = {"Error": {"Code": self.refuse, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error, operation)


def _statuses(job: dict[str, Any]) -> dict[str, int]:
    """How many of its workers are in which status."""
    found: dict[str, int] = job.get("arrayProperties", {}).get("statusSummary") or {job["status"]: 1}
    return found


class QuietScaling:
    """Auto Scaling that launched nothing and failed at nothing."""

    def describe_scaling_activities(self, **_: Any) -> Any:
        return {"Activities": []}


@dataclass
class RecordingBus:
    """EventBridge that remembers what was put."""

    put: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: str = ""  # the type of events that it does not take

    def put_events(self, *, Entries: list[dict[str, str]]) -> Any:  # noqa: N803
        import json

        if any(entry["DetailType"] == self.refused for entry in Entries):
            return {"Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "down"} for _ in Entries]}
        self.put += [(entry["DetailType"], json.loads(entry["Detail"])) for entry in Entries]
        return {"Entries": [{"EventId": "1"} for _ in Entries]}

    def runs(self, detail_type: str) -> list[str]:
        """Runs that events of the type were about."""
        return [detail["run_id"] for kind, detail in self.put if kind == detail_type]
