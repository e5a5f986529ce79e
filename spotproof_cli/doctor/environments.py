"""The deployment's compute environments, as Batch describes them."""

from typing import TYPE_CHECKING, Final

from spotproof import contract
from spotproof_cli.doctor.subject import Subject

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

RESOURCE: Final = "AWS::Batch::ComputeEnvironment"
SPOT_TYPES: Final = frozenset({"SPOT", "FARGATE_SPOT"})
FARGATE_TYPES: Final = frozenset({"FARGATE", "FARGATE_SPOT"})


def of(subject: Subject) -> "list[ComputeEnvironmentDetailTypeDef]":
    """Those of the Compute stack that exist; Batch leaves out what it does not know.

    Raises:
        ClientError, AwsError: AWS would not say.
    """
    arns = [each.physical_id for each in subject.resources(contract.STACK_COMPUTE, RESOURCE)]
    if not arns:
        return []
    answer = subject.call(
        "reading the compute environments",
        subject.clients.batch.describe_compute_environments,
        computeEnvironments=arns,
    )
    return answer["computeEnvironments"]


def kind_of(environment: "ComputeEnvironmentDetailTypeDef") -> str:
    """EC2, SPOT, FARGATE or FARGATE_SPOT."""
    return str(environment.get("computeResources", {}).get("type", ""))
