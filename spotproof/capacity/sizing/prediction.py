"""What a shard of some size will take, with a band that earlier runs vouch for.

A line in the shard's bytes, fitted through medians, gives the middle; the band is the quantiles of how far earlier
shards were from what *the other runs* would have predicted for them (jackknife by run). The shards of one run share its
code, its input and its hosts, so a run counts as one observation however many shards it had, and the error of the line
itself is in the band. This is conformal prediction for hierarchical data: Dunn, Wasserman and Ramdas, "Distribution-free
prediction sets for two-layer hierarchical models" (2022); Barber, Candès, Ramdas and Tibshirani, "Predictive inference
with the jackknife+" (2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotproof.capacity.sizing.quantiles import median, weighted_quantile

ALIKE: Final = 1.5  # sizes that differ by less tell nothing about growth
OTHERS_MIN: Final = 2  # runs that a run can be predicted from
_ASSUMED_SPREAD: Final = (0.65, 1.0, 1.5)  # of a run against another one, where too few are known to measure it

Point = tuple[int, float]  # bytes, and what they took


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A cost that does not depend on the size, and one that grows with it."""

    fixed: float
    per_byte: float

    def at(self, size_bytes: int) -> float:
        return self.fixed + self.per_byte * size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Fitted on the shards of earlier runs."""

    line: Line
    scores: tuple[tuple[float, ...], ...]  # by run: what shards took over what the others' line said
    bytes_max: int  # the largest shard seen

    def middle(self, size_bytes: int) -> float:
        return self.line.at(size_bytes) * self.score(0.5)

    def quantile(self, size_bytes: int, level: float) -> float:
        """What a shard of this size stays below with probability `level`, in a run that is like the earlier ones."""
        return self.line.at(size_bytes) * self.score(level)

    def score(self, level: float) -> float:
        """The quantile of the factor between a shard and its line; each run weighs the same."""
        values = [score for run in self.scores for score in run]
        weights = [1 / len(run) for run in self.scores for _ in run]
        return weighted_quantile(values, weights, level)


def predict(runs: Sequence[Sequence[Point]], *, grows: bool) -> Prediction:
    """Learn from earlier runs; each has at least one point, and there is at least one run.

    Args:
        grows: what to assume of larger shards when all seen were about alike: True for time (twice the bytes, twice
            the time), False for memory (the same again).

    Raises:
        ValueError: there is no run, or one without points.
    """
    if not runs or not all(runs):
        raise ValueError(f"a prediction needs runs with shards, got {len(runs)} runs")
    line = fit_line(runs, grows=grows)
    if len(runs) <= OTHERS_MIN:
        spread = tuple(_scores(run, line) for run in runs)
        scores = tuple(tuple(score * factor for score in run for factor in _ASSUMED_SPREAD) for run in spread)
    else:
        others = [fit_line([*runs[:number], *runs[number + 1 :]], grows=grows) for number in range(len(runs))]
        scores = tuple(_scores(run, other) for run, other in zip(runs, others, strict=True))
    return Prediction(line=line, scores=scores, bytes_max=max(size for run in runs for size, _ in run))


def fit_line(runs: Sequence[Sequence[Point]], *, grows: bool) -> Line:
    """Through the medians of the smaller and of the larger half; robust against any minority of odd shards."""
    points = sorted(point for run in runs for point in run)
    half = max(1, len(points) // 2)
    (small, low), (large, high) = _middle(points[:half]), _middle(points[-half:])
    if (small > 0 and large < ALIKE * small) or large == small:
        size, value = _middle(points)
        return Line(fixed=0.0, per_byte=value / size) if grows and size else Line(fixed=value, per_byte=0.0)
    per_byte = max(0.0, (high - low) / (large - small))
    fixed = low - per_byte * small
    if fixed < 0:  # steeper than in proportion: the larger half decides
        return Line(fixed=0.0, per_byte=high / large)
    return Line(fixed=fixed, per_byte=per_byte)


def _middle(points: Sequence[Point]) -> tuple[float, float]:
    return median([size for size, _ in points]), median([value for _, value in points])


def _scores(run: Sequence[Point], line: Line) -> tuple[float, ...]:
    return tuple(value / max(line.at(size), 1e-9) for size, value in run)


def speeds(runs: Sequence[Sequence[tuple[str, float]]], *, shards_to_believe: int = 20) -> Mapping[str, float]:
    """How long a kind of host takes for the same work, 1.0 = like all others; few shards say little.

    Args:
        runs: per run, the kind and the score of each shard; compared within a run only.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        whole = median([score for _, score in run])
        for kind, score in run:
            found.setdefault(kind, []).append(score / max(whole, 1e-9))
    return {
        kind: 1 + (median(ratios) - 1) * len(ratios) / (len(ratios) + shards_to_believe)
        for kind, ratios in found.items()
    }
