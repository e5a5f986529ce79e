"""The EC2 client's surface: what became of instances, sizes of types, prices."""

from typing import Any

from botocore.exceptions import ClientError

from simulation.cloud.aws_event import moment_of
from simulation.cloud.fleet import Fleet
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.cloud.market import Market


class Ec2Api:
    """What a GatedClient calls."""

    def __init__(self, *, fleet: Fleet, market: Market) -> None:
        self._fleet = fleet
        self.describe_spot_price_history = market.describe_spot_price_history
        self.describe_instance_types = market.describe_instance_types

    def describe_instances(self, **given: Any) -> dict[str, Any]:
        """Instances by id, ended ones too, each in a reservation of its own.

        Raises:
            ClientError: an id that EC2 does not know.
        """
        known = self._fleet.instances
        unknown = [instance_id for instance_id in given["InstanceIds"] if instance_id not in known]
        if unknown:
            raise _not_found(unknown[0])
        return {"Reservations": [{"Instances": [_shown(known[one])]} for one in given["InstanceIds"]]}


def _shown(instance: SimInstance) -> dict[str, Any]:
    """A Spot host says what it is, one on demand does not; only an end has a reason."""
    shown: dict[str, Any] = {
        "InstanceId": instance.id,
        "InstanceType": instance.type,
        "LaunchTime": moment_of(instance.launched_at),
        "Placement": {"AvailabilityZone": instance.zone},
        "State": {"Name": str(instance.state)},
    }
    if instance.lifecycle is Lifecycle.SPOT:
        shown["InstanceLifecycle"] = "spot"
    if instance.state.gone:
        shown["StateReason"] = {
            "Code": instance.state_reason,
            "Message": f"{instance.state_reason}: the instance ended",
        }
    return shown


def _not_found(instance_id: str) -> ClientError:
    response: Any = {
        "Error": {
            "Code": "InvalidInstanceID.NotFound",
            "Message": f"The instance ID '{instance_id}' does not exist",
        },
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(response, "DescribeInstances")
