"""Whether EC2 took a Spot host back, by EC2's own account of the instance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 API reference, StateReason: a Spot instance that EC2 terminated or stopped, and none that a person or Batch did.
TAKEN_BACK: Final = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
_UNKNOWN: Final = "InvalidInstanceID.NotFound"  # EC2 forgets an instance about an hour after its end


def was_taken_back(instance: Mapping[str, Any]) -> bool:
    """Whether EC2 ended the described instance to have its capacity back. A running one has no reason."""
    reason = instance.get("StateReason") or {}
    return instance.get("InstanceLifecycle") == "spot" and reason.get("Code") in TAKEN_BACK


class HostEnds:
    """One request for an instance; needs ec2:DescribeInstances."""

    def __init__(self, *, ec2: "EC2Client", retrier: Retrier) -> None:
        self._ec2 = ec2
        self._retrier = retrier

    def taken_back(self, instance_id: str) -> bool:
        """Whether EC2 says that it took the Spot instance back; no for one that it does not know.

        What EC2 shows may be some seconds old: a no is none for good.

        Raises:
            AwsError: EC2 refused or stayed unavailable.
        """
        doing = f"looking at instance {instance_id}"
        try:
            answer = self._retrier.call(doing, self._ec2.describe_instances, InstanceIds=[instance_id])
        except ClientError as error:
            if error_code(error) == _UNKNOWN:
                return False
            raise as_aws_error(error, doing=doing) from error
        found = [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
        return any(was_taken_back(each) for each in found if each["InstanceId"] == instance_id)
