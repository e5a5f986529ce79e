"""Least privilege as facts: what each grant allows, and on what."""

from dataclasses import dataclass

from aws_cdk import aws_iam as iam

from spotproof import contract
from stacks.grants import Grant

CONTROL, RUNS = contract.CONTROL_PREFIX, contract.RUNS_PREFIX
CHECKPOINTS, STAGING = contract.CHECKPOINTS_PREFIX, contract.STAGING_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """ARNs the grants are about."""

    table: str
    work_bucket: str
    data_buckets: tuple[str, ...]
    event_bus: str
    queues: tuple[str, ...] = ()
    job_definitions: tuple[str, ...] = ()  # without revision
    jobs: str = ""

    def work_objects(self, *prefixes: str) -> list[str]:
        return [f"{self.work_bucket}/{prefix}*" for prefix in prefixes]

    def data_objects(self) -> list[str]:
        return [f"{bucket}/*" for bucket in self.data_buckets]


def statements(grant: Grant, targets: Targets) -> list[iam.PolicyStatement]:
    """IAM statements that allow exactly the grant."""
    table = [targets.table, f"{targets.table}/index/*"]
    match grant:
        case Grant.SHARDS_READ:
            return [_allow(["dynamodb:GetItem", "dynamodb:Query"], table)]
        case Grant.SHARDS_WRITE:
            return [_allow(["dynamodb:PutItem", "dynamodb:UpdateItem"], [targets.table])]
        case Grant.STOP_FILES_WRITE:
            # Reading decides what may be overwritten.
            return [
                _allow(["s3:PutObject", "s3:GetObject"], targets.work_objects(CONTROL)),
                _list([targets.work_bucket]),
            ]
        case Grant.SHARD_WORK:
            return _shard_work(targets)
        case Grant.CHECKPOINTS_SWEEP:
            return [
                _allow(["s3:GetObject", "s3:DeleteObject"], targets.work_objects(CHECKPOINTS)),
                _list([targets.work_bucket]),
            ]
        case Grant.OUTPUT_PUBLISH:
            return _output_publish(targets)
        case Grant.BATCH_SUBMIT:
            return _batch_submit(targets)
        case Grant.QUEUES_READ:
            return _queues_read(targets)
        case Grant.BATCH_CANCEL:
            return [_allow(["batch:CancelJob"], [targets.jobs])]
        case Grant.EC2_PRICES:
            return [_allow(["ec2:DescribeSpotPriceHistory"], ["*"])]  # EC2 knows no narrower resource for it
        case Grant.EVENTS_PUT:
            return [_events_put(targets)]


def _allow(actions: list[str], resources: list[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=actions, resources=resources)


def _list(buckets: list[str]) -> iam.PolicyStatement:
    """Listing; without it S3 answers 403 instead of 404 for a key that does not exist."""
    return _allow(["s3:ListBucket", "s3:GetBucketLocation"], buckets)


def _shard_work(targets: Targets) -> list[iam.PolicyStatement]:
    return [
        _allow(["s3:GetObject"], targets.work_objects(RUNS, CHECKPOINTS, STAGING, CONTROL) + targets.data_objects()),
        _allow(
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            targets.work_objects(RUNS, CHECKPOINTS, STAGING) + targets.data_objects(),
        ),
        _allow(["s3:DeleteObject", "s3:PutObjectTagging"], targets.work_objects(CHECKPOINTS, STAGING)),
        _allow(["s3:GetObjectTagging"], targets.work_objects(STAGING)),  # CopyObject reads the source's tags
        _list([targets.work_bucket, *targets.data_buckets]),
    ]


def _output_publish(targets: Targets) -> list[iam.PolicyStatement]:
    return [
        _allow(["s3:GetObject"], targets.work_objects(RUNS, CHECKPOINTS, STAGING) + targets.data_objects()),
        _allow(["s3:PutObject", "s3:AbortMultipartUpload"], targets.work_objects(RUNS) + targets.data_objects()),
        _allow(["s3:PutObject"], targets.work_objects(contract.HISTORY_PREFIX)),  # the run's record for later sizing
        _allow(
            ["s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging"],
            targets.work_objects(CHECKPOINTS, STAGING),
        ),
        _list([targets.work_bucket, *targets.data_buckets]),
    ]


def _batch_submit(targets: Targets) -> list[iam.PolicyStatement]:
    definitions = [arn + revision for arn in targets.job_definitions for revision in ("", ":*")]
    return [
        _allow(["batch:SubmitJob"], [*targets.queues, *definitions]),
        _allow(["batch:TagResource"], [targets.jobs]),
        _allow(["batch:DescribeJobs", "batch:ListJobs"], ["*"]),  # Batch knows no narrower resource for these
    ]


def _queues_read(targets: Targets) -> list[iam.PolicyStatement]:
    reads = ["batch:DescribeJobQueues", "batch:DescribeComputeEnvironments", "batch:DescribeJobs"]
    others = ["autoscaling:DescribeScalingActivities", "ec2:DescribeInstanceTypes"]
    return [
        _allow(["batch:GetJobQueueSnapshot"], list(targets.queues)),
        _allow([*reads, *others], ["*"]),  # AWS knows no narrower resource for these
    ]


def _events_put(targets: Targets) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=["events:PutEvents"],
        resources=[targets.event_bus],
        conditions={"ForAllValues:StringEquals": {"events:source": contract.EVENT_SOURCE}},
    )
