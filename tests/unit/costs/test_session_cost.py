"""Cost of sessions and runs: golden numbers, the first-hour rule, conservation."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.costs.prices import InstancePrice, PriceStep, integrate_usd, load_on_demand_prices
from spotproof.costs.run_cost import run_cost
from spotproof.costs.session_cost import WorkedSession, first_hour_free, session_cost
from spotproof.errors import AwsAccessError

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
M5_LARGE = InstancePrice(vcpus=2, usd_per_hour=Decimal("0.096"))


def worked(
    *, minutes: float = 60, lifecycle: str = "spot", reclaimed: bool = False, vcpus: float = 1.0, **ledger: int
) -> WorkedSession:
    return WorkedSession(
        session_id="s", instance_type="m5.large", zone="us-east-1a", lifecycle=lifecycle, vcpus=vcpus,
        started_at=T0, ended_at=T0 + timedelta(minutes=minutes), host_seen_at=T0, reclaimed=reclaimed, **ledger,
    )  # fmt: skip


class OnePrice:
    """Spot prices of a made-up market."""

    def __init__(self, usd_per_hour: str) -> None:
        self.usd_per_hour = Decimal(usd_per_hour)
        self.asked = 0

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        self.asked += 1
        return (PriceStep(since=since - timedelta(days=1), usd_per_hour=self.usd_per_hour),)


class NoPermission:
    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        raise AwsAccessError("no permission")


def test_a_price_change_in_the_middle_is_charged_from_its_moment() -> None:
    steps = [
        PriceStep(since=T0 - timedelta(hours=9), usd_per_hour=Decimal("0.03")),
        PriceStep(since=T0 + timedelta(minutes=30), usd_per_hour=Decimal("0.05")),
        PriceStep(since=T0 + timedelta(hours=9), usd_per_hour=Decimal("9")),
    ]

    assert integrate_usd(steps, since=T0, until=T0 + timedelta(hours=1)) == Decimal("0.04")


def test_steps_out_of_order_and_no_steps_are_errors() -> None:
    late = PriceStep(since=T0, usd_per_hour=Decimal(1))
    early = PriceStep(since=T0 - timedelta(hours=1), usd_per_hour=Decimal(1))

    for steps in ([], [late, early]):
        with pytest.raises(ValueError, match="price steps"):
            integrate_usd(steps, since=T0, until=T0)


def test_half_a_host_for_ninety_minutes_by_hand() -> None:
    session = worked(minutes=90, work_ms=60 * 60_000, redone_ms=9 * 60_000, checkpoint_ms=6 * 60_000, idle_ms=0)

    cost = session_cost(session, steps=[PriceStep(since=T0, usd_per_hour=Decimal("0.04"))], on_demand=M5_LARGE)

    assert cost.usd == Decimal("0.03")  # 1.5 h x $0.04 x 1/2
    assert cost.on_demand_usd == Decimal("0.072")
    assert (cost.split.work, cost.split.redone, cost.split.checkpoint) == (
        Decimal("0.02"), Decimal("0.003"), Decimal("0.002"),
    )  # fmt: skip
    assert (cost.split.idle, cost.split.boot) == (Decimal(0), Decimal("0.005"))


@pytest.mark.parametrize(
    ("session", "free"),
    [
        (worked(minutes=54, reclaimed=True), True),
        (worked(minutes=55, reclaimed=True), False),  # its host may be an hour old: in doubt it is charged
        (worked(minutes=54, reclaimed=False), False),  # ended by itself: charged by the second
        (worked(minutes=54, reclaimed=True, lifecycle="on-demand"), False),
        (worked(minutes=54, reclaimed=True, lifecycle=""), False),
    ],
)
def test_only_a_spot_host_reclaimed_by_ec2_in_its_first_hour_is_free(session: WorkedSession, free: bool) -> None:
    assert first_hour_free(session) is free

    cost = session_cost(session, steps=[PriceStep(since=T0, usd_per_hour=Decimal("0.04"))], on_demand=M5_LARGE)
    assert (cost.usd == 0) is free
    assert (cost.free_usd > 0) is free


def test_a_second_worker_on_an_old_host_is_not_free() -> None:
    first = worked(minutes=10, reclaimed=True)
    late = WorkedSession(
        session_id="late", instance_type="m5.large", zone="us-east-1a", lifecycle="spot", vcpus=1.0, reclaimed=True,
        started_at=T0 + timedelta(minutes=58), ended_at=T0 + timedelta(minutes=62), host_seen_at=first.host_seen_at,
    )  # fmt: skip

    assert not first_hour_free(late)


@settings(max_examples=300, deadline=None)
@given(
    seconds=st.integers(0, 10**7),
    price=st.decimals("0.0001", "40", places=4),
    cuts=st.lists(st.integers(0, 10**7), max_size=5),
    ledger=st.tuples(*[st.integers(0, 10**10)] * 4),
    vcpus=st.sampled_from([0.0, 0.25, 1.0, 2.0, 64.0]),
    reclaimed=st.booleans(),
)
def test_the_split_adds_up_exactly_whatever_the_ledger_says(
    seconds: int, price: Decimal, cuts: list[int], ledger: tuple[int, int, int, int], vcpus: float, reclaimed: bool
) -> None:
    session = worked(
        minutes=seconds / 60, reclaimed=reclaimed, vcpus=vcpus,
        work_ms=ledger[0], redone_ms=ledger[1], checkpoint_ms=ledger[2], idle_ms=ledger[3],
    )  # fmt: skip
    steps = [PriceStep(since=T0 + timedelta(seconds=cut), usd_per_hour=price + cut % 7) for cut in sorted(cuts)]
    steps = steps or [PriceStep(since=T0, usd_per_hour=price)]

    cost = session_cost(session, steps=steps, on_demand=M5_LARGE)

    assert cost.split.total == cost.usd
    parts = (cost.split.work, cost.split.redone, cost.split.checkpoint, cost.split.idle, cost.split.boot)
    assert all(part >= 0 for part in parts)
    assert cost.usd == 0 or cost.free_usd == 0


@settings(max_examples=200, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 100_000), max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 900)), min_size=1, max_size=6),
)
def test_sessions_that_share_a_hosts_time_add_up_to_its_bill(cuts: list[int], changes: list[tuple[int, int]]) -> None:
    steps = [
        PriceStep(since=T0 + timedelta(seconds=at), usd_per_hour=Decimal(cents) / 100) for at, cents in sorted(changes)
    ]
    edges = [0, *sorted(cuts), 100_000]
    moments = [T0 + timedelta(seconds=edge) for edge in edges]

    parts = sum(
        (integrate_usd(steps, since=since, until=until) for since, until in pairwise(moments)),
        Decimal(0),
    )

    # What each part takes as "before the first step" is the same price, so cutting the time changes nothing.
    assert abs(parts - integrate_usd(steps, since=moments[0], until=moments[-1])) < Decimal("1e-6")


def test_a_run_adds_its_sessions_and_asks_for_each_pool_once() -> None:
    market = OnePrice("0.04")
    sessions = [worked(minutes=60), worked(minutes=30), worked(minutes=60, lifecycle="on-demand")]

    cost = run_cost(sessions, on_demand={"m5.large": M5_LARGE}, spot=market)

    assert market.asked == 1
    assert cost.usd == Decimal("0.02") + Decimal("0.01") + Decimal("0.048")
    assert cost.on_demand_usd == Decimal("0.12")
    assert cost.savings_percent == Decimal("35.0")
    assert cost.split.total == cost.usd
    assert cost.as_fields()["usd"] == "0.078000"


def test_without_spot_prices_the_on_demand_price_stands_in_and_is_called_an_estimate() -> None:
    cost = run_cost([worked(minutes=60)], on_demand={"m5.large": M5_LARGE}, spot=NoPermission())

    assert cost.usd == Decimal("0.048")
    assert cost.estimated_seconds == 3600
    assert cost.savings_percent == 0


def test_a_type_nobody_can_price_is_counted_apart() -> None:
    cost = run_cost([worked(minutes=60)], on_demand={}, spot=NoPermission())

    assert (cost.usd, cost.unpriced_seconds, cost.savings_percent) == (Decimal(0), Decimal(3600), None)


def test_a_run_without_sessions_costs_nothing() -> None:
    cost = run_cost([], on_demand={}, spot=NoPermission())

    assert (cost.sessions, cost.usd, cost.savings_percent) == (0, Decimal(0), None)


def test_a_session_that_ends_before_it_started_costs_nothing() -> None:
    cost = run_cost([worked(minutes=-5)], on_demand={"m5.large": M5_LARGE}, spot=OnePrice("0.04"))

    assert (cost.usd, cost.seconds) == (Decimal(0), Decimal(0))


def test_the_shipped_snapshot_has_every_size_at_its_multiple() -> None:
    prices = load_on_demand_prices()

    assert prices["m5.large"] == M5_LARGE
    for name, price in prices.items():
        family = name.partition(".")[0]
        factor = Decimal(price.vcpus) / 2
        assert price.usd_per_hour == prices[f"{family}.large"].usd_per_hour * factor
