"""The two roles of a worker's container: what it may do, and what ECS may do to start it."""

from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.grants import Grant
from stacks.images import repository_arn
from stacks.permissions import Targets, statements

WORKER_GRANTS = (
    Grant.SHARDS_READ,
    Grant.SHARDS_WRITE,
    Grant.SHARD_WORK,
    Grant.EVENTS_PUT,
    Grant.EC2_PRICES,
)


def job_role(scope: Construct, targets: Targets, *, code_bucket: str) -> iam.Role:
    """What a worker may do."""
    role = _role(scope, "JobRole", "What a Spotproof worker may do")
    for grant in WORKER_GRANTS:
        for statement in statements(grant, targets):
            role.add_to_policy(statement)
    # Any bundle, not only this one: a retried worker of an older revision fetches the one it was submitted with.
    bundles = f"arn:{Aws.PARTITION}:s3:::{code_bucket}/*.zip"
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[bundles]))
    return role


def execution_role(scope: Construct, log_group: logs.LogGroup, *, images: Iterable[str]) -> iam.Role:
    """What ECS may do for a worker before it runs: write its log, and pull its image where that is a private one."""
    role = _role(scope, "ExecutionRole", "How ECS starts a Spotproof worker")
    write = ["logs:CreateLogStream", "logs:PutLogEvents"]
    role.add_to_policy(iam.PolicyStatement(actions=write, resources=[log_group.log_group_arn]))
    found = (repository_arn(image, partition=Aws.PARTITION) for image in images)
    repositories = sorted({arn for arn in found if arn is not None})
    if repositories:
        pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        role.add_to_policy(iam.PolicyStatement(actions=pull, resources=repositories))
        # ECR knows no narrower resource for it.
        role.add_to_policy(iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]))
    return role


def _role(scope: Construct, name: str, description: str) -> iam.Role:
    principal = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
    return iam.Role(scope, name, assumed_by=principal, description=description)
