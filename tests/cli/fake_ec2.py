"""An EC2 that tells the same spot price of every pool, and the instances that a test gives it."""

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError


class FakeEC2:
    """What the cost and the explanation of waiting workers need."""

    def __init__(self) -> None:
        self.spot_usd = "0.04"
        self.refuses = False
        self.instances: dict[str, dict[str, Any]] = {}  # as DescribeInstances describes them
        self.tag_asked = ""

    def launch(self, instance_id: str, *, spot: bool = True, kind: str = "m5.large") -> None:
        """An instance that runs."""
        lifecycle = {"InstanceLifecycle": "spot"} if spot else {}
        self.instances[instance_id] = {
            "InstanceId": instance_id, "InstanceType": kind, "State": {"Name": "running"}, **lifecycle,
        }  # fmt: skip

    def end(self, instance_id: str, code: str) -> None:
        """It is gone, for the reason that the code says; without a code EC2 says none."""
        reason = {"StateReason": {"Code": code, "Message": f"{code}: said the test"}} if code else {}
        self.instances[instance_id] |= {"State": {"Name": "terminated"}, **reason}

    def describe_instances(self, *, Filters: list[dict[str, Any]], NextToken: str = "0") -> dict[str, Any]:  # noqa: N803 - EC2's names
        (tag,) = Filters
        self.tag_asked = f"{tag['Name']}={','.join(tag['Values'])}"
        listed, at = list(self.instances.values()), int(NextToken)
        more = {"NextToken": str(at + 1)} if at + 1 < len(listed) else {}  # tiny pages: paging is always exercised
        return {"Reservations": [{"Instances": listed[at : at + 1]}], **more}

    def describe_instance_types(self, *, Filters: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803 - as below
        names = [name for each in Filters for name in each["Values"]]
        size = {"VCpuInfo": {"DefaultVCpus": 2}, "MemoryInfo": {"SizeInMiB": 8192}}
        return {"InstanceTypes": [{"InstanceType": name, **size} for name in names]}

    def describe_spot_price_history(
        self,
        *,
        StartTime: datetime,  # noqa: N803 - EC2's name
        InstanceTypes: list[str],  # noqa: N803 - as above
        **_: Any,
    ) -> dict[str, Any]:
        if self.refuses:
            raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeSpotPriceHistory")
        zones = [_["AvailabilityZone"]] if "AvailabilityZone" in _ else ["eu-central-1a", "eu-central-1b"]
        price = {"Timestamp": StartTime, "SpotPrice": self.spot_usd}
        pools = [{"InstanceType": name, "AvailabilityZone": zone} for name in InstanceTypes for zone in zones]
        return {"SpotPriceHistory": [{**price, **pool} for pool in pools]}
