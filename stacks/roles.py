"""Roles: each with one policy of ours that can be seen and attached by itself. None of AWS's, none inline."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct


def service_role(
    scope: Construct,
    construct_id: str,
    *,
    service: str,
    description: str,
    statements: Sequence[iam.PolicyStatement],
    conditions: Mapping[str, Any] | None = None,
) -> iam.IRole:
    """A role that a service assumes and that may do exactly this: what constructs would grant it besides is not added.

    Args:
        service: such as `ecs-tasks.amazonaws.com`.
        conditions: of the trust.
    """
    policy = iam.ManagedPolicy(scope, f"{construct_id}Policy", description=description, statements=list(statements))
    principal = iam.ServicePrincipal(service, conditions=conditions)
    role = iam.Role(scope, construct_id, assumed_by=principal, description=description, managed_policies=[policy])
    return role.without_policy_updates()
