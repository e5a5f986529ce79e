"""An EC2 that tells the same spot price of every pool."""

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError


class FakeEC2:
    """What the cost and the explanation of waiting workers need."""

    def __init__(self) -> None:
        self.spot_usd = "0.04"
        self.refuses = False

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
