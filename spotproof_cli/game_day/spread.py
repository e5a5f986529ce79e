"""A few numbers about a set of durations."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A few numbers about a set of durations, seconds."""

    count: int
    p50_s: float
    p95_s: float
    max_s: float


def spread(durations_s: Sequence[float]) -> Spread | None:
    """Nearest-rank percentiles; None for no durations."""
    if not durations_s:
        return None
    ordered = sorted(durations_s)
    return Spread(count=len(ordered), p50_s=_rank(ordered, 0.50), p95_s=_rank(ordered, 0.95), max_s=ordered[-1])


def _rank(ordered: Sequence[float], share: float) -> float:
    position = -(-len(ordered) * round(share * 100) // 100)  # ceiling
    return ordered[max(0, position - 1)]
