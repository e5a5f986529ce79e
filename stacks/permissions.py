"""Least privilege as facts: what each grant allows, and on what."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from spotproof import contract
from stacks.grants import Grant

CONTROL, RUNS = contract.CONTROL_PREFIX, contract.RUNS_PREFIX
CHECKPOINTS, STAGING = contract.CHECKPOINTS_PREFIX, contract.STAGING_PREFIX
_INDEXES = {
    Grant.CLAIMABLE_FIND: contract.CLAIMABLE_INDEX,
    Grant.HOSTS_FIND: contract.INSTANCE_INDEX,
    Grant.RUNS_FIND: contract.ACTIVE_INDEX,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """ARNs the grants are about."""

    table: str
    work_bucket: str
    data_buckets: tuple[str, ...]
    event_bus: str
    queues: tuple[str, ...] = ()
    on_demand_queues: tuple[str, ...] = ()  # those among them
    job_definitions: tuple[str, ...] = ()  # without revision
    jobs: str = ""

    def index(self, spec: contract.IndexSpec) -> str:
        return f"{self.table}/index/{spec.name}"

    def work_objects(self, *prefixes: str) -> list[str]:
        return [f"{self.work_bucket}/{prefix}*" for prefix in prefixes]

    def data_objects(self) -> list[str]:
        return [f"{bucket}/*" for bucket in self.data_buckets]


def statements(grant: Grant, targets: Targets) -> list[iam.PolicyStatement]:
    """IAM statements that allow exactly the grant."""
    match grant:
        case Grant.SHARDS_READ:
            return [allow(["dynamodb:GetItem"], [targets.table])]
        case Grant.SHARDS_LIST:
            return [allow(["dynamodb:Query"], [targets.table])]
        case Grant.SHARDS_WRITE:
            return [allow(["dynamodb:UpdateItem"], [targets.table])]
        case Grant.ROWS_ADD:
            return [allow(["dynamodb:PutItem"], [targets.table])]
        case Grant.CLAIMABLE_FIND | Grant.HOSTS_FIND | Grant.RUNS_FIND:
            return [allow(["dynamodb:Query"], [targets.index(_INDEXES[grant])])]
        case Grant.STOP_FILES_WRITE:
            # Reading decides what may be overwritten.
            return [
                allow(["s3:PutObject", "s3:GetObject"], targets.work_objects(CONTROL)),
                _list([targets.work_bucket]),
            ]
        case Grant.SHARD_WORK:
            return _shard_work(targets)
        case Grant.CHECKPOINTS_SWEEP:
            return [
                allow(["s3:GetObject", "s3:DeleteObject"], targets.work_objects(CHECKPOINTS)),
                _list([targets.work_bucket]),
            ]
        case Grant.OUTPUT_PUBLISH:
            return _output_publish(targets)
        case Grant.BATCH_SUBMIT:
            return _batch_submit(targets, targets.queues)
        case Grant.ON_DEMAND_SUBMIT:
            return _batch_submit(targets, targets.on_demand_queues)
        case Grant.JOBS_READ:
            return [allow(["batch:DescribeJobs"], ["*"])]  # Batch knows no narrower resource for it
        case Grant.HOSTS_READ:
            return [allow(["ec2:DescribeInstances"], ["*"])]  # EC2 knows no narrower resource for it
        case Grant.QUEUES_READ:
            return _queues_read(targets)
        case Grant.BATCH_CANCEL:
            return [allow(["batch:CancelJob"], [targets.jobs])]
        case Grant.EC2_PRICES:
            return [allow(["ec2:DescribeSpotPriceHistory"], ["*"])]  # EC2 knows no narrower resource for it
        case Grant.EVENTS_PUT:
            return [_events_put(targets)]


def allow(actions: list[str], resources: list[str]) -> iam.PolicyStatement:
    """A statement that allows these actions on these resources."""
    return iam.PolicyStatement(actions=actions, resources=resources)


def in_network() -> list[iam.PolicyStatement]:
    """What Lambda needs to place a function in a network, and the function's own code must not use.

    Lambda refuses resources narrower than all of the account's (its guide, "Configuring a function for a VPC").
    """
    known = [
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
    ]
    interfaces = [f"ec2:{name}" for name in known]
    describes = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    account = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
    return [
        allow(interfaces, [f"arn:{Aws.PARTITION}:ec2:{account}:*/*"]),
        allow(describes, ["*"]),  # EC2 knows no narrower resource for these
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[*interfaces, *describes],
            resources=["*"],
            conditions={"ArnLike": {"lambda:SourceFunctionArn": f"arn:{Aws.PARTITION}:lambda:{account}:function:*"}},
        ),
    ]


def _list(buckets: list[str]) -> iam.PolicyStatement:
    """Listing; without it S3 answers 403 instead of 404 for a key that does not exist."""
    return allow(["s3:ListBucket"], buckets)


def _shard_work(targets: Targets) -> list[iam.PolicyStatement]:
    return [
        allow(["s3:GetObject"], targets.work_objects(RUNS, CHECKPOINTS, STAGING, CONTROL) + targets.data_objects()),
        allow(
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            targets.work_objects(RUNS, CHECKPOINTS, STAGING) + targets.data_objects(),
        ),
        allow(["s3:DeleteObject"], targets.work_objects(CHECKPOINTS)),
        _list([targets.work_bucket, *targets.data_buckets]),
    ]


def _output_publish(targets: Targets) -> list[iam.PolicyStatement]:
    return [
        allow(["s3:GetObject"], targets.work_objects(STAGING) + targets.data_objects()),
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], targets.data_objects()),
        allow(["s3:PutObject"], targets.work_objects(contract.HISTORY_PREFIX)),  # the run's record for later sizing
        allow(["s3:DeleteObject", "s3:PutObjectTagging"], targets.work_objects(CHECKPOINTS, STAGING)),
        _list([targets.work_bucket, *targets.data_buckets]),
    ]


def _batch_submit(targets: Targets, queues: Sequence[str]) -> list[iam.PolicyStatement]:
    """Jobs of ours like one that ran: its definition is named with its revision."""
    definitions = [f"{arn}:*" for arn in targets.job_definitions]
    return [
        allow(["batch:SubmitJob"], [*queues, *definitions]),
        allow(["batch:TagResource"], [targets.jobs]),
        # Whether a submission whose reply was lost gave a job; Batch knows no narrower resource for it.
        allow(["batch:ListJobs"], ["*"]),
    ]


def _queues_read(targets: Targets) -> list[iam.PolicyStatement]:
    reads = ["batch:DescribeJobQueues", "batch:DescribeComputeEnvironments", "batch:DescribeJobs"]
    others = ["autoscaling:DescribeScalingActivities", "ec2:DescribeInstanceTypes"]
    return [
        allow(["batch:GetJobQueueSnapshot"], list(targets.queues)),
        allow([*reads, *others], ["*"]),  # AWS knows no narrower resource for these
    ]


def _events_put(targets: Targets) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=["events:PutEvents"],
        resources=[targets.event_bus],
        conditions={"ForAllValues:StringEquals": {"events:source": contract.EVENT_SOURCE}},
    )
