"""What instances cost an hour: a shipped snapshot of on-demand prices, and spot prices as EC2 tells them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from spotproof.retries import Retrier

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

SNAPSHOT: Final = "on_demand_prices.json"
PAGES_MAX: Final = 20  # of price history for one pool; a pool changes its price a few times a day


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePrice:
    """A type's on-demand price and size."""

    vcpus: int
    usd_per_hour: Decimal
    memory_mib: int = 0  # nominal; 0 = unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """The price of a pool from a moment on."""

    since: datetime
    usd_per_hour: Decimal


class SpotPrices(Protocol):
    """Where spot prices come from."""

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        """Prices of the pool over the time, oldest first, the one valid at `since` included; empty if unknown."""
        ...


@cache
def load_on_demand_prices() -> Mapping[str, InstancePrice]:
    """The shipped snapshot by instance type (Linux, us-east-1); read once, and nobody's to change."""
    content = json.loads(files("spotproof.costs").joinpath(SNAPSHOT).read_text("utf-8"))
    prices = {
        name: InstancePrice(
            vcpus=int(entry["vcpus"]),
            usd_per_hour=Decimal(entry["usd_per_hour"]),
            memory_mib=int(entry["memory_mib"]),
        )
        for name, entry in content["types"].items()
    }
    return MappingProxyType(prices)


class EC2SpotPrices:
    """Spot prices from DescribeSpotPriceHistory (90 days back; needs ec2:DescribeSpotPriceHistory on *)."""

    def __init__(self, *, client: "EC2Client", retrier: Retrier) -> None:
        self._client = client
        self._retrier = retrier

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        """Prices of one pool; EC2 includes the last change before `since`.

        Raises:
            AwsAccessError, AwsUnavailableError: EC2 refused or stayed unavailable.
            ClientError: EC2 does not know the type or the zone.
        """
        found: list[PriceStep] = []
        token = ""
        for _ in range(PAGES_MAX):
            page: Any = self._retrier.call(
                f"reading spot prices of {instance_type} in {zone}",
                self._client.describe_spot_price_history,
                InstanceTypes=[instance_type],
                AvailabilityZone=zone,
                ProductDescriptions=["Linux/UNIX"],
                StartTime=since,
                EndTime=until,
                **({"NextToken": token} if token else {}),
            )
            found.extend(
                PriceStep(since=entry["Timestamp"], usd_per_hour=Decimal(entry["SpotPrice"]))
                for entry in page["SpotPriceHistory"]
            )
            token = page.get("NextToken") or ""
            if not token:
                break
        return tuple(sorted(found, key=lambda step: step.since))
