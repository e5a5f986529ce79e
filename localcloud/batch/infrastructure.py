"""Which changes of a compute environment replace its hosts, and what an environment must be to have them replaced."""

from collections.abc import Mapping
from typing import Any

from localcloud.batch.parameters import ClientException

# "Changes that trigger infrastructure updates" of the AWS Batch user guide; any other change only scales.
REPLACING_SETTINGS = (
    "allocationStrategy",
    "bidPercentage",
    "ec2Configuration",
    "ec2KeyPair",
    "imageId",
    "instanceRole",
    "instanceTypes",
    "launchTemplate",
    "placementGroup",
    "securityGroupIds",
    "subnets",
    "tags",
    "type",
    "updateToLatestImageVersion",
)
JOB_TIMEOUT_MINUTES = 30  # of an update policy that names none
SERVICE_LINKED_ROLE = "AWSServiceRoleForBatch"


def replacing_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the compute resource settings that differ and need other hosts; none: a scaling update."""
    return tuple(name for name in REPLACING_SETTINGS if before.get(name) != after.get(name))


def require_updatable(resources: Mapping[str, Any], *, service_role: str, changed: tuple[str, ...]) -> None:
    """Refuse an infrastructure update of an environment that can only be replaced as a whole.

    Raises:
        ClientException: the allocation strategy or the service role rules it out.
    """
    strategy = resources.get("allocationStrategy") or "BEST_FIT"
    if strategy == "BEST_FIT":
        raise ClientException(f"{', '.join(changed)} can't be updated with the allocation strategy BEST_FIT")
    if not service_role.endswith(f"/{SERVICE_LINKED_ROLE}"):
        raise ClientException(
            f"{', '.join(changed)} can be updated with {SERVICE_LINKED_ROLE} only, not {service_role}"
        )


def job_time_left_s(policy: Mapping[str, Any]) -> float:
    """Seconds that jobs on replaced hosts may still run, by the environment's update policy."""
    if policy.get("terminateJobsOnUpdate"):
        return 0.0
    return 60.0 * float(policy.get("jobExecutionTimeoutMinutes") or JOB_TIMEOUT_MINUTES)
