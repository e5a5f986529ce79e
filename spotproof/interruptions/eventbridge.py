"""EventBridge events as values: strict about what we read, tolerant of what we do not know."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from spotproof import contract
from spotproof.errors import EventRejectedError
from spotproof.interruptions.event_fields import EventFields, shown

EVENT_BYTES_MAX: Final = 1_048_576  # an asynchronous Lambda invocation carries no more
PARAMETERS_MAX: Final = 32_768  # SubmitJob's whole payload is at most 30 KiB
ATTEMPTS_MAX: Final = 10  # retryStrategy.attempts of Batch
REQUIREMENTS_MAX: Final = 20  # Batch knows three types of them
MEMORY_MIB_MAX: Final = 10**9
VCPUS_MAX: Final = 10_000

EC2_SOURCE: Final = "aws.ec2"
BATCH_SOURCE: Final = "aws.batch"

INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8,17}")
RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # what workers accept, see worker/planning.py
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(?::[0-9]{1,5})?")
# EC2's own examples name an instance by zone without account as well as by region and account.
_VCPUS: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_INSTANCE_ARN: Final = re.compile(r"arn:aws[a-z-]*:ec2:[a-z0-9-]*:(?:([0-9]{12})?:)?instance/(i-[0-9a-f]{8,17})")


class InstanceState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"

    @property
    def gone(self) -> bool:
        """Whether workers on the instance have ended or are about to."""
        return self not in (InstanceState.PENDING, InstanceState.RUNNING)

    @property
    def may_return(self) -> bool:
        """Whether the same instance id can run again later."""
        return self in (InstanceState.STOPPING, InstanceState.STOPPED)


class InterruptionAction(StrEnum):
    TERMINATE = "terminate"
    STOP = "stop"
    HIBERNATE = "hibernate"


class JobStatus(StrEnum):
    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotWarning:
    """EC2 will take the instance two minutes after `time`."""

    event_id: str
    time: datetime
    instance_id: str
    action: InterruptionAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """The instance is at elevated risk; nothing is decided."""

    event_id: str
    time: datetime
    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStateChange:
    event_id: str
    time: datetime
    instance_id: str
    state: InstanceState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAttempt:
    """One try of Batch to run the container. A host that vanished leaves no exit code."""

    started_at: datetime | None
    stopped_at: datetime | None
    exit_code: int | None
    reason: str  # of the container, e.g. OutOfMemoryError: ...
    status_reason: str  # of the task, e.g. Host EC2 (instance i-...) terminated.


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStateChange:
    """A Batch job moved on. `array_size` marks a parent, `array_index` a child, neither a single job."""

    event_id: str
    time: datetime
    job_id: str
    job_name: str
    job_queue: str  # name or ARN
    job_definition: str
    status: JobStatus
    status_reason: str
    attempts: tuple[JobAttempt, ...]
    attempts_max: int
    parameters: Mapping[str, str]
    array_size: int | None
    array_index: int | None
    cancelled: bool
    terminated: bool
    memory_mib: int | None = None  # that the job reserved
    vcpus: float = 1.0  # the same
    share: str = ""  # of those who share the queue; empty: nobody does
    tags: Mapping[str, str] = field(default_factory=dict)  # those that a submitter may set

    @property
    def is_array_parent(self) -> bool:
        return self.array_size is not None and self.array_index is None

    @property
    def parent_job_id(self) -> str:
        return self.job_id.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueueBlocked:
    """Nothing can start in a queue: its first job waits, and Batch says why."""

    event_id: str
    time: datetime
    job_id: str
    job_queue: str  # name or ARN
    reason: str  # begins with a code such as CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY

    @property
    def queue_name(self) -> str:
        return self.job_queue.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """Ours: all stripes of the run are closed, it wants finalizing."""

    event_id: str
    time: datetime
    run_id: str


def run_finished_detail(run_id: str) -> str:
    """The `Detail` of a PutEvents entry with source EVENT_SOURCE and detail type DETAIL_RUN_FINISHED."""
    return json.dumps({"schema": 1, "run_id": run_id})


def parse_spot_warning(event: object, *, account: str, now: datetime) -> SpotWarning:
    """Parse an EC2 Spot Instance Interruption Warning.

    Args:
        event: the JSON value that Lambda received.
        account: the account this code runs in, 12 digits; events of others are refused.
        now: to refuse times from the future.

    Raises:
        EventRejectedError: forged or malformed; one line says which field.
    """
    envelope = _envelope(event, EC2_SOURCE, contract.DETAIL_SPOT_WARNING, account=account, now=now)
    return SpotWarning(
        event_id=envelope.event_id,
        time=envelope.time,
        instance_id=_instance_id(envelope, account),
        action=envelope.detail.choice("instance-action", InterruptionAction),
    )


def parse_rebalance(event: object, *, account: str, now: datetime) -> Rebalance:
    """Parse an EC2 Instance Rebalance Recommendation; arguments and errors as parse_spot_warning."""
    envelope = _envelope(event, EC2_SOURCE, contract.DETAIL_REBALANCE, account=account, now=now)
    return Rebalance(event_id=envelope.event_id, time=envelope.time, instance_id=_instance_id(envelope, account))


def parse_instance_state(event: object, *, account: str, now: datetime) -> InstanceStateChange:
    """Parse an EC2 Instance State-change Notification; arguments and errors as parse_spot_warning."""
    envelope = _envelope(event, EC2_SOURCE, contract.DETAIL_INSTANCE_STATE, account=account, now=now)
    return InstanceStateChange(
        event_id=envelope.event_id,
        time=envelope.time,
        instance_id=_instance_id(envelope, account),
        state=envelope.detail.choice("state", InstanceState),
    )


def parse_run_finished(event: object, *, account: str, now: datetime) -> RunFinished:
    """Parse our own Run Finished event; arguments and errors as parse_spot_warning."""
    envelope = _envelope(event, contract.EVENT_SOURCE, contract.DETAIL_RUN_FINISHED, account=account, now=now)
    return RunFinished(
        event_id=envelope.event_id, time=envelope.time, run_id=envelope.detail.matching("run_id", RUN_ID)
    )


def parse_job_state(event: object, *, account: str, now: datetime) -> JobStateChange:
    """Parse a Batch Job State Change (detail = JobDetail of the Batch API); arguments and errors as parse_spot_warning."""
    envelope = _envelope(event, BATCH_SOURCE, contract.DETAIL_BATCH_JOB_STATE, account=account, now=now)
    return _job(envelope.detail, event_id=envelope.event_id, time=envelope.time, account=account, now=now)


def parse_described_job(described: object, *, event_id: str, account: str, now: datetime) -> JobStateChange:
    """Parse one of `jobs` of DescribeJobs, whose shape is that of an event's detail; at the time of its end.

    Args:
        described: the job; `stoppedAt` is its time, or now while it goes on.
        event_id: of the event that made us ask.
        account, now: as of parse_spot_warning.

    Raises:
        EventRejectedError: Batch says what no job can be.
    """
    detail = EventFields("job", described)
    time = detail.optional_moment_ms("stoppedAt", now) or now
    return _job(detail, event_id=event_id, time=time, account=account, now=now)


def _job(detail: EventFields, *, event_id: str, time: datetime, account: str, now: datetime) -> JobStateChange:
    array = detail.optional_object("arrayProperties")
    attempts = detail.objects("attempts", count_max=ATTEMPTS_MAX)
    return JobStateChange(
        event_id=event_id,
        time=time,
        job_id=detail.matching("jobId", _JOB_ID),
        job_name=detail.text("jobName"),
        job_queue=_own_arn(detail, "jobQueue", account),
        job_definition=_own_arn(detail, "jobDefinition", account),
        status=detail.choice("status", JobStatus),
        status_reason=detail.optional_text("statusReason"),
        attempts=tuple(_attempt(attempt, now) for attempt in attempts),
        attempts_max=detail.optional_object("retryStrategy").optional_int("attempts", 1, 1_000) or 1,
        parameters=_parameters(detail.optional_object("parameters")),
        array_size=array.optional_int("size", 0, 10_000) or None,
        array_index=array.optional_int("index", 0, 9_999),
        cancelled=detail.flag("isCancelled"),
        terminated=detail.flag("isTerminated"),
        memory_mib=_memory_mib(detail.optional_object("container")),
        vcpus=_vcpus(detail.optional_object("container")),
        share=_share(detail),
        tags=_tags(detail.optional_object("tags")),
    )


def parse_queue_blocked(event: object, *, account: str, now: datetime) -> JobQueueBlocked:
    """Parse a Batch Job Queue Blocked event (detail = JobDetail of the job at the head); as parse_spot_warning."""
    envelope = _envelope(event, BATCH_SOURCE, contract.DETAIL_QUEUE_BLOCKED, account=account, now=now)
    return JobQueueBlocked(
        event_id=envelope.event_id,
        time=envelope.time,
        job_id=envelope.detail.matching("jobId", _JOB_ID),
        job_queue=_own_arn(envelope.detail, "jobQueue", account),
        reason=envelope.detail.text("statusReason"),
    )


def _tags(fields: EventFields) -> Mapping[str, str]:
    """Without the resource's ARN, which Batch adds to the tags of its events, and names that AWS keeps for itself."""
    tags = _parameters(fields)
    return {name: value for name, value in tags.items() if name != "resourceArn" and not name.startswith("aws:")}


