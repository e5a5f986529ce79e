"""Jobs and their attempts."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from localcloud.executor import Task
from localcloud.instance import Instance
from localcloud.reactor import Timer

DEFAULT_LOG_GROUP = "/aws/batch/job"


class Status(StrEnum):
    """Batch's job states, in order."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


ENDED = (Status.SUCCEEDED, Status.FAILED)


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """The running attempt of a job."""

    instance: Instance
    task_id: str
    log_stream: str
    task: Task | None = None
    started_ms: int | None = None
    timed_out: bool = False
    timeout: Timer | None = None

    @property
    def task_arn(self) -> str:
        request = self.instance.request
        return f"arn:aws:ecs:{request.region}:{request.account}:task/{request.cluster}/{self.task_id}"

    def container(self) -> dict[str, Any]:
        """The identifiers that DescribeJobs and attempts carry."""
        return {
            "containerInstanceArn": self.instance.container_instance_arn,
            "taskArn": self.task_arn,
            "logStreamName": self.log_stream,
        }


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One job, array parent or array child. Times: ms since 1970."""

    id: str
    name: str
    account: str
    region: str
    queue_arn: str
    definition_arn: str
    container: dict[str, Any]
    vcpus: int
    memory_mib: int
    attempts_max: int
    conditions: list[dict[str, str]]
    timeout_s: int | None
    parameters: dict[str, str]
    depends_on: list[dict[str, str]]
    tags: dict[str, str]
    propagate_tags: bool
    created_ms: int
    share: str = ""  # whose part of a shared queue; empty: nobody shares it
    status: Status = Status.SUBMITTED
    status_reason: str | None = None
    started_ms: int | None = None
    stopped_ms: int | None = None
    runnable_since: float = 0.0
    order: int = 0  # position among the runnable; smaller is earlier
    past: list[dict[str, Any]] = field(default_factory=list)  # ended attempts, as described
    attempt: Attempt | None = None
    placed_on: Instance | None = None
    stop_reason: str | None = None  # given by cancel or terminate
    is_cancelled: bool = False
    is_terminated: bool = False
    parent: "Job | None" = None
    children: list["Job"] = field(default_factory=list)
    index: int | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:batch:{self.region}:{self.account}:job/{self.id}"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_sequential(self) -> bool:
        """Whether an array's children run one after the other."""
        return any(link.get("type") == "SEQUENTIAL" for link in self.depends_on)

    def log_options(self) -> dict[str, str]:
        configuration = self.container.get("logConfiguration") or {}
        return dict(configuration.get("options") or {})

    def describe(self) -> dict[str, Any]:
        """The job as DescribeJobs and the state-change events show it."""
        shown: dict[str, Any] = {
            "jobArn": self.arn,
            "jobName": self.name,
            "jobId": self.id,
            "jobQueue": self.queue_arn,
            "status": str(self.status),
            "attempts": [dict(attempt) for attempt in self.past],
            "createdAt": self.created_ms,
            "retryStrategy": {
                "attempts": self.attempts_max,
                "evaluateOnExit": [{key: value.lower() for key, value in one.items()} for one in self.conditions],
            },
            "dependsOn": list(self.depends_on),
            "jobDefinition": self.definition_arn,
            "parameters": dict(self.parameters),
            "container": self._container(),
            "tags": {**self.tags, "resourceArn": self.arn},
            "propagateTags": self.propagate_tags,
            "platformCapabilities": ["FARGATE" if "fargatePlatformConfiguration" in self.container else "EC2"],
            "isCancelled": self.is_cancelled,
            "isTerminated": self.is_terminated,
        }
        optional = {
            "statusReason": self.status_reason,
            "shareIdentifier": self.share or None,
            "startedAt": self.started_ms,
            "stoppedAt": self.stopped_ms,
            "timeout": {"attemptDurationSeconds": self.timeout_s} if self.timeout_s else None,
            "arrayProperties": self._array(),
        }
        return shown | {key: value for key, value in optional.items() if value is not None}

    def summarize(self) -> dict[str, Any]:
        """The job as ListJobs shows it."""
        shown = self.describe()
        keys = ("jobArn", "jobId", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt")
        summary = {key: shown[key] for key in keys if key in shown} | {"jobDefinition": self.definition_arn}
        container = {key: shown["container"][key] for key in ("exitCode", "reason") if key in shown["container"]}
        summary["container"] = container
        if "arrayProperties" in shown:
            array = shown["arrayProperties"]
            summary["arrayProperties"] = {key: array[key] for key in ("size", "index") if key in array}
        return summary

    def _container(self) -> dict[str, Any]:
        shown = {"volumes": [], "environment": [], "mountPoints": [], "ulimits": [], "secrets": [], **self.container}
        shown["networkInterfaces"] = []
        if self.attempt is not None:
            return shown | self.attempt.container()
        return shown | (self.past[-1]["container"] if self.past else {})

    def _array(self) -> dict[str, Any] | None:
        if self.children:
            counts = Counter(child.status for child in self.children)
            return {"size": len(self.children), "statusSummary": {str(status): counts[status] for status in Status}}
        return None if self.index is None else {"index": self.index, "statusSummary": {}}
