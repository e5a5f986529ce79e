"""A queue with its jobs and environments, as Batch, Auto Scaling and EC2 describe them to who asks rightly."""

from collections import Counter
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

_SERVICES = {name: botocore.session.get_session().get_service_model(name) for name in ("batch", "autoscaling", "ec2")}
_SIZES = {"m5.large": (2, 8192), "m5.xlarge": (4, 16384), "c5.large": (2, 4096)}


def arn(kind: str, name: str) -> str:
    return f"arn:aws:batch:us-east-1:123456789012:{kind}/{name}"


class FakeAws:
    """One client for the three services; `refuse` makes an operation fail with an error code."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.front: list[str] = []
        self.environments: dict[str, dict[str, Any]] = {}
        self.queues: dict[str, dict[str, Any]] = {}
        self.activities: list[dict[str, Any]] = []
        self.refuse: dict[str, str] = {}
        self.calls: Counter[str] = Counter()

    def add_environment(self, name: str, **changes: Any) -> None:
        resources = {"type": "SPOT", "maxvCpus": 256, "desiredvCpus": 2, "instanceTypes": ["m5.large"]}
        self.environments[name] = {
            "computeEnvironmentName": name, "computeEnvironmentArn": arn("compute-environment", name),
            "state": "ENABLED", "status": "VALID", "statusReason": "ComputeEnvironment Healthy",
            **changes, "computeResources": {**resources, **changes.get("computeResources", {})},
        }  # fmt: skip

    def add_queue(self, name: str, *environments: str, **changes: Any) -> None:
        order = [
            {"order": place, "computeEnvironment": arn("compute-environment", each)}
            for place, each in enumerate(environments, start=1)
        ]
        self.queues[name] = {
            "jobQueueName": name, "jobQueueArn": arn("job-queue", name), "state": "ENABLED", "status": "VALID",
            "priority": 1, "computeEnvironmentOrder": list(reversed(order)), **changes,
        }  # fmt: skip

    def add_job(self, job_id: str, *, queue: str = "spot", in_front: bool = True, **changes: Any) -> None:
        requirements = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
        self.jobs[job_id] = {
            "jobId": job_id, "jobArn": arn("job", job_id), "jobQueue": arn("job-queue", queue), "status": "RUNNABLE",
            "createdAt": 0, "parameters": {"run": "run-1"}, "attempts": [],
            "container": {"resourceRequirements": requirements}, **changes,
        }  # fmt: skip
        if in_front:
            self.front.append(job_id)

    def add_array(self, job_id: str, *, waiting: int, running: int = 0, in_front: int, **of_children: Any) -> None:
        summary = {"RUNNABLE": waiting, "RUNNING": running, "SUCCEEDED": 0}
        array = {"size": waiting + running, "statusSummary": summary}
        self.add_job(job_id, in_front=False, status="PENDING", arrayProperties=array)
        for index in range(in_front):
            self.add_job(f"{job_id}:{index}", arrayProperties={"index": index}, **of_children)

    def launched(self, group: str, at: datetime, message: str = "", *, code: str = "") -> None:
        told = {"StatusMessage": message} if message else {}
        self.activities.append(
            {
                "AutoScalingGroupName": group, "StartTime": at,
                "StatusCode": code or ("Failed" if message else "Successful"), **told,
            }
        )  # fmt: skip

    # The operations.

    def get_job_queue_snapshot(self, **parameters: Any) -> Any:
        self._called("batch", "GetJobQueueSnapshot", parameters)
        jobs = [{"jobArn": self.jobs[job_id]["jobArn"], "earliestTimeAtPosition": 0} for job_id in self.front]
        return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": 0}}

    def describe_jobs(self, **parameters: Any) -> Any:
        self._called("batch", "DescribeJobs", parameters)
        assert 1 <= len(parameters["jobs"]) <= 100
        return {"jobs": [self.jobs[job_id] for job_id in parameters["jobs"] if job_id in self.jobs]}

    def describe_job_queues(self, **parameters: Any) -> Any:
        self._called("batch", "DescribeJobQueues", parameters)
        wanted = [one.rpartition("/")[2] for one in parameters["jobQueues"]]
        return {"jobQueues": [self.queues[name] for name in wanted if name in self.queues]}

    def describe_compute_environments(self, **parameters: Any) -> Any:
        self._called("batch", "DescribeComputeEnvironments", parameters)
        wanted = [one.rpartition("/")[2] for one in parameters["computeEnvironments"]]
        return {"computeEnvironments": [each for name, each in self.environments.items() if name in wanted]}

    def describe_scaling_activities(self, **parameters: Any) -> Any:
        self._called("autoscaling", "DescribeScalingActivities", parameters)
        (bound,) = (each["Values"][0] for each in parameters["Filters"] if each["Name"] == "StartTimeLowerBound")
        since = datetime.fromisoformat(bound.replace("Z", "+00:00"))
        return {"Activities": [each for each in self.activities if each["StartTime"] >= since]}

    def describe_instance_types(self, **parameters: Any) -> Any:
        self._called("ec2", "DescribeInstanceTypes", parameters)
        patterns = parameters["Filters"][0]["Values"]
        found = [name for name in sorted(_SIZES) if any(fnmatchcase(name, pattern) for pattern in patterns)]
        first = int(parameters.get("NextToken", 0))
        page = {
            "InstanceTypes": [
                {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": vcpus}, "MemoryInfo": {"SizeInMiB": memory_mib}}
                for name, (vcpus, memory_mib) in ((name, _SIZES[name]) for name in found[first : first + 2])
            ]
        }
        return page if first + 2 >= len(found) else {**page, "NextToken": str(first + 2)}

    def _called(self, service: str, operation: str, parameters: dict[str, Any]) -> None:
        shape = _SERVICES[service].operation_model(operation).input_shape
        assert shape is not None
        validate_parameters(parameters, shape)
        self.calls[operation] += 1
        if operation in self.refuse:
            raise ClientError({"Error": {"Code": self.refuse[operation], "Message": "no"}}, operation)
