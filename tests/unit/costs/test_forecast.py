"""What a run will have cost: by hand, and that the band holds the truth as often as it says."""

import random
from decimal import Decimal

import pytest

from spotproof.costs.forecast import forecast_cost


def dollars(*amounts: str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


def test_what_is_left_costs_as_the_finished_shards_did_with_their_overhead() -> None:
    """Two shards cost $1 of work each, $1 of work is under way, and a quarter of all dollars is overhead."""
    found = forecast_cost(spent_usd=Decimal(4), work_usd=Decimal(3), finished_usd=dollars("1", "1"), shards_left=7)

    assert found is not None
    assert found.usd.quantize(Decimal("0.0001")) == Decimal(12)  # 4 + 4/3 x (7 - 1)
    assert (found.low_usd, found.high_usd) == (found.usd, found.usd)  # shards that never differ


def test_at_the_end_the_forecast_is_what_was_spent() -> None:
    found = forecast_cost(spent_usd=Decimal(4), work_usd=Decimal(3), finished_usd=dollars("1", "2"), shards_left=0)

    assert found is not None
    assert (found.usd, found.low_usd, found.high_usd) == (Decimal(4), Decimal(4), Decimal(4))


def test_one_shard_gives_no_band_and_none_no_forecast() -> None:
    one = forecast_cost(spent_usd=Decimal(2), work_usd=Decimal(1), finished_usd=dollars("1"), shards_left=1)

    assert one is not None
    assert (one.usd, one.low_usd, one.high_usd) == (Decimal(4), None, None)
    assert forecast_cost(spent_usd=Decimal(2), work_usd=Decimal(1), finished_usd=[], shards_left=1) is None
    assert forecast_cost(spent_usd=Decimal(0), work_usd=Decimal(0), finished_usd=dollars("0"), shards_left=1) is None


@pytest.mark.parametrize("finished", [10, 50])
def test_the_band_holds_nine_of_ten_runs(finished: int) -> None:
    """Shards of exponentially distributed cost, the hardest that families of jobs show."""
    rng = random.Random(7)
    held = 0
    for _ in range(400):
        costs = [Decimal(str(round(rng.expovariate(1.0) + 0.2, 6))) for _ in range(100)]
        spent = sum(costs[:finished], Decimal(0))
        found = forecast_cost(
            spent_usd=spent, work_usd=spent, finished_usd=costs[:finished], shards_left=100 - finished
        )
        assert found is not None
        assert found.low_usd is not None
        assert found.high_usd is not None
        held += found.low_usd <= sum(costs, Decimal(0)) <= found.high_usd
    assert 0.80 <= held / 400 <= 0.97
