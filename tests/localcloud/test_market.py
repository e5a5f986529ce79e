"""The Spot market and the choice of a pool."""

import pytest

from localcloud.catalog import TYPES, expand, instance_type
from localcloud.errors import UsageError
from localcloud.market import Market, Pool, choose_on_demand, choose_spot

ZONES = ("us-east-1a", "us-east-1b")


def _market(seed: int = 0, now: float = 1_000_000.0) -> Market:
    return Market(seed=seed, now=lambda: now)


def _pool(name: str, *, price: float, free: int = 50, risk: float = 0.05) -> Pool:
    return Pool(type=TYPES[name], zone="us-east-1a", subnet="s", price_usd=price, free=free, risk=risk)


def test_one_seed_is_one_market_and_another_seed_another() -> None:
    def prices(seed: int) -> list[float]:
        return [_market(seed).price_usd(kind, zone) for kind in TYPES.values() for zone in ZONES]

    assert prices(1) == prices(1)
    assert prices(1) != prices(2)


def test_spot_is_always_cheaper_than_on_demand() -> None:
    market = _market()

    assert all(0 < market.price_usd(kind, zone) < kind.on_demand_usd for kind in TYPES.values() for zone in ZONES)


def test_a_price_holds_for_an_hour() -> None:
    kind = TYPES["m5.large"]

    same, other = _market(now=3600.0), _market(now=7199.0)

    assert same.price_usd(kind, "us-east-1a") == other.price_usd(kind, "us-east-1a")
    assert same.price_usd(kind, "us-east-1a") != same.price_usd(kind, "us-east-1a", at_s=7200.0)


def test_the_most_exact_capacity_wins_and_everything_resets_all() -> None:
    market, kind = _market(), TYPES["m5.large"]

    market.set_capacity("*", 0)
    market.set_capacity("m5.large/*", 3)
    market.set_capacity("m5.large/us-east-1b", 1)

    assert market.capacity(kind, "us-east-1a") == 3
    assert market.capacity(kind, "us-east-1b") == 1
    assert market.capacity(TYPES["c5.large"], "us-east-1a") == 0
    market.set_capacity("*", 7)
    assert market.capacity(kind, "us-east-1b") == 7


def test_a_pool_of_a_type_nobody_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no instance type 'm5\.tiny'"):
        _market().set_capacity("m5.tiny/*", 0)


def test_a_somewhat_dearer_pool_with_room_beats_a_cheap_one_that_is_nearly_empty() -> None:
    cheap, roomy = _pool("m5.large", price=0.030, free=1), _pool("c5.large", price=0.035, free=60)

    assert choose_spot([cheap, roomy]) is roomy


def test_a_risky_pool_is_avoided_at_a_similar_price() -> None:
    risky, calm = _pool("m5.large", price=0.030, risk=0.2), _pool("c5.large", price=0.032, risk=0.02)

    assert choose_spot([risky, calm]) is calm


def test_an_empty_pool_is_no_choice() -> None:
    assert choose_spot([_pool("m5.large", price=0.03, free=0)]) is None


def test_on_demand_takes_the_lowest_price_for_a_vcpu() -> None:
    pools = [_pool(name, price=TYPES[name].on_demand_usd) for name in ("m5.large", "c6a.large", "r5.large")]

    chosen = choose_on_demand(pools)

    assert chosen is not None
    assert chosen.type.name == "c6a.large"


def test_families_and_bundles_expand_to_types_and_unknown_names_to_none() -> None:
    assert [kind.name for kind in expand(["c5", "c5.large", "p9.nano"])] == [
        "c5.large",
        "c5.xlarge",
        "c5.2xlarge",
        "c5.4xlarge",
    ]
    assert {kind.family for kind in expand(["optimal"])} == {"m5", "c5", "r5"}


def test_the_catalog_holds_the_common_types_and_offers_less_than_their_memory() -> None:
    assert len(TYPES) >= 40
    assert instance_type("r6i.xlarge").memory_mib == 32768
    assert all(kind.registered_memory_mib < kind.memory_mib for kind in TYPES.values())
