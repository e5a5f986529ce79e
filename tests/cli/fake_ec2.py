"""An EC2 that tells the same spot price of every pool."""

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError


class FakeEC2:
    """The one operation that the cost needs."""

    def __init__(self) -> None:
        self.spot_usd = "0.04"
        self.refuses = False

    def describe_spot_price_history(self, *, StartTime: datetime, **_: Any) -> dict[str, Any]:  # noqa: N803 - EC2's name
        if self.refuses:
            raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeSpotPriceHistory")
        return {"SpotPriceHistory": [{"Timestamp": StartTime, "SpotPrice": self.spot_usd}]}
