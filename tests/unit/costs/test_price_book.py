"""Prices are asked for once a pool, remembered for ten minutes, and missing ones are no error."""

import pytest
from botocore.exceptions import ClientError

from spotproof.costs.price_book import PoolTime, PriceBook
from spotproof.costs.prices import PriceStep
from tests.unit.costs.builders import T0, Market, a_book, minutes, step


def pool_time(since: float, until: float, *, zone: str = "us-east-1a") -> PoolTime:
    return PoolTime(instance_type="m5.large", zone=zone, since=T0 + minutes(since), until=T0 + minutes(until))


def test_a_pool_is_asked_for_once_over_all_its_hosts() -> None:
    market = Market(step("0.04"))

    a_book(market).look_up([pool_time(5, 20), pool_time(0, 10), pool_time(30, 60), pool_time(0, 9, zone="us-east-1b")])

    assert [(zone, since, until) for _, zone, since, until in market.asked] == [
        ("us-east-1a", T0, T0 + minutes(60)),
        ("us-east-1b", T0, T0 + minutes(9)),
    ]


def test_a_price_holds_for_ten_minutes_before_it_is_asked_for_again_and_earlier_times_at_once() -> None:
    market = Market(step("0.04"))
    book = a_book(market)

    for until in (60, 65, 70, 71):
        book.look_up([pool_time(0, until)])
    book.look_up([pool_time(-5, 10)])

    assert [(since, until) for _, _, since, until in market.asked] == [
        (T0, T0 + minutes(60)),
        (T0, T0 + minutes(71)),
        (T0 - minutes(5), T0 + minutes(71)),
    ]


class Unknown:
    def steps(self, **_: object) -> tuple[PriceStep, ...]:
        raise ClientError({"Error": {"Code": "InvalidParameterValue", "Message": "no such type"}}, "Describe")


@pytest.mark.parametrize("market", [Market(), Market(known=False), Unknown()])
def test_what_ec2_does_not_tell_is_none_and_not_asked_for_again_at_once(market: Market) -> None:
    book = PriceBook(on_demand={}, spot=market)

    book.look_up([pool_time(0, 60)])
    book.look_up([pool_time(0, 61)])

    assert book.spot("m5.large", "us-east-1a") is None
    assert book.on_demand("m5.large") is None
    assert len(getattr(market, "asked", [0])) == 1
