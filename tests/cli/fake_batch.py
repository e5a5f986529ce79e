"""A Batch that only remembers: jobs have the status a test gives them."""

from itertools import count
from typing import Any

from botocore.exceptions import ClientError


class FakeBatch:
    """The five operations that the command uses, with the shapes of botocore's model."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.children: dict[str, list[dict[str, Any]]] = {}
        self.submitted: list[dict[str, Any]] = []
        self.terminated: list[tuple[str, str]] = []
        self.refuse: str | None = None  # an error code for every write
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
        return {"jobs": [self.jobs[job_id] for job_id in jobs if job_id in self.jobs]}

    def terminate_job(self, *, jobId: str, reason: str) -> dict[str, Any]:  # noqa: N803 - Batch's name
        self._refused("TerminateJob")
        self.terminated.append((jobId, reason))
        self.jobs[jobId]["status"] = "FAILED"
        return {}

    def _refused(self, operation: str) -> None:
        if self.refuse:
            raise ClientError({"Error": {"Code": self.refuse, "Message": "refused by the test"}}, operation)
