"""What a sharding strategy is, and what the strategies share."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from spotproof.shards.model import InputPart, PlannedShard
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.sources.survey import Piece, SampledKey
from spotproof.shards.spec import ShardingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A strategy's answer: the shards, as often as one asks for them, the same each time."""

    shards: Callable[[], Iterator[PlannedShard]]
    catalogue: tuple[InputPart, ...] = ()  # parts that many shards share; then all shards' parts are from here
    warnings: tuple[str, ...] = ()


class Strategy(Protocol):
    def __call__(self, spec: ShardingSpec, source: PlannedInput) -> Cut:
        """Cut the input so that every record is in exactly one shard.

        Raises:
            InputError: the input can't be cut this way; says what to do.
        """
        ...


def shares(boundaries: list[Any], places: Iterable[tuple[Any, float]], total_bytes: int) -> list[int]:
    """Estimated bytes of each interval between sorted `boundaries`, from weighted places; sums to about the total."""
    weights = [0.0] * (len(boundaries) + 1)
    for place, weight in places:
        weights[bisect_right(boundaries, place)] += weight
    return scaled(weights, total_bytes)


def scaled(weights: list[float], total_bytes: int) -> list[int]:
    """Weights as whole bytes that sum to about `total_bytes`; all zero stays zero."""
    whole = sum(weights)
    return [round(weight * total_bytes / whole) if whole else 0 for weight in weights]


def pieces_by_interval(pieces: list[Piece], boundaries: list[Any], null_interval: int | None) -> list[list[int]]:
    """For each interval between sorted boundaries, the numbers of the pieces that can hold its keys, rising.

    Interval i holds [boundaries[i-1], boundaries[i]). Pieces with nulls also belong to `null_interval`, which may be
    one behind the last.
    """
    count = len(boundaries) + 1
    members: list[list[int]] = [[] for _ in range(max(count, (null_interval or 0) + 1))]
    for number, piece in enumerate(pieces):
        intervals = _intervals(piece, boundaries, count)
        for interval in intervals:
            members[interval].append(number)
        if piece.may_have_nulls and null_interval is not None and null_interval not in intervals:
            members[null_interval].append(number)
    return members


def _intervals(piece: Piece, boundaries: list[Any], count: int) -> range:
    if not piece.bounded:
        return range(count)
    if piece.low is None:
        return range(0)
    first = bisect_right(boundaries, piece.low)
    last = bisect_right(boundaries, piece.high)
    return range(first, last + 1)


def weighted_quantiles(places: list[tuple[Any, float]], count: int) -> list[Any]:
    """At most `count` - 1 distinct rising boundaries that cut the weight evenly; none equals the least place."""
    ordered = sorted(places, key=lambda entry: entry[0])
    if not ordered:
        return []
    total = sum(weight for _, weight in ordered)
    reached: list[float] = []
    running = 0.0
    for _, weight in ordered:
        running += weight
        reached.append(running)
    boundaries: list[Any] = []
    for number in range(1, count):
        place = ordered[min(bisect_left(reached, total * number / count) + 1, len(ordered) - 1)][0]
        if place > (boundaries[-1] if boundaries else ordered[0][0]):
            boundaries.append(place)
    return boundaries


def estimated_keys(sample: list[SampledKey], place: Callable[[Any], Any]) -> list[tuple[Any, float]]:
    """The places and weights of sampled keys that are not null."""
    placed = ((place(sampled.key), sampled.weight) for sampled in sample)
    return [(where, weight) for where, weight in placed if where is not None]
