"""What the deployed stacks and the running code must agree on: names of items, keys, variables and events."""

from dataclasses import dataclass
from typing import Final

VERSION: Final = "0.1.0"  # of the product; pyproject.toml says the same

# --- the table -------------------------------------------------------------------------------------------------

PARTITION_KEY: Final = "pk"
SORT_KEY: Final = "sk"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """A sparse global secondary index: only items that carry `partition_key` are in it."""

    name: str
    partition_key: str
    sort_key: str
    sort_key_type: str  # "S" or "N"
    include: tuple[str, ...] = ()  # projected besides the keys; empty = KEYS_ONLY


CLAIMABLE_INDEX: Final = IndexSpec(
    name="claimable",
    partition_key="claimable_pk",
    sort_key="claimable_at",
    sort_key_type="N",
    include=("fencing_token", "shard_state", "reclaim_at"),
)
INSTANCE_INDEX: Final = IndexSpec(name="instance", partition_key="instance_id", sort_key="sk", sort_key_type="S")
ACTIVE_INDEX: Final = IndexSpec(name="active", partition_key="active_pk", sort_key="pk", sort_key_type="S")
TABLE_INDEXES: Final = (CLAIMABLE_INDEX, INSTANCE_INDEX, ACTIVE_INDEX)
ACTIVE_RUNS: Final = "RUNS"  # active_pk while a run has not ended
ENDED_RUNS: Final = "ENDED"  # active_pk from its end until its checkpoints and staged objects are deleted


def run_pk(run_id: str) -> str:
    return f"RUN#{run_id}"


def stripe_pk(run_id: str, stripe: int) -> str:
    return f"RUN#{run_id}#{stripe:04d}"


def sessions_pk(run_id: str, bucket: int) -> str:
    return f"RUN#{run_id}#SESSIONS#{bucket:02d}"


def claimable_pk(run_id: str, capacity_class: str) -> str:
    return f"RUN#{run_id}#{capacity_class}"


def topups_pk(run_id: str) -> str:
    """Partition of the markers that make each top-up of the run's workers happen once."""
    return f"RUN#{run_id}#TOPUPS"


def history_pk(run_id: str) -> str:
    """Partition of what was decided about the run, by time."""
    return f"RUN#{run_id}#HISTORY"


POOLS_PK: Final = "POOLS"  # partition of what is known about Spot pools
QUEUES_PK: Final = "QUEUES"  # partition of what Batch said about blocked queues


def pool_sk(instance_type: str, zone: str) -> str:
    """A Spot pool: prices, capacity and interruptions are each pool's own."""
    return f"{instance_type}/{zone}"


RUN_SK: Final = "META"
STRIPE_SK: Final = "HEAD"
SHARD_SK_PREFIX: Final = "S#"


def shard_sk(index: int) -> str:
    """Sort key of a shard row; zero-padded so that a stripe's rows sort by index."""
    return f"{SHARD_SK_PREFIX}{index:08d}"


# --- objects in the work bucket --------------------------------------------------------------------------------

RUNS_PREFIX: Final = "runs/"
CHECKPOINTS_PREFIX: Final = "checkpoints/"
STAGING_PREFIX: Final = "staging/"
CONTROL_PREFIX: Final = "control/"
HISTORY_PREFIX: Final = "history/"
SUCCESS_NAME: Final = "_SUCCESS"
CHECKPOINT_DONE_TAG: Final = ("spotproof-state", "done")  # lifecycle deletes what carries it


def plan_key(run_id: str, parameters_sha256: str) -> str:
    """One plan per run and parameters: a plan left by a planner that died never serves a corrected submission."""
    return f"{RUNS_PREFIX}{run_id}/plan-{parameters_sha256[:16]}"


def checkpoints_prefix(run_id: str, shard_index: int | None = None) -> str:
    run = f"{CHECKPOINTS_PREFIX}{run_id}/"
    return run if shard_index is None else f"{run}{shard_index:08d}/"


def staging_prefix(run_id: str, shard_index: int | None = None) -> str:
    run = f"{STAGING_PREFIX}{run_id}/"
    return run if shard_index is None else f"{run}{shard_index:08d}/"


def history_prefix(job: str) -> str:
    """Records of the job's ended runs."""
    return f"{HISTORY_PREFIX}{job}/"


