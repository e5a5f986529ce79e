"""The event route table: which event reaches which function, what that may do, and how long it is worth trying."""

from collections.abc import Sequence
from dataclasses import dataclass

from spotproof import contract
from stacks.grants import Grant

NOTICE_S = 120  # a spot notice is two minutes ahead of the end; after it, the state change event takes over
HINT_S = 20 * 60  # a rebalance recommendation expires
HOUR_S = 3600
DAY_S = 86_400  # the longest EventBridge keeps trying
LAMBDA_AGE_S_MAX = 21_600  # the longest Lambda keeps an event
HOST_GRANTS = (Grant.HOSTS_FIND, Grant.SHARDS_READ, Grant.SHARDS_WRITE)  # the sessions on a host, and what they hold


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRoute:
    """One kind of event (or a schedule), its handler, and the handler's rights."""

    name: str  # construct id: an external contract, do not rename
    handler: str
    grants: tuple[Grant, ...]
    source: str = ""
    detail_type: str = ""
    states: tuple[str, ...] = ()  # detail.state of an instance
    job_statuses: tuple[str, ...] = ()  # detail.status of a job of our queues
    our_queues: bool = False  # any event about one of our queues
    every_minutes: int = 0  # a schedule instead of a pattern
    age_s_max: int  # an older event is dead-lettered instead of delivered
    deliveries: int  # EventBridge's tries to hand over
    retries: int = 2  # Lambda's, after one and then two more minutes
    timeout_s: int = 30
    memory_mib: int = 256

    def detail(self, queue_arns: Sequence[str]) -> dict[str, list[str]]:
        """Values that fields of the event's detail must have, one of them each; `queue_arns`: our job queues."""
        detail: dict[str, list[str]] = {}
        if self.states:
            detail["state"] = list(self.states)
        if self.job_statuses:
            detail["status"] = list(self.job_statuses)
        if self.job_statuses or self.our_queues:
            detail["jobQueue"] = list(queue_arns)
        return detail


EVENT_ROUTES = (
    EventRoute(
        name="SpotInterruption",
        source="aws.ec2",
        detail_type=contract.DETAIL_SPOT_WARNING,
        handler="lambdas.spot_interruption.handler",
        grants=(*HOST_GRANTS, Grant.STOP_FILES_WRITE),
        age_s_max=NOTICE_S,
        deliveries=10,
        memory_mib=512,  # more memory is more CPU: two minutes are running
    ),
    EventRoute(
        name="RebalanceRecommendation",
        source="aws.ec2",
        detail_type=contract.DETAIL_REBALANCE,
        handler="lambdas.rebalance_recommendation.handler",
        grants=(*HOST_GRANTS, Grant.STOP_FILES_WRITE),
        age_s_max=HINT_S,
        deliveries=10,
    ),
    EventRoute(
        name="InstanceStateChange",
        source="aws.ec2",
        detail_type=contract.DETAIL_INSTANCE_STATE,
        states=("shutting-down", "terminated", "stopping", "stopped"),
        handler="lambdas.instance_state_change.handler",
        grants=(*HOST_GRANTS, Grant.ROWS_ADD, Grant.HOSTS_READ),
        age_s_max=DAY_S,
        deliveries=185,
    ),
    EventRoute(
        name="JobStateChange",
        source="aws.batch",
        detail_type=contract.DETAIL_BATCH_JOB_STATE,
        job_statuses=("FAILED",),  # success tells nothing: only counted shards end a run
        handler="lambdas.job_state_change.handler",
        grants=(
            Grant.SHARDS_READ,
            Grant.SHARDS_LIST,
            Grant.SHARDS_WRITE,
            Grant.ROWS_ADD,
            Grant.BATCH_SUBMIT,
            Grant.JOBS_READ,
            Grant.EC2_PRICES,
        ),
        age_s_max=DAY_S,
        deliveries=185,
    ),
    EventRoute(
        name="QueueBlocked",
        source="aws.batch",
        detail_type=contract.DETAIL_QUEUE_BLOCKED,
        our_queues=True,
        handler="lambdas.queue_blocked.handler",
        grants=(Grant.SHARDS_READ, Grant.SHARDS_WRITE, Grant.ROWS_ADD, Grant.ON_DEMAND_SUBMIT, Grant.QUEUES_READ),
        age_s_max=HOUR_S,  # the controller finds by itself what waits for so long
        deliveries=185,
    ),
    EventRoute(
        name="RunFinished",
        source=contract.EVENT_SOURCE,
        detail_type=contract.DETAIL_RUN_FINISHED,
        handler="lambdas.finalizer.handler",
        grants=(*HOST_GRANTS, Grant.SHARDS_LIST, Grant.OUTPUT_PUBLISH, Grant.EC2_PRICES),
        age_s_max=DAY_S,
        deliveries=185,
        timeout_s=900,
        memory_mib=512,
    ),
    EventRoute(
        name="Controller",
        every_minutes=1,
        handler="lambdas.controller.handler",
        grants=(
            Grant.SHARDS_READ,
            Grant.SHARDS_LIST,
            Grant.SHARDS_WRITE,
            Grant.ROWS_ADD,
            Grant.RUNS_FIND,
            Grant.CLAIMABLE_FIND,
            Grant.BATCH_SUBMIT,
            Grant.BATCH_CANCEL,
            Grant.QUEUES_READ,
            Grant.EC2_PRICES,
            Grant.EVENTS_PUT,
            Grant.CHECKPOINTS_SWEEP,
        ),
        age_s_max=60,
        deliveries=2,
        retries=0,  # the next minute does it
        timeout_s=55,
        memory_mib=512,  # the sweep reads manifests, of up to 16 MiB
    ),
)
