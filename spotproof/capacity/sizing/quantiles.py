"""Quantiles of weighted values."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

_ROUNDING: Final = 1e-9  # sums of weights that should be equal differ by less


def weighted_quantile(values: Sequence[float], weights: Sequence[float], level: float) -> float:
    """The least value at or below which a share of at least `level` of the weight lies.

    Args:
        values: at least one.
        weights: as many, positive.
        level: from 0 to 1; above 1 the largest value is all there is to say.

    Raises:
        ValueError: no values, other numbers of values and weights, or a level below 0.
    """
    if not values or len(values) != len(weights) or not level >= 0:
        raise ValueError(f"quantile {level} of {len(values)} values with {len(weights)} weights")
    ordered = sorted(zip(values, weights, strict=True))
    reached = list(accumulate(weight for _, weight in ordered))
    wanted = min(level, 1.0) * reached[-1] * (1 - _ROUNDING)
    return ordered[min(bisect_left(reached, wanted), len(ordered) - 1)][0]


def median(values: Sequence[float]) -> float:
    """The middle value, or half-way between the two middle ones.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a median needs values")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
