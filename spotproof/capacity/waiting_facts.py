"""What is known about workers that have not started, and about the queue they wait in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# What the ECS agent registers of a host's memory: 7985 MiB of an 8192 MiB m4.large, less 32 that stay reserved
# (compute resource memory management, Batch user guide).
MEMORY_OFFERED: Final = 0.975
MEMORY_RESERVED_MIB: Final = 32

# How Batch begins a job's statusReason (jobs stuck in RUNNABLE, Batch user guide).
REASON_CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
REASON_TOO_BIG: Final = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
REASON_MAX_VCPUS: Final = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
REASON_MISCONFIGURATION: Final = "MISCONFIGURATION:"
REASON_SERVICE_ROLE: Final = "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"
REASON_ACTION_REQUIRED: Final = "ACTION_REQUIRED"
REASON_UNDETERMINED: Final = "UNDETERMINED"
_BLOCKING: Final = ("CAPACITY:", REASON_MISCONFIGURATION, REASON_ACTION_REQUIRED, REASON_UNDETERMINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSize:
    """An instance type that an environment may launch."""

    name: str
    vcpus: int
    memory_mib: int  # nominal

    def holds(self, *, vcpus: int, memory_mib: int) -> bool:
        """Whether a job of this size fits an empty instance."""
        return vcpus <= self.vcpus and memory_mib <= self.memory_offered_mib

    @property
    def memory_offered_mib(self) -> int:
        """What is left of it for jobs, about."""
        return int(self.memory_mib * MEMORY_OFFERED) - MEMORY_RESERVED_MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFacts:
    """A compute environment as Batch, EC2 and Auto Scaling describe it."""

    name: str
    state: str  # ENABLED, DISABLED
    status: str  # CREATING, UPDATING, DELETING, DELETED, VALID, INVALID
    status_reason: str
    is_spot: bool
    vcpus_max: int
    vcpus_desired: int
    sizes: tuple[InstanceSize, ...] = ()  # of its types; empty when they could not be read
    launch_failures: tuple[str, ...] = ()  # EC2's words, newest first, since it last launched an instance

    @property
    def is_usable(self) -> bool:
        """Whether Batch places jobs in it."""
        return self.state == "ENABLED" and self.status in ("VALID", "UPDATING")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A job queue and its compute environments, in the order they are tried."""

    name: str
    state: str
    status: str
    environments: tuple[EnvironmentFacts, ...]
    cancel_after_s: Mapping[str, int] = field(default_factory=dict)  # by the reason that the queue cancels for
    unread: tuple[str, ...] = ()  # what AWS would not tell: "autoscaling:DescribeScalingActivities (AccessDenied)"

    @property
    def usable(self) -> tuple[EnvironmentFacts, ...]:
        return tuple(environment for environment in self.environments if environment.is_usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadFacts:
    """The job at the head of the queue."""

    job_id: str
    reason: str  # its statusReason


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFacts:
    """Workers of one Batch job that have not started, all for the same reason."""

    job_id: str  # of the array, or of the job itself
    run_id: str
    workers: int
    status: str  # SUBMITTED, PENDING, RUNNABLE, STARTING
    reason: str  # Batch's statusReason; it gives one to the head of a queue only
    waited_s: float  # since it was submitted or its last attempt ended
    vcpus: int
    memory_mib: int
    queue: QueueFacts
    ahead: AheadFacts | None = None  # None: it is the head itself, or the head is not known

    @property
    def blocking_reason(self) -> str:
        """Why Batch says that the job blocks its queue, if it does; a retried job still tells of its last attempt."""
        return self.reason if self.reason.startswith(_BLOCKING) else ""

    @property
    def queue_reason(self) -> str:
        """The same, if need be of the head of the queue: unless it is about that job's own size."""
        if self.blocking_reason or self.ahead is None:
            return self.blocking_reason
        return "" if self.ahead.reason.startswith((REASON_TOO_BIG, REASON_MAX_VCPUS)) else self.ahead.reason
