"""Spot prices as DescribeSpotPriceHistory gives them."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from spotproof.costs.prices import EC2SpotPrices
from spotproof.errors import AwsAccessError
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class PagedHistory:
    """Answers like EC2: newest first, page by page."""

    def __init__(self, pages: list[list[tuple[datetime, str]]]) -> None:
        self.pages = pages
        self.requests: list[dict[str, Any]] = []

    def describe_spot_price_history(self, **parameters: Any) -> dict[str, Any]:
        self.requests.append(parameters)
        page = int(parameters.get("NextToken", "0"))
        more = str(page + 1) if page + 1 < len(self.pages) else ""
        entries = [{"Timestamp": moment, "SpotPrice": price} for moment, price in self.pages[page]]
        return {"SpotPriceHistory": entries, "NextToken": more}


class Refusing:
    def describe_spot_price_history(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeSpotPriceHistory")


def prices_from(client: object) -> EC2SpotPrices:
    return EC2SpotPrices(client=cast(Any, client), retrier=Retrier(clock=FakeClock(), rng=random.Random(1)))


def test_all_pages_are_read_and_sorted_oldest_first() -> None:
    history = PagedHistory([[(T0, "0.05"), (T0 - timedelta(hours=1), "0.04")], [(T0 - timedelta(hours=5), "0.03")]])

    steps = prices_from(history).steps(instance_type="m5.large", zone="us-east-1a", since=T0, until=T0)

    assert [step.usd_per_hour for step in steps] == [Decimal("0.03"), Decimal("0.04"), Decimal("0.05")]
    assert history.requests[0]["ProductDescriptions"] == ["Linux/UNIX"]
    assert "NextToken" not in history.requests[0]


def test_no_permission_is_our_access_error() -> None:
    with pytest.raises(AwsAccessError, match="reading spot prices"):
        prices_from(Refusing()).steps(instance_type="m5.large", zone="us-east-1a", since=T0, until=T0)
