"""A run's cost: its workers, its part of what nobody used, what was wasted, what was saved."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.costs.host_bill import Unallocated
from spotproof.costs.prices import PriceStep
from spotproof.costs.run_cost import RunCost, run_cost
from spotproof.costs.worked_session import WorkedSession
from tests.unit.costs.builders import T0, Market, a_book, step, worked


def cost(*sessions: WorkedSession, market: Market | None = None, run_id: str = "r") -> RunCost:
    return run_cost(sessions, run_id=run_id, book=a_book(market or Market(step("0.04"))))


def test_half_a_host_for_ninety_minutes_by_hand() -> None:
    ledger: dict[str, Any] = {"work_ms": 60 * 60_000, "redone_ms": 9 * 60_000, "checkpoint_ms": 6 * 60_000}

    found = cost(worked(until=90, **ledger))

    assert found.usd == Decimal("0.03")  # 1.5 h x $0.04 x 1/2
    assert found.unallocated == Unallocated(spare=Decimal("0.03"))
    assert found.total_usd == Decimal("0.06")
    assert (found.split.work, found.split.redone, found.split.checkpoint) == (
        Decimal("0.02"), Decimal("0.003"), Decimal("0.002"),
    )  # fmt: skip
    assert (found.split.idle, found.split.boot, found.split.premium) == (Decimal(0), Decimal("0.005"), Decimal(0))
    assert found.wasted_usd == Decimal("0.04")
    assert (found.on_demand_usd, found.saved_usd) == (Decimal("0.072"), Decimal("0.042"))
    assert found.savings_percent == Decimal("58.3")


def test_efficiency_is_useful_vcpu_seconds_of_all_that_the_run_has_to_answer_for() -> None:
    """Two vCPUs for 100 minutes are 12000 s; one worker did useful work for 50 minutes on one of them."""
    found = cost(worked(since=10, until=100, work_ms=50 * 60_000))

    assert (found.useful_vcpu_s, found.paid_vcpu_s) == (Decimal(3000), Decimal(12000))
    assert found.efficiency == Decimal("0.250")


def test_a_worker_without_known_vcpus_is_the_whole_host() -> None:
    found = cost(worked(until=60, vcpus=0.0, work_ms=30 * 60_000))

    assert found.efficiency == Decimal("0.500")


def test_runs_on_one_host_share_what_nobody_used_by_what_they_used() -> None:
    mine, other = worked("a", since=15, until=60), worked("b", since=45, until=60, run_id="other")

    found = cost(mine, other)

    assert found.usd == Decimal("0.015")  # 45 minutes x 1/2
    # Nobody used 15 minutes before them and half of the next 30: 1 cent each; three quarters of the use is mine.
    assert found.unallocated == Unallocated(boot=Decimal("0.0075"), spare=Decimal("0.0075"))
    assert cost(mine, other, run_id="other").total_usd == Decimal("0.01")
    assert cost(mine, other, run_id="nobody").total_usd == 0


def test_the_fallback_premium_is_what_on_demand_costs_more_than_spot_would_have() -> None:
    found = cost(worked(until=60, vcpus=2.0, lifecycle="on-demand", work_ms=30 * 60_000))

    assert found.usd == Decimal("0.096")
    assert found.split.premium == Decimal("0.056")
    assert (found.split.work, found.split.boot) == (Decimal("0.02"), Decimal("0.02"))
    assert found.split.total == found.usd
    assert (found.saved_usd, found.savings_percent) == (Decimal(0), Decimal("0.0"))


def test_where_spot_would_have_cost_more_or_nobody_knows_there_is_no_premium() -> None:
    session = worked(until=60, lifecycle="on-demand")

    assert cost(session, market=Market(step("0.2"))).split.premium == 0
    assert cost(session, market=Market(known=False)).split.premium == 0


def test_a_run_adds_its_sessions_and_asks_for_each_pool_once() -> None:
    market = Market(step("0.04"))
    sessions = [
        worked("a", until=60), worked("b", until=30, instance_id="i-2"),
        worked("c", until=60, lifecycle="on-demand", instance_id="i-3"),
    ]  # fmt: skip

    found = cost(*sessions, market=market)

    assert len(market.asked) == 1
    assert found.usd == Decimal("0.02") + Decimal("0.01") + Decimal("0.048")
    assert found.on_demand_usd == Decimal("0.12")
    assert found.savings_percent == Decimal("35.0")
    assert (found.hosts, len(found.sessions), found.seconds) == (3, 3, Decimal(9000))
    assert found.as_fields()["usd"] == "0.078000"
    assert found.as_fields()["total_usd"] == "0.156000"


def test_what_the_first_hour_rule_spares_is_shown_and_not_charged() -> None:
    found = cost(worked(until=30, vcpus=2.0, reclaimed_at=T0 + timedelta(minutes=30), work_ms=15 * 60_000))

    assert (found.usd, found.free_usd, found.unallocated.total) == (Decimal(0), Decimal("0.02"), Decimal(0))
    assert found.saved_usd == Decimal("0.048")
    assert found.efficiency == Decimal("0.500")


def test_an_estimate_and_what_nobody_can_price_are_counted_in_seconds() -> None:
    found = cost(
        worked("a", until=60), worked("b", until=30, instance_id="i-2", instance_type="x9.odd"), market=Market()
    )

    assert (found.estimated_seconds, found.unpriced_seconds) == (Decimal(3600), Decimal(1800))
    assert (found.usd, found.savings_percent) == (Decimal("0.048"), Decimal("0.0"))


def test_a_run_without_sessions_costs_nothing() -> None:
    found = cost()

    assert (found.usd, found.savings_percent, found.efficiency) == (Decimal(0), None, None)


@settings(max_examples=300, deadline=None)
@given(
    seconds=st.integers(0, 10**7),
    price=st.decimals("0.0001", "40", places=4),
    cuts=st.lists(st.integers(0, 10**7), max_size=5),
    ledger=st.tuples(*[st.integers(0, 10**10)] * 4),
    vcpus=st.sampled_from([0.0, 0.25, 1.0, 2.0, 64.0]),
    lifecycle=st.sampled_from(["spot", "on-demand"]),
)
def test_the_split_adds_up_exactly_whatever_the_ledger_says(
    seconds: int, price: Decimal, cuts: list[int], ledger: tuple[int, int, int, int], vcpus: float, lifecycle: str
) -> None:
    session = worked(
        until=seconds / 60, vcpus=vcpus, lifecycle=lifecycle,
        work_ms=ledger[0], redone_ms=ledger[1], checkpoint_ms=ledger[2], idle_ms=ledger[3],
    )  # fmt: skip
    steps = [PriceStep(since=T0 + timedelta(seconds=cut), usd_per_hour=price + cut % 7) for cut in sorted(cuts)]

    found = cost(session, market=Market(*(steps or [PriceStep(since=T0, usd_per_hour=price)])))

    split = found.split
    assert split.total == found.usd
    assert min(split.work, split.redone, split.checkpoint, split.idle, split.boot, split.premium) >= 0
    assert found.total_usd == split.work + found.wasted_usd
    assert found.efficiency is None or 0 <= found.efficiency <= 1
