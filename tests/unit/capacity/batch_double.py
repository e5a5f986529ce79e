"""A Batch that remembers submissions and fails on demand."""

from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError


class FakeBatch:
    """Remembers submitted jobs; `plan` says what happens to the n-th submit: None, "before" or "after" its effect."""

    def __init__(self, plan: list[str | None] | None = None) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.plan = iter(plan or [])

    def submit_job(self, **parameters: Any) -> dict[str, Any]:
        fault = next(self.plan, None)
        if fault == "refused":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "SubmitJob")
        if fault == "before":
            raise EndpointConnectionError(endpoint_url="http://batch")
        job = {"jobId": f"job-{len(self.jobs) + 1}", **parameters}
        self.jobs.append(job)
        if fault == "after":
            raise EndpointConnectionError(endpoint_url="http://batch")
        if fault == "crash":
            raise KeyboardInterrupt
        return job

    def list_jobs(self, *, jobQueue: str, filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        (wanted,) = filters[0]["values"]
        return {
            "jobSummaryList": [job for job in self.jobs if job["jobName"] == wanted and job["jobQueue"] == jobQueue]
        }
