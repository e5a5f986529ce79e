"""A pool's price over time, integrated without rounding."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from spotproof.costs.prices import PriceStep

PICO_PLACES: Final = 12  # amounts are whole trillionths of a US dollar
QUANTUM: Final = Decimal(1).scaleb(-PICO_PLACES)
_HOUR_US: Final = 3_600_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Since 1970, of an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


def whole_pico(amount: Fraction) -> int:
    """Trillionths of a dollar, rounded down; `amount` is what `PriceCurve.area` gives, or a share of it."""
    return int(amount / _HOUR_US)


def as_usd(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-PICO_PLACES)


class PriceCurve:
    """US dollars an hour as a step function of time; before its first step the first price holds."""

    def __init__(self, steps: Sequence[PriceStep]) -> None:
        """Raises ValueError: no steps, or they are not in order of time."""
        if not steps or any(later.since < earlier.since for earlier, later in pairwise(steps)):
            raise ValueError(f"price steps must be in order of time and at least one, got {len(steps)}")
        self._since = [microseconds(step.since) for step in steps]
        self._pico = [_pico(step.usd_per_hour) for step in steps]

    def area(self, since: int, until: int) -> int:
        """The price integrated from `since` to `until` (microseconds): trillionths of a dollar an hour x microseconds.

        Empty and negative spans cost nothing.
        """
        total = 0
        position = max(0, bisect_right(self._since, since) - 1)
        while since < until:
            is_last = position + 1 == len(self._since)
            end = until if is_last else min(until, self._since[position + 1])
            if end > since:
                total += self._pico[position] * (end - since)
                since = end
            position += 1
        return total

    def at(self, moment: datetime) -> Decimal:
        """US dollars an hour at a moment."""
        return as_usd(self._pico[max(0, bisect_right(self._since, microseconds(moment)) - 1)])


def _pico(usd: Decimal) -> int:
    return int(usd.scaleb(PICO_PLACES).to_integral_value(rounding=ROUND_HALF_EVEN))
