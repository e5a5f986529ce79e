"""A made-up market and the lives of workers in it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import InstancePrice, PriceStep, SpotPrices
from spotproof.costs.worked_session import WorkedSession
from spotproof.errors import AwsAccessError

T0: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
M5_LARGE: Final = InstancePrice(vcpus=2, usd_per_hour=Decimal("0.096"), memory_mib=8192)
LISTED: Final = {"m5.large": M5_LARGE}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def worked(name: str = "s", *, since: float = 0, until: float = 60, **changes: Any) -> WorkedSession:
    """A worker of run "r" on the spot host i-1, an m5.large launched at T0; times in minutes from T0."""
    fields: dict[str, Any] = {
        "session_id": name, "run_id": "r", "instance_id": "i-1", "instance_type": "m5.large", "zone": "us-east-1a",
        "lifecycle": "spot", "vcpus": 1.0, "started_at": T0 + minutes(since), "ended_at": T0 + minutes(until),
        "launched_at": T0,
    }  # fmt: skip
    return WorkedSession(**(fields | changes))


class Market:
    """Spot prices of one pool for all; None = EC2 does not tell."""

    def __init__(self, *steps: PriceStep, known: bool = True) -> None:
        self._steps = steps
        self._known = known
        self.asked: list[tuple[str, str, datetime, datetime]] = []

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        self.asked.append((instance_type, zone, since, until))
        if not self._known:
            raise AwsAccessError("no permission")
        return self._steps


def step(usd_per_hour: str, *, since: float = -1440) -> PriceStep:
    """A price that holds from so many minutes after T0 on."""
    return PriceStep(since=T0 + minutes(since), usd_per_hour=Decimal(usd_per_hour))


def a_book(spot: SpotPrices | None = None, *, listed: Mapping[str, InstancePrice] = LISTED) -> PriceBook:
    return PriceBook(on_demand=listed, spot=spot or Market(step("0.04")))