def stop_file_key(instance_id: str) -> str:
    return f"{CONTROL_PREFIX}{instance_id}/stop.json"


# --- environment variables -------------------------------------------------------------------------------------

ENV_TABLE: Final = "SPOTPROOF_TABLE"
ENV_WORK_BUCKET: Final = "SPOTPROOF_WORK_BUCKET"
ENV_DATA_BUCKET: Final = "SPOTPROOF_DATA_BUCKET"
ENV_STACK: Final = "SPOTPROOF_STACK"
ENV_SPOT_QUEUE: Final = "SPOTPROOF_SPOT_QUEUE"
ENV_ON_DEMAND_QUEUE: Final = "SPOTPROOF_ON_DEMAND_QUEUE"
ENV_FAMILY_QUEUES: Final = "SPOTPROOF_FAMILY_QUEUES"  # of further families: name=spot/on-demand/memory MiB,…
ENV_FARGATE_SPOT_QUEUE: Final = "SPOTPROOF_FARGATE_SPOT_QUEUE"  # tells a worker that it has no host of its own
ENV_EVENT_BUS: Final = "SPOTPROOF_EVENT_BUS"
ENV_BREAKER: Final = "SPOTPROOF_BREAKER"  # count/window/recovery of a Spot pool's breaker
ENV_MEMORY: Final = "SPOTPROOF_MEMORY_MIB"  # of the worker's container, set by the job definition
ENV_MEMORY_MAX: Final = "SPOTPROOF_MEMORY_MIB_MAX"  # what the largest instance type gives one worker
ENV_CODE_URI: Final = "SPOTPROOF_CODE"  # s3://bucket/key of the worker bundle, read by the bootstrap
ENV_CODE_DIR: Final = "SPOTPROOF_CODE_DIR"  # where the bootstrap unpacked it
ENV_LOG_LEVEL: Final = "SPOTPROOF_LOG_LEVEL"
ENV_NOTICE_LEAD: Final = "SPOTPROOF_NOTICE_LEAD_S"
ENV_STOP_GRACE: Final = "SPOTPROOF_STOP_GRACE_S"
ENV_TRACKER: Final = "SPOTPROOF_TRACKER"  # how changed pages are found: auto, compare or pagemap
ENV_TRANSPORT: Final = "SPOTPROOF_TRANSPORT"  # obstore or boto3; unset: the first of them that there is
STOP_GRACE_S: Final = 30.0  # from SIGTERM to SIGKILL: job_timeouts of the Batch user guide
NOTICE_LEAD_S: Final = 120.0  # spot-instance-termination-notices of the EC2 user guide

# --- Batch -----------------------------------------------------------------------------------------------------

# Memory that a Fargate worker may have, MiB, by its vCPUs (Batch: ResourceRequirement, Fargate resources).
FARGATE_MEMORY_MIB: Final = {
    1: range(2048, 8192 + 1, 1024),
    2: range(4096, 16_384 + 1, 1024),
    4: range(8192, 30_720 + 1, 1024),
    8: range(16_384, 61_440 + 1, 4096),
    16: range(32_768, 122_880 + 1, 8192),
}
FAMILY_FARGATE: Final = "fargate"

EXIT_DONE: Final = 0
EXIT_UNEXPECTED: Final = 1
EXIT_INPUT: Final = 2
EXIT_CONFIGURATION: Final = 3
EXIT_AWS: Final = 4
EXIT_CONFLICT: Final = 5
EXIT_INTERRUPTED: Final = 75  # EX_TEMPFAIL of sysexits.h: evaluateOnExit retries it
EXIT_KILLED: Final = 137  # 128 + SIGKILL; the job state change handler replaces the worker

# Parameters of every job definition; each is one `Ref::name` in the command. "auto" = let the worker decide.
AUTO: Final = "auto"
JOB_PARAMETERS: Final = ("run", "input", "output", "shard_by", "options")
JOB_DEFINITION_PREFIX: Final = "spotproof-"

