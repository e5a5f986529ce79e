"""What a run will have cost at its end, judged by the shards that are finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spotproof.costs.cost_split import ZERO

Z_90: Final = Decimal("1.645")  # a normal variable is within so many standard deviations 90 % of the time
BAND_MIN: Final = 2  # finished shards without which nothing is known of how they differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """US dollars of the whole run at its end; 90 % band, if shards differ no more than the finished ones did."""

    usd: Decimal
    low_usd: Decimal | None
    high_usd: Decimal | None


def forecast_cost(
    *, spent_usd: Decimal, work_usd: Decimal, finished_usd: Sequence[Decimal], shards_left: int
) -> Forecast | None:
    """The cost at the end; None before the first shard is finished, or while nothing has a price.

    What is left costs as much a shard as the finished ones did, less what is worked on already, and bears overhead in
    the proportion seen so far.

    Args:
        spent_usd: the run's total so far.
        work_usd: of it, useful work, that on unfinished shards included.
        finished_usd: the work of each finished shard.
        shards_left: how many are not finished.
    """
    count = len(finished_usd)
    if not count or work_usd <= 0:
        return None
    done = sum(finished_usd, ZERO)
    mean, burden = done / count, spent_usd / work_usd
    under_way = max(ZERO, work_usd - done)
    expected = spent_usd + burden * max(ZERO, mean * shards_left - under_way)
    if count < BAND_MIN:
        return Forecast(usd=expected, low_usd=None, high_usd=None)
    variance = sum(((each - mean) ** 2 for each in finished_usd), ZERO) / (count - 1)
    # The sum of the shards left varies by itself and with the mean, which is itself an estimate.
    spread = Z_90 * burden * (variance * shards_left * (1 + Decimal(shards_left) / count)).sqrt()
    return Forecast(usd=expected, low_usd=max(spent_usd, expected - spread), high_usd=expected + spread)
