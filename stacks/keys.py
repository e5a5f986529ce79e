"""The key of ours under which strict deployments keep data, messages and logs."""

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

# What writes into queues and topics for us, without a role of ours.
_SENDERS = ("events.amazonaws.com", "cloudwatch.amazonaws.com", "sns.amazonaws.com")

_USE = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:DescribeKey",
)


def data_key(scope: Construct, *, removal: RemovalPolicy) -> kms.Key:
    """One key for all of a deployment, its material replaced every year; $1 a month.

    People and roles get its use by their policies, as for every key of CDK's; services that act by themselves get it
    here, and only for this account.
    """
    key = kms.Key(
        scope,
        "DataKey",
        description="Spotproof: table, buckets, queues, topics and logs",
        enable_key_rotation=True,
        pending_window=Duration.days(30),
        removal_policy=removal,
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(name) for name in _SENDERS],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],  # in a key's own policy: this key
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
    )
    groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
            actions=[*_USE],
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        )
    )
    return key


def key_use(key: kms.IKey | None) -> list[iam.PolicyStatement]:
    """What a role needs to read and write what is kept under the key, and only through the services that keep it."""
    if key is None:
        return []
    services = [f"{name}.{Aws.REGION}.amazonaws.com" for name in ("s3", "dynamodb", "sqs")]
    return [
        iam.PolicyStatement(
            actions=[*_USE],
            resources=[key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": services}},
        )
    ]
