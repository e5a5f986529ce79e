"""Shards and overhead add up to what a run's workers cost."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.costs.run_cost import run_cost
from spotproof.costs.shard_cost import ShardWork, shard_costs, work_usd
from tests.unit.costs.builders import T0, Market, a_book, minutes, step, worked

MINUTE = 60_000


def shard(index: int, worked_minutes: float, *, by: str = "a", earlier: float = 0) -> ShardWork:
    return ShardWork(
        index=index, session_id=by, worked_ms=int(worked_minutes * MINUTE), earlier_ms=int(earlier * MINUTE)
    )


def test_a_shard_costs_its_work_at_the_rate_of_the_worker_that_did_it() -> None:
    """Worker a: $0.04 an hour, half a host. Worker b: on demand, $0.048 an hour."""
    on_demand = worked("b", until=60, lifecycle="on-demand", instance_id="i-2")
    cost = run_cost([worked("a", until=60), on_demand], run_id="r", book=a_book())

    found = shard_costs([shard(1, 30, by="b"), shard(0, 15)], cost)

    assert [(each.work.index, each.usd) for each in found.shards] == [(0, Decimal("0.005")), (1, Decimal("0.024"))]
    assert found.overhead_usd == Decimal("0.039")
    assert found.shards_usd + found.overhead_usd == cost.usd


def test_earlier_work_has_the_runs_mean_rate() -> None:
    cost = run_cost([worked("a", until=60), worked("b", until=60, instance_id="i-2")], run_id="r", book=a_book())

    found = shard_costs([shard(0, 15, earlier=30)], cost)

    assert found.shards[0].usd == Decimal("0.015")


def test_work_of_hosts_that_were_free_costs_nothing_and_takes_nothing_from_the_others() -> None:
    free = worked("a", until=30, reclaimed_at=T0 + minutes(30))
    cost = run_cost([free, worked("b", until=60, instance_id="i-2")], run_id="r", book=a_book())

    found = shard_costs([shard(0, 20), shard(1, 60, by="b", earlier=500)], cost)

    assert [each.usd for each in found.shards] == [Decimal(0), Decimal("0.02")]
    assert found.overhead_usd == 0


def test_work_of_a_session_that_is_not_in_the_table_is_priced_like_earlier_work() -> None:
    cost = run_cost([worked("a", until=60)], run_id="r", book=a_book())

    assert shard_costs([shard(0, 30, by="gone")], cost).shards[0].usd == Decimal("0.01")


def test_useful_work_is_priced_at_each_sessions_rate() -> None:
    cost = run_cost([worked("a", until=60, work_ms=15 * MINUTE)], run_id="r", book=a_book())

    assert work_usd(cost) == Decimal("0.005")


works = st.builds(
    ShardWork,
    index=st.integers(0, 99),
    session_id=st.sampled_from(["a", "b", "c", "gone"]),
    worked_ms=st.integers(0, 10**8),
    earlier_ms=st.sampled_from([0, 0, 1, 10**4, 10**9]),
)


@settings(max_examples=300, deadline=None)
@given(
    works=st.lists(works, max_size=12, unique_by=lambda each: each.index),
    ends=st.tuples(*[st.integers(0, 3000)] * 3),
    price=st.decimals("0.0001", "9", places=4),
    free=st.booleans(),
)
def test_shards_and_overhead_are_the_run_exactly_and_no_part_is_negative(
    works: list[ShardWork], ends: tuple[int, int, int], price: Decimal, free: bool
) -> None:
    lives = [
        worked(name, until=end / 7, instance_id=f"i-{name}", reclaimed_at=T0 + minutes(end / 7) if free else None)
        for name, end in zip("abc", ends, strict=True)
    ]
    cost = run_cost(lives, run_id="r", book=a_book(Market(step(str(price)))))

    found = shard_costs(works, cost)

    assert sum((each.usd for each in found.shards), Decimal(0)) + found.overhead_usd == cost.usd
    assert found.overhead_usd >= 0
    assert all(each.usd >= 0 for each in found.shards)
    assert [each.work.index for each in found.shards] == sorted(each.index for each in works)
