"""Jobs of the simulated AWS Batch: definitions, queues, attempts, and how Batch shows them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulation.cloud.aws_event import ACCOUNT, REGION, epoch_ms
from simulation.cloud.batch_retry import DEPLOYED_CONDITIONS, AttemptEnd, Condition
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.interruptions.eventbridge import JobStatus

ENDED: Final = (JobStatus.SUCCEEDED, JobStatus.FAILED)
ATTEMPTS: Final = 10  # of stacks.compute
ATTEMPT_S: Final = 12 * 3600
_PREFIX: Final = f"arn:aws:batch:{REGION}:{ACCOUNT}:"
_SUMMARY: Final = ("jobArn", "jobId", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimQueue:
    """A job queue with its one compute environment."""

    name: str
    lifecycle: Lifecycle
    vcpus_max: int = 16

    @property
    def arn(self) -> str:
        return f"{_PREFIX}job-queue/{self.name}"

    @property
    def environment(self) -> str:
        return f"{self.name}-environment"

    @property
    def environment_arn(self) -> str:
        return f"{_PREFIX}compute-environment/{self.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimJobDefinition:
    """A job definition as the compute stack deploys it."""

    name: str
    revision: int = 1
    vcpus: int = 1
    memory_mib: int = 1800
    timeout_s: int = ATTEMPT_S
    attempts_max: int = ATTEMPTS
    conditions: Sequence[Condition] = DEPLOYED_CONDITIONS
    parameters: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO))

    @property
    def arn(self) -> str:
        return f"{_PREFIX}job-definition/{self.name}:{self.revision}"


@dataclass(slots=True, kw_only=True, eq=False)
class SimAttempt:
    """One try to run a job's container. Moments: virtual microseconds."""

    number: int  # from 1
    instance: SimInstance
    task_id: str
    process: Process | None = None
    started_at: int | None = None
    stopping: bool = False  # SIGTERM was sent
    timed_out: bool = False
    out_of_memory: bool = False
    settled: bool = False  # Batch took note of the end

    def container(self, end: AttemptEnd | None) -> dict[str, Any]:
        """What DescribeJobs says about the container; `end` once there is one."""
        cluster = f"{self.instance.environment}_Batch"
        place = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
        shown: dict[str, Any] = {
            "containerInstanceArn": f"{place}container-instance/{cluster}/{self.instance.id[2:]:0>32}",
            "taskArn": f"{place}task/{cluster}/{self.task_id}",
            "logStreamName": f"worker/default/{self.task_id}",
            "networkInterfaces": [],
        }
        if end is not None and end.exit_code is not None:
            shown["exitCode"] = end.exit_code
        if end is not None and end.reason:
            shown["reason"] = end.reason
        return shown


@dataclass(slots=True, kw_only=True, eq=False)
class SimJob:
    """A job, the parent of an array, or a child of one. Moments: virtual microseconds."""

    id: str
    name: str
    queue: SimQueue
    definition: SimJobDefinition
    parameters: Mapping[str, str]
    attempts_max: int
    conditions: Sequence[Condition]
    timeout_s: int
    tags: Mapping[str, str]
    created_at: int
    memory_mib: int
    variables: Mapping[str, str]  # of the container, besides Batch's own
    parent: "SimJob | None" = None
    index: int | None = None
    children: list["SimJob"] = field(default_factory=list)
    status: JobStatus = JobStatus.SUBMITTED
    status_reason: str = ""
    started_at: int | None = None
    stopped_at: int | None = None
    order: int = 0  # among the runnable; the smallest is next
    placed_on: SimInstance | None = None
    attempt: SimAttempt | None = None
    past: list[dict[str, Any]] = field(default_factory=list)  # ended attempts as Batch shows them
    stop_reason: str = ""  # given by terminate
    is_cancelled: bool = False
    is_terminated: bool = False
    on_sigterm: Callable[[], None] | None = None  # set by whoever starts the container
    shown_conditions: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.shown_conditions = [{key: text.lower() for key, text in one.items()} for one in self.conditions]

    @property
    def arn(self) -> str:
        return f"{_PREFIX}job/{self.id}"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def environment(self, attempt: int) -> dict[str, str]:
        """What Batch puts into the container's environment (Batch user guide, job_env_vars)."""
        variables = {
            "AWS_BATCH_JOB_ID": self.id,
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),
            "AWS_BATCH_JQ_NAME": self.queue.name,
            "AWS_BATCH_CE_NAME": self.queue.environment,
        }
        if self.parent is not None:
            array = {"INDEX": str(self.index), "SIZE": str(len(self.parent.children))}
            variables |= {f"AWS_BATCH_JOB_ARRAY_{name}": value for name, value in array.items()}
        return {**self.variables, **variables}

    def describe(self) -> dict[str, Any]:
        """JobDetail: what DescribeJobs answers and events carry."""
        shown: dict[str, Any] = {
            "jobArn": self.arn,
            "jobName": self.name,
            "jobId": self.id,
            "jobQueue": self.queue.arn,
            "status": str(self.status),
            "attempts": [dict(attempt) for attempt in self.past],
            "createdAt": epoch_ms(self.created_at),
            "retryStrategy": {
                "attempts": self.attempts_max,
                "evaluateOnExit": list(self.shown_conditions),
            },
            "dependsOn": [],
            "jobDefinition": self.definition.arn,
            "parameters": dict(self.parameters),
            "container": self._container(),
            "timeout": {"attemptDurationSeconds": self.timeout_s},
            "tags": {**self.tags, "resourceArn": self.arn},
            "propagateTags": True,
            "platformCapabilities": ["EC2"],
            "isCancelled": self.is_cancelled,
            "isTerminated": self.is_terminated,
        }
        return shown | self._optional()

    def summarize(self) -> dict[str, Any]:
        """JobSummary: what ListJobs answers."""
        shown = self.describe()
        summary: dict[str, Any] = {key: shown[key] for key in (*_SUMMARY, "jobDefinition") if key in shown}
        summary["container"] = {
            key: shown["container"][key] for key in ("exitCode", "reason") if key in shown["container"]
        }
        if "arrayProperties" in shown:
            array = shown["arrayProperties"]
            summary["arrayProperties"] = {key: array[key] for key in ("size", "index") if key in array}
        return summary

    def _optional(self) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        if self.status_reason:
            shown["statusReason"] = self.status_reason
        if self.started_at is not None:
            shown["startedAt"] = epoch_ms(self.started_at)
        if self.stopped_at is not None:
            shown["stoppedAt"] = epoch_ms(self.stopped_at)
        if self.children:
            counts = Counter(child.status for child in self.children)
            shown["arrayProperties"] = {
                "size": len(self.children),
                "statusSummary": {str(status): counts[status] for status in JobStatus},
            }
        elif self.index is not None:
            shown["arrayProperties"] = {"index": self.index, "statusSummary": {}}
        return shown

    def _container(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "image": "public.ecr.aws/docker/library/python:3.13-slim",
            "command": ["python3", "-m", "batch_jobs.worker_main"],
            "volumes": [],
            "environment": [{"name": name, "value": value} for name, value in self.variables.items()],
            "mountPoints": [],
            "ulimits": [],
            "networkInterfaces": [],
            "resourceRequirements": [
                {"value": str(self.definition.vcpus), "type": "VCPU"},
                {"value": str(self.memory_mib), "type": "MEMORY"},
            ],
            "secrets": [],
        }
        if self.attempt is not None:
            return shown | self.attempt.container(None)
        return shown | (self.past[-1]["container"] if self.past else {})