def _memory_mib(container: EventFields) -> int | None:
    """From the container's requirements, or from the older field beside them; None if neither says."""
    for need in container.objects("resourceRequirements", count_max=REQUIREMENTS_MAX):
        value = need.optional_text("value")
        if need.optional_text("type") == "MEMORY" and value.isascii() and value.isdigit():
            return int(value[:9]) or None
    return container.optional_int("memory", 0, MEMORY_MIB_MAX) or None


def _vcpus(container: EventFields) -> float:
    """From the container's requirements, or from the older field beside them; 1 if neither says."""
    for need in container.objects("resourceRequirements", count_max=REQUIREMENTS_MAX):
        value = need.optional_text("value")
        if need.optional_text("type") == "VCPU" and _VCPUS.fullmatch(value):
            return float(value)
    return float(container.optional_int("vcpus", 0, VCPUS_MAX) or 1)


def _share(detail: EventFields) -> str:
    """Empty for one that nobody could have submitted with."""
    text = detail.optional_text("shareIdentifier")
    return text if re.fullmatch(contract.SHARE_NAME, text) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    event_id: str
    time: datetime
    resources: tuple[str, ...]
    detail: EventFields


def _envelope(event: object, source: str, detail_type: str, *, account: str, now: datetime) -> _Envelope:
    _check_size(event)
    fields = EventFields("event", event)
    for name, expected in (("source", source), ("detail-type", detail_type)):
        if fields.text(name) != expected:
            raise EventRejectedError(f"event.{name} must be {expected}, got {shown(fields.values[name])}")
    if fields.matching("account", _ACCOUNT) != account:
        raise EventRejectedError(f"event.account is {fields.text('account')}, this is account {account}")
    resources = fields.values.get("resources", [])
    if not isinstance(resources, list) or not all(isinstance(item, str) for item in resources):
        raise EventRejectedError(f"event.resources must be a list of texts, got {shown(resources)}")
    return _Envelope(
        event_id=fields.text("id"),
        time=fields.moment("time", now),
        resources=tuple(resources),
        detail=EventFields("event.detail", fields.values.get("detail")),
    )


