"""An EC2 that says of instances what a test lets it say, in the shapes of its model."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

TAKEN_BACK = "Server.SpotInstanceTermination"
BY_A_PERSON = "Client.UserInitiatedShutdown"


@dataclass
class Ec2World:
    """Instances run until a test ends them; EC2 knows every one that it was told of."""

    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    refuse: str = ""  # an error code for every request

    def run(self, instance_id: str, *, spot: bool = True) -> None:
        lifecycle = {"InstanceLifecycle": "spot"} if spot else {}
        self.instances[instance_id] = {"InstanceId": instance_id, "State": {"Name": "running"}, **lifecycle}

    def end(self, instance_id: str, *, reason: str = TAKEN_BACK, spot: bool = True) -> None:
        self.run(instance_id, spot=spot)
        self.instances[instance_id] |= {
            "State": {"Name": "shutting-down"},
            "StateReason": {"Code": reason, "Message": f"{reason}: it ended"},
        }

    # --- the client ----------------------------------------------------------------------------------------------

    def describe_instances(self, *, InstanceIds: list[str]) -> Any:  # noqa: N803
        self.calls["describe_instances"] += 1
        unknown = [each for each in InstanceIds if each not in self.instances]
        code = self.refuse or ("InvalidInstanceID.NotFound" if unknown else "")
        if code:
            error: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error, "DescribeInstances")
        return {"Reservations": [{"Instances": [self.instances[each]]} for each in InstanceIds]}