# Tags as AWS Batch and EC2 both take them (TagResource of either API), as patterns.
TAG_NAME: Final = r"[A-Za-z0-9 _.:/=+@-]{1,128}"
TAG_VALUE: Final = r"[A-Za-z0-9 _.:/=+@-]{0,256}"
SHARE_NAME: Final = r"[A-Za-z0-9]{1,64}"  # of a share of the queues' vCPUs (AWS Batch: shareIdentifier)
TAG_PREFIXES_TAKEN: Final = ("aws:", "spotproof:")  # in any case of letters

# --- events ----------------------------------------------------------------------------------------------------

EVENT_SOURCE: Final = "spotproof"
DETAIL_RUN_FINISHED: Final = "Spotproof Run Finished"  # all stripes closed: finalize
DETAIL_SPOT_WARNING: Final = "EC2 Spot Instance Interruption Warning"
DETAIL_REBALANCE: Final = "EC2 Instance Rebalance Recommendation"
DETAIL_INSTANCE_STATE: Final = "EC2 Instance State-change Notification"
DETAIL_BATCH_JOB_STATE: Final = "Batch Job State Change"
DETAIL_QUEUE_BLOCKED: Final = "Batch Job Queue Blocked"
DETAIL_RUN_PAUSED: Final = "Spotproof Run Paused"  # it has cost its budget; for whoever subscribes

METRIC_NAMESPACE: Final = "Spotproof"

# Outputs of the stacks, by which people and the command line find what was deployed.
OUTPUT_TABLE: Final = "TableName"
OUTPUT_WORK_BUCKET: Final = "WorkBucketName"
OUTPUT_DATA_BUCKET: Final = "DataBucketName"
OUTPUT_KEPT: Final = "KeptByDestroy"  # in words: what `cdk destroy` leaves in the account
OUTPUT_SPOT_QUEUE: Final = "SpotQueueName"
OUTPUT_ON_DEMAND_QUEUE: Final = "OnDemandQueueName"
OUTPUT_LOG_GROUP: Final = "WorkerLogGroupName"
OUTPUT_JOB_DEFINITIONS: Final = "JobDefinitionNames"  # comma separated
OUTPUT_FAMILY_QUEUES: Final = "FamilyQueueNames"  # family=spot/on-demand,… of all families but the first
OUTPUT_JOB_FAMILIES: Final = "JobFamilies"  # job=family,… of jobs of those families
OUTPUT_SHARES: Final = "FairShares"  # comma separated; only if the queues are shared
OUTPUT_REQUIRED_TAGS: Final = "RequiredTags"  # comma separated; only if there are any
OUTPUT_DASHBOARD: Final = "DashboardName"
OUTPUT_ATTENTION_TOPIC: Final = "AttentionTopicArn"  # one message however many alarms
OUTPUT_ALARM_CHANGES_TOPIC: Final = "AlarmChangesTopicArn"  # each alarm's ups and downs
OUTPUT_VERSION: Final = "SpotproofVersion"  # of the sources that a stack was deployed from
STACK_STATE: Final = "State"  # suffixes: <stage prefix>-State and so on
STACK_COMPUTE: Final = "Compute"
STACK_EVENTS: Final = "Events"
STACK_BUDGET: Final = "Budget"  # only if there is one
STACK_MONITORING: Final = "Monitoring"
DEFAULT_STACK_PREFIX: Final = "Spotproof"

# Tags of the fleet's instances, by which a game day finds them.
TAG_DEPLOYMENT: Final = "Spotproof"  # its value is the prefix of the stacks
TAG_LIFECYCLE: Final = "Lifecycle"
LIFECYCLE_SPOT: Final = "spot"
LIFECYCLE_ON_DEMAND: Final = "on-demand"

# Game days: experiment templates by plan, and the names of actions and targets inside them.
STACK_GAME_DAYS: Final = "GameDays"
GAME_DAY_INTERRUPT: Final = "interrupt"
GAME_DAY_INTERRUPT_HALF: Final = "interrupt-half"
GAME_DAY_NO_CAPACITY: Final = "no-capacity"
GAME_DAY_OUTPUTS: Final = {
    GAME_DAY_INTERRUPT: "InterruptTemplateId",
    GAME_DAY_INTERRUPT_HALF: "InterruptHalfTemplateId",
    GAME_DAY_NO_CAPACITY: "NoCapacityTemplateId",
}
GAME_DAY_INSTANCES: Final = "SpotInstances"
GAME_DAY_GROUPS: Final = "SpotGroups"