def _check_size(event: object) -> None:
    try:
        size_bytes = len(json.dumps(event))
    except (TypeError, ValueError, RecursionError):
        raise EventRejectedError("event is not a JSON value of sensible depth") from None
    if size_bytes > EVENT_BYTES_MAX:
        raise EventRejectedError(f"event has {size_bytes} bytes, more than the {EVENT_BYTES_MAX} EventBridge delivers")


def _instance_id(envelope: _Envelope, account: str) -> str:
    """The instance the detail names; resources, where given, must name the same one."""
    instance_id = envelope.detail.matching("instance-id", INSTANCE_ID)
    for resource in envelope.resources:
        match = _INSTANCE_ARN.fullmatch(resource)
        if match is None or match[2] != instance_id or (match[1] or account) != account:
            raise EventRejectedError(f"event.resources names {shown(resource)}, the detail names {instance_id}")
    return instance_id


def _own_arn(detail: EventFields, name: str, account: str) -> str:
    """A name, or an ARN within the account."""
    value = detail.text(name)
    if value.startswith("arn:") and value.split(":")[4:5] != [account]:
        raise EventRejectedError(f"{detail.where}.{name} is not of account {account}: {shown(value)}")
    return value


def _parameters(fields: EventFields) -> Mapping[str, str]:
    total = 0
    for key, value in fields.values.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise EventRejectedError(f"{fields.where} must map texts to texts, got {shown(value)} for {shown(key)}")
        total += len(key) + len(value)
    if total > PARAMETERS_MAX:
        raise EventRejectedError(f"{fields.where} has {total} characters, Batch allows fewer than {PARAMETERS_MAX}")
    return {str(key): str(value) for key, value in fields.values.items()}


def _attempt(fields: EventFields, now: datetime) -> JobAttempt:
    container = _attempt_container(fields)
    return JobAttempt(
        started_at=fields.optional_moment_ms("startedAt", now),
        stopped_at=fields.optional_moment_ms("stoppedAt", now),
        exit_code=container.optional_int("exitCode", -(2**31), 2**31 - 1),
        reason=container.optional_text("reason"),
        status_reason=fields.optional_text("statusReason"),
    )


def _attempt_container(fields: EventFields) -> EventFields:
    """`container` for containerProperties; with ecsProperties it is empty and taskProperties[0] holds the containers."""
    container = fields.optional_object("container")
    if container.values:
        return container
    for task in fields.objects("taskProperties", count_max=10):
        for inner in task.objects("containers", count_max=100):
            return inner
    return container
