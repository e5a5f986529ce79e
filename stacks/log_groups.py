"""Log groups: kept as long as chosen, and gone with their stack."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.settings.retention import LOG_RETENTION_DAYS

_RETENTIONS = dict(zip(LOG_RETENTION_DAYS, list(logs.RetentionDays), strict=False))  # the last one is for ever


def log_group(scope: Construct, construct_id: str, *, days: int, key: kms.IKey | None) -> logs.LogGroup:
    """A log group; without a key of ours CloudWatch Logs encrypts it with its own.

    Args:
        days: as many as CloudWatch Logs takes; the settings see to it.
    """
    return logs.LogGroup(
        scope,
        construct_id,
        retention=_RETENTIONS[days],
        encryption_key=key,
        removal_policy=RemovalPolicy.DESTROY,
    )
