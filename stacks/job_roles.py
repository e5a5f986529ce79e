"""Roles around a worker: what it may do itself, what ECS may do to start it, and what its host may do."""

from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.grants import Grant
from stacks.images import repository_arn
from stacks.keys import key_use
from stacks.permissions import Targets, allow, statements
from stacks.roles import service_role

WORKER_GRANTS = (
    Grant.SHARDS_READ,
    Grant.SHARDS_LIST,
    Grant.SHARDS_WRITE,
    Grant.ROWS_ADD,
    Grant.CLAIMABLE_FIND,
    Grant.SHARD_WORK,
    Grant.EVENTS_PUT,
)


TASKS = "ecs-tasks.amazonaws.com"
WRITE_LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]
ON_CLUSTERS = (
    "RegisterContainerInstance",
    "DeregisterContainerInstance",
    "SubmitAttachmentStateChanges",
    "SubmitContainerStateChange",
    "SubmitTaskStateChange",
)
ON_INSTANCES = ("Poll", "StartTelemetrySession", "UpdateContainerInstancesState", "TagResource")


def job_role(scope: Construct, targets: Targets, *, code_bucket: str, key: kms.IKey | None) -> iam.IRole:
    """What a worker may do."""
    # Any bundle, not only this one: a retried worker of an older revision fetches the one it was submitted with.
    bundles = f"arn:{Aws.PARTITION}:s3:::{code_bucket}/*.zip"
    granted = [statement for grant in WORKER_GRANTS for statement in statements(grant, targets)]
    return service_role(
        scope,
        "JobRole",
        service=TASKS,
        description="What a Spotproof worker may do",
        statements=[*granted, allow(["s3:GetObject"], [bundles]), *key_use(key)],
    )


def execution_role(scope: Construct, *, log_group: logs.ILogGroup, images: Iterable[str]) -> iam.IRole:
    """What ECS may do for a worker before it runs: write its log, and pull its image where that is a private one."""
    return service_role(
        scope,
        "ExecutionRole",
        service=TASKS,
        description="How ECS starts a Spotproof worker",
        statements=[allow(WRITE_LOG, [log_group.log_group_arn]), *_pulling(images)],
    )


def host_role(scope: Construct, *, log_group: logs.ILogGroup, images: Iterable[str]) -> iam.IRole:
    """What the ECS agent and Docker on a host call: joining Batch's cluster, pulling images, writing containers' logs.

    The list is that of AWS's own policy for such hosts (AmazonEC2ContainerServiceforEC2Role), on fewer resources and
    without making clusters, which Batch does. Docker's log driver has the host's credentials, not the task's.
    """
    ecs = f"arn:{Aws.PARTITION}:ecs:{Aws.REGION}:{Aws.ACCOUNT_ID}:"
    return service_role(
        scope,
        "HostRole",
        service="ec2.amazonaws.com",
        description="What the container agent of a Spotproof host may do",
        statements=[
            allow([f"ecs:{name}" for name in ON_CLUSTERS], [f"{ecs}cluster/*"]),
            allow([f"ecs:{name}" for name in ON_INSTANCES], [f"{ecs}container-instance/*"]),
            allow(["ecs:DiscoverPollEndpoint", "ec2:DescribeTags"], ["*"]),  # AWS knows no narrower resource for these
            allow(WRITE_LOG, [log_group.log_group_arn]),
            *_pulling(images),
        ],
    )


def _pulling(images: Iterable[str]) -> list[iam.PolicyStatement]:
    """Nothing for images of a public registry; those of ECR by repository."""
    found = (repository_arn(image, partition=Aws.PARTITION) for image in images)
    repositories = sorted({arn for arn in found if arn is not None})
    if not repositories:
        return []
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    # ECR knows no narrower resource for the login.
    return [allow(pull, repositories), allow(["ecr:GetAuthorizationToken"], ["*"])]
