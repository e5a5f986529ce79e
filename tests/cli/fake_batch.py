"""A Batch that only remembers: jobs have the status a test gives them."""

from itertools import count
from typing import Any

from botocore.exceptions import ClientError


class FakeBatch:
    """The operations that the command uses, with the shapes of botocore's model."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.children: dict[str, list[dict[str, Any]]] = {}
        self.submitted: list[dict[str, Any]] = []
        self.terminated: list[tuple[str, str]] = []
        self.refuse: str | None = None  # an error code for every write
        self.refuse_reads: str | None = None  # an error code for what tells why jobs wait
        self.created_at = 0  # of jobs, epoch ms
        self.environment: dict[str, Any] = {}  # what is special about the queues' compute environment
        self._numbers = count(1)

    def submit_job(self, **request: Any) -> dict[str, Any]:
        self._refused("SubmitJob")
        self.submitted.append(request)
        size = request.get("arrayProperties", {}).get("size", 1)
        job_id = self.add(
            request["parameters"]["run"],
            name=request["jobName"],
            queue=request["jobQueue"],
            size=size,
            status="PENDING",
        )
        return {"jobId": job_id, "jobName": request["jobName"]}

    def add(
        self,
        run_id: str,
        *,
        name: str | None = None,
        queue: str = "spot-queue",
        size: int = 1,
        status: str,
        **more: Any,
    ) -> str:
        job_id = f"job-{next(self._numbers)}"
        array = {"arrayProperties": {"size": size, "statusSummary": {"RUNNABLE": size}}} if size > 1 else {}
        self.jobs[job_id] = {
            "jobId": job_id,
            "jobName": name or f"console-{job_id}",
            "jobQueue": queue,
            "status": status,
            "parameters": {"run": run_id},
            **array,
            **more,
        }
        return job_id

    def list_jobs(self, **request: Any) -> dict[str, Any]:
        if "arrayJobId" in request:
            found = [
                each for each in self.children.get(request["arrayJobId"], []) if each["status"] == request["jobStatus"]
            ]
        else:
            found = [each for each in self.jobs.values() if each["jobQueue"] == request["jobQueue"]]
            if "filters" in request:
                found = [each for each in found if each["jobName"] in request["filters"][0]["values"]]
            else:
                found = [each for each in found if each["status"] == request["jobStatus"]]
        start = int(request.get("nextToken", 0))
        token = (
            {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        )  # tiny pages: paging is always exercised
        return {"jobSummaryList": found[start : start + 2], **token}

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        assert 0 < len(jobs) <= 100
        children = {child["jobId"]: child for each in self.children.values() for child in each}
        known = {**children, **self.jobs}
        defaults = {
            "createdAt": self.created_at,
            "container": {},
            "jobQueue": "spot-queue",
            "jobDefinition": "spotproof-flight-delays:1",
        }
        return {"jobs": [{**defaults, **known[job_id]} for job_id in jobs if job_id in known]}

    def get_job_queue_snapshot(self, *, jobQueue: str) -> dict[str, Any]:  # noqa: N803 - Batch's name
        self._refused_reading("GetJobQueueSnapshot")
        waiting = [
            each
            for job in self.jobs.values()
            if job["jobQueue"] == jobQueue
            for each in self.children.get(job["jobId"], [job])
            if each["status"] == "RUNNABLE"
        ]
        arns = [{"jobArn": f"arn:aws:batch:eu-central-1:000000000000:job/{each['jobId']}"} for each in waiting]
        return {"frontOfQueue": {"jobs": arns}}

    def describe_job_queues(self, *, jobQueues: list[str]) -> dict[str, Any]:  # noqa: N803 - Batch's name
        self._refused_reading("DescribeJobQueues")
        order = [{"order": 1, "computeEnvironment": "arn:aws:batch:eu-central-1:000000000000:compute-environment/Env"}]
        return {
            "jobQueues": [
                {"jobQueueName": name, "state": "ENABLED", "status": "VALID", "computeEnvironmentOrder": order}
                for name in jobQueues
            ]
        }

    def describe_compute_environments(self, *, computeEnvironments: list[str]) -> dict[str, Any]:  # noqa: N803 - as above
        resources = {"type": "SPOT", "maxvCpus": 64, "instanceTypes": ["m7i.large"]}
        (arn,) = computeEnvironments
        healthy = {"state": "ENABLED", "status": "VALID", "statusReason": "ComputeEnvironment Healthy"}
        named = {"computeEnvironmentName": "Env", "computeEnvironmentArn": arn, "computeResources": resources}
        return {"computeEnvironments": [{**healthy, **named, **self.environment}]}

    def describe_job_definitions(self, *, jobDefinitionName: str, status: str) -> dict[str, Any]:  # noqa: N803 - as above
        needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1800"}]
        container = {"containerProperties": {"resourceRequirements": needs}}
        older = {"containerProperties": {"vcpus": 2, "memory": 64}}
        known = (
            [] if jobDefinitionName == "spotproof-other" else [{"revision": 2, **container}, {"revision": 1, **older}]
        )
        return {
            "jobDefinitions": [{"jobDefinitionName": jobDefinitionName, "status": status, **each} for each in known]
        }

    def terminate_job(self, *, jobId: str, reason: str) -> dict[str, Any]:  # noqa: N803 - Batch's name
        self._refused("TerminateJob")
        self.terminated.append((jobId, reason))
        self.jobs[jobId]["status"] = "FAILED"
        return {}

    def _refused_reading(self, operation: str) -> None:
        if self.refuse_reads:
            raise ClientError({"Error": {"Code": self.refuse_reads, "Message": "refused by the test"}}, operation)

    def _refused(self, operation: str) -> None:
        if self.refuse:
            raise ClientError({"Error": {"Code": self.refuse, "Message": "refused by the test"}}, operation)
