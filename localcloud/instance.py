"""One instance of the fleet."""

import secrets
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from localcloud.catalog import InstanceType
from localcloud.market import Pool

if TYPE_CHECKING:
    from localcloud.executor import Task


class State(StrEnum):
    """EC2's instance states, as far as the fleet uses them."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


STATE_CODES = {State.PENDING: 0, State.RUNNING: 16, State.SHUTTING_DOWN: 32, State.TERMINATED: 48}


class Lifecycle(StrEnum):
    """How the instance is paid; the words are those of instance metadata."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


class MetadataMode(StrEnum):
    """How the instance metadata service behaves for this instance."""

    OK = "ok"
    REFUSED = "refused"  # connections are closed without an answer
    TIMEOUT = "timeout"  # connections hang


# By what the fleet did to an instance: the code of StateReason in EC2's Instance type.
_REASON_CODES = {"reclaimed": "Server.SpotInstanceTermination", "killed": "Server.InternalError"}


def reason_code(why: str) -> str:
    """EC2's code for why an instance is gone: taken back, lost, or else terminated by Batch or by a person."""
    return _REASON_CODES.get(why, "Client.UserInitiatedShutdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What a compute environment asks the fleet for."""

    environment: str
    cluster: str
    account: str
    region: str
    lifecycle: Lifecycle
    pool: Pool
    instance_role: str | None
    tags: dict[str, str]
    fargate: bool = False  # for one task, and nobody sees an instance


def new_instance_id() -> str:
    """`i-` and 17 hexadecimal digits."""
    return "i-" + secrets.token_hex(9)[:17]


@dataclass(slots=True, kw_only=True, eq=False)
class Instance:
    """A directory, process groups, and what EC2, ECS and the metadata service say about them. Times: s since 1970."""

    id: str
    request: LaunchRequest
    launched_at: float
    private_ip: str = ""
    state: State = State.PENDING
    running_at: float | None = None
    ended_at: float | None = None
    draining: bool = False
    outdated: bool = False  # its environment was updated: it goes as soon as it is idle
    rebalance_at: float | None = None
    reclaim_at: float | None = None  # set by the notice
    metadata: MetadataMode = MetadataMode.OK
    idle_since: float = 0.0
    state_reason: str = ""  # EC2's code; empty while it lives
    vcpus_used: int = 0
    memory_used_mib: int = 0
    tasks: dict[str, "Task"] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)  # the emulator's EC2 record
    arn: str = field(init=False)
    container_instance_arn: str = field(init=False)

    def __post_init__(self) -> None:
        place = f"{self.request.region}:{self.request.account}"
        self.arn = f"arn:aws:ec2:{place}:instance/{self.id}"
        self.container_instance_arn = (
            f"arn:aws:ecs:{place}:container-instance/{self.request.cluster}/{uuid.uuid4().hex}"
        )

    @property
    def type(self) -> InstanceType:
        return self.request.pool.type

    @property
    def zone(self) -> str:
        return self.request.pool.zone

    @property
    def is_spot(self) -> bool:
        return self.request.lifecycle is Lifecycle.SPOT

    @property
    def is_fargate(self) -> bool:
        return self.request.fargate

    @property
    def is_live(self) -> bool:
        return self.state in (State.PENDING, State.RUNNING)

    def has_room(self, *, vcpus: int, memory_mib: int) -> bool:
        """Whether a job of this size can be placed here now."""
        return (
            self.is_live
            and not self.draining
            and self.type.vcpus - self.vcpus_used >= vcpus
            and self.type.registered_memory_mib - self.memory_used_mib >= memory_mib
        )

    def occupy(self, *, vcpus: int, memory_mib: int) -> None:
        self.vcpus_used += vcpus
        self.memory_used_mib += memory_mib

    def vacate(self, *, vcpus: int, memory_mib: int, now: float) -> None:
        self.vcpus_used -= vcpus
        self.memory_used_mib -= memory_mib
        self.idle_since = now

    def describe(self) -> dict[str, Any]:
        """The instance as the admin API shows it."""
        return {
            "id": self.id,
            "type": self.type.name,
            "az": self.zone,
            "lifecycle": str(self.request.lifecycle),
            "environment": self.request.environment,
            "price_usd": self.request.pool.price_usd,
            "on_demand_usd": self.type.on_demand_usd,
            "vcpus": self.type.vcpus,
            "vcpus_used": self.vcpus_used,
            "state": str(self.state),
            "draining": self.draining,
            "outdated": self.outdated,
            "launched_at": self.launched_at,
            "running_at": self.running_at,
            "ended_at": self.ended_at,
            "rebalance_at": self.rebalance_at,
            "reclaim_at": self.reclaim_at,
            "metadata": str(self.metadata),
            "jobs": [task.job_id for task in self.tasks.values()],
            "pids": [task.pid for task in self.tasks.values()],
        }
