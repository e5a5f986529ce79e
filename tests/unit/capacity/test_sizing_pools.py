"""Pools by what a useful hour costs in them."""

from dataclasses import replace
from typing import Any

import pytest

from spotproof.capacity.sizing.pools import PoolPrice, RankedPool, WorkerSize, rank_pools, usual_price
from spotproof.capacity.sizing.record import PoolUse

SIZE = WorkerSize(vcpus=1, memory_mib=1800)
HOUR_MS = 3_600_000


def a_price(instance_type: str = "m5.large", zone: str = "a", usd: float = 0.04, **changes: Any) -> PoolPrice:
    price = PoolPrice(
        instance_type=instance_type, zone=zone, lifecycle="spot", vcpus=2, memory_mib=7700, usd_per_hour=usd
    )
    return replace(price, **changes)


def a_use(zone: str = "a", *, hours: float = 100.0, interruptions: int = 0, **changes: Any) -> PoolUse:
    use = PoolUse(
        instance_type="m5.large", zone=zone, lifecycle="spot", sessions=1, session_ms=round(hours * HOUR_MS),
        interruptions=interruptions,
    )  # fmt: skip
    return replace(use, **changes)


def rank(
    *prices: PoolPrice, uses: tuple[PoolUse, ...] = (), size: WorkerSize = SIZE, **changes: Any
) -> list[RankedPool]:
    given: dict[str, Any] = {"busy_share": 1.0, "relative_times": {}} | changes
    return list(rank_pools(prices, uses, size=size, **given))


def test_a_worker_pays_its_share_of_the_host_and_for_what_fits_nobody() -> None:
    (two,) = rank(a_price())
    (one,) = rank(a_price(), size=WorkerSize(vcpus=1, memory_mib=4000))  # half of the host's vCPUs stay empty

    assert [two.workers_per_host, two.usd_per_worker_hour] == pytest.approx([2, 0.02])
    assert [one.workers_per_host, one.usd_per_worker_hour] == pytest.approx([1, 0.04])


def test_a_pool_that_holds_no_worker_is_left_out() -> None:
    assert rank(a_price(), size=WorkerSize(vcpus=4, memory_mib=100)) == []
    assert rank(a_price(), size=WorkerSize(vcpus=1, memory_mib=8000)) == []


def test_of_two_pools_at_one_price_the_quieter_is_first() -> None:
    restless, quiet = rank(a_price(zone="a"), a_price(zone="b"), uses=(a_use("a", interruptions=300), a_use("b")))[::-1]

    assert (quiet.price.zone, restless.price.zone) == ("b", "a")
    assert restless.rate_per_h == pytest.approx((0.5 + 300) / 110)
    assert restless.usd_per_useful_vcpu_hour == pytest.approx(0.02 * (1 + 0.1 * restless.rate_per_h))


def test_a_price_low_enough_makes_up_for_interruptions() -> None:
    first, _ = rank(a_price(zone="a", usd=0.02), a_price(zone="b"), uses=(a_use("a", interruptions=300), a_use("b")))

    assert first.price.zone == "a"


def test_a_pool_that_was_never_used_is_judged_by_the_prior() -> None:
    (pool,) = rank(a_price())

    assert pool.rate_per_h == pytest.approx(0.05)
    assert "never used" in pool.reason


def test_on_demand_hosts_are_not_expected_to_be_taken() -> None:
    (pool,) = rank(a_price(zone="", lifecycle="on-demand"))

    assert pool.rate_per_h == 0


def test_uses_of_one_pool_add_up_and_other_lifecycles_do_not_count() -> None:
    (pool,) = rank(a_price(), uses=(a_use(interruptions=1), a_use(interruptions=2), a_use(lifecycle="on-demand")))

    assert [pool.hours_seen, pool.interruptions_seen] == pytest.approx([200, 3])


def test_slow_types_and_idle_workers_make_hours_dearer() -> None:
    usual, slow = rank(a_price("m5.large"), a_price("m5a.large"), relative_times={"m5a.large": 1.5}, busy_share=0.5)

    assert slow.price.instance_type == "m5a.large"
    assert slow.usd_per_useful_vcpu_hour == pytest.approx(1.5 * usual.usd_per_useful_vcpu_hour)
    assert usual.useful_share == pytest.approx(0.5 / 1.005)


def test_an_open_breaker_puts_a_spot_pool_last_whatever_it_costs() -> None:
    ranked = rank(
        a_price(usd=0.001),
        a_price(zone="b", usd=9.0),
        a_price(lifecycle="on-demand"),
        open_pools=frozenset({"m5.large/a"}),
    )

    assert [pool.is_open for pool in ranked] == [False, False, True]
    assert "breaker is open" in ranked[-1].reason


def test_the_usual_price_is_that_of_the_best_few() -> None:
    pools = rank(*(a_price(zone=str(number), usd=0.02 * (number + 1)) for number in range(8)))

    assert usual_price(pools) == pytest.approx(0.03)
    assert usual_price([]) is None
