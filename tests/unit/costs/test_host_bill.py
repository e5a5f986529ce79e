"""An instance's bill and its division: golden numbers by hand, and conservation over any timeline."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.costs.host_bill import Division, HostBill, Unallocated
from spotproof.costs.price_curve import QUANTUM, PriceCurve, as_usd, microseconds, whole_pico
from spotproof.costs.prices import InstancePrice
from spotproof.costs.run_cost import bill_hosts, cost_of_bills
from spotproof.costs.worked_session import WorkedSession
from tests.unit.costs.builders import LISTED, T0, Market, a_book, minutes, step, worked

LISTED_TYPES = LISTED | {"r5.xlarge": InstancePrice(vcpus=4, usd_per_hour=Decimal("0.252"), memory_mib=32768)}


def bill(*sessions: WorkedSession, market: Market | None = None) -> HostBill:
    (found,) = bill_hosts(sessions, a_book(market or Market(step("0.06"))))
    return found


def cents(division: Division) -> list[str]:
    return [str((100 * usd).normalize()) for usd in division.sessions]


def test_half_a_host_leaves_the_other_half_to_nobody() -> None:
    found = bill(worked(since=10, until=60))

    assert found.usd == Decimal("0.06")  # an hour from the launch on
    assert cents(found.charged) == ["2.5"]  # 50 minutes x 1/2
    assert found.charged.unallocated == Unallocated(boot=Decimal("0.01"), idle=Decimal(0), spare=Decimal("0.025"))


def test_time_between_workers_is_idle_and_two_halves_make_a_whole() -> None:
    found = bill(worked("a", since=0, until=20), worked("b", since=0, until=20), worked("c", since=40, until=60))

    assert cents(found.charged) == ["1", "1", "1"]
    assert found.charged.unallocated == Unallocated(boot=Decimal(0), idle=Decimal("0.02"), spare=Decimal("0.01"))


def test_workers_whose_shares_exceed_the_host_divide_the_whole() -> None:
    """One needs 3/4 of the vCPUs, the other 3/4 of the memory: each has half while both are there."""
    found = bill(worked("a", vcpus=1.5, until=60), worked("b", vcpus=0.1, memory_mib=6144, since=30, until=60))

    # a: 30 min x 3/4 + 30 min x 1/2; b: 30 min x 1/2; spare: 30 min x 1/4
    assert cents(found.charged) == ["3.75", "1.5"]
    assert found.charged.unallocated.total == Decimal("0.0075")


def test_a_free_host_costs_nothing_and_shows_what_was_spared() -> None:
    found = bill(worked(since=10, until=28, reclaimed_at=T0 + minutes(30)))

    assert found.usd == 0
    assert found.spared.total == Decimal("0.03")
    assert cents(found.spared) == ["0.9"]


def test_a_short_life_is_charged_a_minute_and_the_rest_of_it_is_idle() -> None:
    found = bill(worked(vcpus=2.0, since=0, until=0.25))

    assert found.usd == Decimal("0.001")
    assert cents(found.charged) == ["0.025"]
    assert found.charged.unallocated.idle == Decimal("0.00075")


def test_without_spot_prices_the_on_demand_price_stands_in_and_is_called_an_estimate() -> None:
    found = bill(worked(until=60), market=Market(known=False))

    assert (found.usd, found.estimated, found.unpriced) == (Decimal("0.096"), True, False)


def test_on_demand_hosts_are_charged_as_listed_and_know_what_spot_would_have_cost() -> None:
    found = bill(worked(until=60, lifecycle="on-demand"))

    assert found.spot is not None
    assert (cents(found.charged), cents(found.spot), found.estimated) == (["4.8"], ["3"], False)


def test_a_type_that_nobody_can_price_costs_nothing_and_says_so() -> None:
    found = bill(worked(until=60, instance_type="x9.odd"), market=Market(known=False))

    assert (found.usd, found.unpriced, found.on_demand) == (Decimal(0), True, None)


def test_a_session_that_ends_before_it_started_costs_nothing() -> None:
    found = bill(worked("a", since=30, until=20), worked("b", since=0, until=60))

    assert cents(found.charged) == ["3", "0"]  # by their starts


moments = st.integers(-30, 7200)
sessions = st.builds(
    lambda number, run, host, start, lasts, vcpus, memory, kind, life, launch, notice: worked(
        f"s{number}",
        since=start / 7,
        until=(start + lasts) / 7,
        run_id=f"r{run}",
        instance_id=f"i-{kind}-{life}-{host}",
        instance_type=kind,
        lifecycle=life,
        vcpus=vcpus,
        memory_mib=memory,
        launched_at=None if launch is None else T0 + minutes((start - launch) / 7),
        reclaimed_at=T0 + minutes((start + lasts + notice) / 7) if notice is not None else None,
    ),
    number=st.integers(0, 10**6),
    run=st.integers(0, 2),
    host=st.integers(0, 2),
    start=moments,
    lasts=st.integers(-5, 900),
    vcpus=st.sampled_from([0.0, 0.1, 0.25, 1.0, 1.5, 2.0, 3.0, 64.0]),
    memory=st.sampled_from([0, 100, 1800, 6144, 7000, 31000]),
    kind=st.sampled_from(["m5.large", "r5.xlarge", "x9.odd"]),
    life=st.sampled_from(["spot", "on-demand", ""]),
    launch=st.one_of(st.none(), st.integers(-2, 90)),
    notice=st.one_of(st.none(), st.none(), st.integers(0, 14)),
)
markets = st.lists(
    st.tuples(st.integers(-200, 7000), st.decimals("0.0001", "3", places=4)), min_size=0, max_size=6
).map(lambda changes: Market(*(step(str(usd), since=at) for at, usd in sorted(changes))))


@settings(max_examples=400, deadline=None)
@given(lives=st.lists(sessions, min_size=1, max_size=12, unique_by=lambda each: each.session_id), market=markets)
def test_runs_and_what_nobody_used_add_up_to_the_instances_exactly(lives: list[WorkedSession], market: Market) -> None:
    book = a_book(market, listed=LISTED_TYPES)

    bills = bill_hosts(lives, book)

    runs = sum((cost_of_bills(bills, run_id=f"r{number}").usd for number in range(3)), Decimal(0))
    unallocated = sum((each.charged.unallocated.total for each in bills), Decimal(0))
    instances = sum(
        (instance_usd(each, book.spot(each.life.instance_type, each.life.zone)) for each in bills), Decimal(0)
    )
    assert runs + unallocated == instances
    blamed = sum((cost_of_bills(bills, run_id=f"r{number}").total_usd for number in range(3)), Decimal(0))
    assert 0 <= instances - blamed < 20 * QUANTUM * len(bills)  # three parts of each host, each rounded down
    for each in bills:
        parts = (*each.charged.sessions, *each.spared.sessions)
        rest = each.charged.unallocated
        assert min(*parts, rest.boot, rest.idle, rest.spare) >= 0


def instance_usd(each: HostBill, spot: PriceCurve | None) -> Decimal:
    """What EC2 charges for the instance, worked out without looking at its workers."""
    life = each.life
    if life.is_free:
        return Decimal(0)
    listed = LISTED_TYPES.get(life.instance_type)
    on_demand = None if listed is None else PriceCurve([step(str(listed.usd_per_hour))])
    curve = (spot or on_demand) if life.lifecycle == "spot" else on_demand
    if curve is None:
        return Decimal(0)
    area = curve.area(microseconds(life.charged_from), microseconds(life.charged_until))
    return as_usd(whole_pico(Fraction(area)))


@settings(max_examples=200, deadline=None)
@given(lives=st.lists(sessions, min_size=1, max_size=8, unique_by=lambda each: each.session_id))
def test_no_session_gets_more_than_its_share_of_its_time(lives: list[WorkedSession]) -> None:
    for each in bill_hosts(lives, a_book(Market(step("0.36")), listed=LISTED_TYPES)):
        if each.life.lifecycle != "spot":
            continue
        for session, usd in zip(each.life.sessions, each.charged.sessions, strict=True):
            seconds = max(0.0, (session.ended_at - session.started_at).total_seconds())
            assert usd <= Decimal(str(round(seconds, 6))) * Decimal("0.0001") + 20 * QUANTUM


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_sessions_are_read_does_not_matter(order: int) -> None:
    stays = [worked(f"s{n}", since=n, until=n + 9, vcpus=1.5) for n in range(6)]

    found = bill(*stays[::order])

    assert found == bill(*stays)
