"""One EC2 instance of a simulated world."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulation.cloud.aws_event import ACCOUNT, REGION
from simulation.kernel.process import Process
from spotproof.interruptions.eventbridge import InstanceState

_LIVE: Final = (InstanceState.PENDING, InstanceState.RUNNING)


class Lifecycle(StrEnum):
    """How an instance is paid; the words are those of instance metadata."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


@dataclass(slots=True, kw_only=True, eq=False)
class SimInstance:
    """What runs on it, and what EC2 and its metadata service say about it. Moments: virtual microseconds."""

    id: str
    type: str
    zone: str
    lifecycle: Lifecycle
    vcpus: int
    environment: str  # compute environment of Batch that asked for it
    launched_at: int
    state: InstanceState = InstanceState.PENDING
    state_reason: str = ""  # EC2's code for why it ended, which EC2 shows once it knows of the end
    powered: bool = True  # False: everything on it is dead, whatever EC2 says yet
    draining: bool = False  # ECS places nothing more on it
    running_at: int | None = None
    ended_at: int | None = None
    idle_since: int = 0
    vcpus_used: int = 0
    rebalance_at: int | None = None  # the recommendation's noticeTime
    reclaim_at: int | None = None  # the notice's time
    notice_seen_from: int | None = None  # metadata shows the notice from then on; None: never
    metadata_back_at: int = 0  # metadata answers nothing before
    processes: list[Process] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{self.id}"

    @property
    def is_live(self) -> bool:
        """Whether containers can run on it now or after its start."""
        return self.powered and self.state in _LIVE

    @property
    def is_running(self) -> bool:
        return self.powered and self.state is InstanceState.RUNNING

    def has_room(self, vcpus: int) -> bool:
        return self.is_live and not self.draining and self.vcpus - self.vcpus_used >= vcpus
