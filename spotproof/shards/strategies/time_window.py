"""Shards by windows of local calendar time; the outer windows are open, and nulls have a shard of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from spotproof.errors import InputError
from spotproof.shards.model import PlannedShard
from spotproof.shards.predicates import TimePredicate
from spotproof.shards.sources.parquet import Statistics
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.sources.survey import Piece, SampledKey, sample_keys, survey_pieces
from spotproof.shards.spec import SHARDS_MAX, ShardingSpec, Window
from spotproof.shards.strategies.base import Cut, pieces_by_interval, scaled
from spotproof.shards.times import NS_PER_S, Calendar, same_epoch_unit, window_of
from spotproof.shards.values import Key, KeyValueError, Moment

DAY_NS: Final = 86_400 * NS_PER_S
EMPTY_WINDOWS_WARNED: Final = 100


def cut_by_time(spec: ShardingSpec, source: PlannedInput) -> Cut:
    """One shard per window between the first and last time seen that any piece can hold."""
    column, zone, window = spec.column, spec.zone, spec.window
    assert column is not None
    assert zone is not None
    assert window is not None
    calendar = Calendar.of(zone)
    sample = sample_keys(source, column)
    pieces = survey_pieces(source, column, calendar.instant_ns, lambda recorded: statistics_bounds(calendar, recorded))
    try:
        starts = _window_starts(calendar, window, column, _instants(calendar, sample, pieces))
        inner = starts[1:-1]
        nulls = max(0, len(starts) - 1)
        sizes = scaled(_weights(calendar, sample, inner, nulls), source.size_bytes)
    except KeyValueError as error:  # where statistics told the bounds, the values themselves are first seen here
        raise InputError(f"column {column!r} has times outside the calendar: {error}") from error
    members = pieces_by_interval(pieces, inner, null_interval=nulls) if pieces else []
    planned = [number for number, numbers in enumerate(members) if numbers]

    def shards() -> Iterator[PlannedShard]:
        for index, number in enumerate(planned):
            is_nulls = number == nulls
            yield PlannedShard(
                index=index,
                label=f"{column} null" if is_nulls else _label(calendar, column, starts[number], starts[number + 1]),
                parts=tuple(pieces[piece].part for piece in members[number]),
                size_bytes=sizes[number],
                predicate=TimePredicate(
                    column=column,
                    zone=zone,
                    start_ns=None if is_nulls or number == 0 else starts[number],
                    stop_ns=None if is_nulls or number == nulls - 1 else starts[number + 1],
                    nulls=is_nulls,
                ),
            )

    return Cut(
        shards=shards,
        catalogue=tuple(piece.part for piece in pieces),
        warnings=_warnings(pieces, column, [sizes[number] for number in planned]),
    )


@dataclass(frozen=True, slots=True)
class _Instants:
    first: int
    last: int


def _instants(calendar: Calendar, sample: list[SampledKey], pieces: list[Piece]) -> _Instants | None:
    """The first and last time seen, None if all are null."""
    bounds = [bound for piece in pieces if piece.bounded and piece.low is not None for bound in (piece.low, piece.high)]
    if any(not piece.bounded for piece in pieces):
        bounds += [instant for sampled in sample if (instant := calendar.instant_ns(sampled.key)) is not None] or [0]
    return _Instants(min(bounds), max(bounds)) if bounds else None


def _window_starts(calendar: Calendar, window: Window, column: str, instants: _Instants | None) -> list[int]:
    """Boundaries of all windows, outer ones included.

    Raises:
        InputError: they are too many, or lie outside the calendar.
    """
    if instants is None:
        return []
    hopeless = instants.last - instants.first > 1.1 * SHARDS_MAX * window.nominal_minutes * 60 * NS_PER_S
    try:
        boundaries = calendar.boundaries_ns(window, instants.first, instants.last)
        starts = [] if hopeless else list(islice(boundaries, SHARDS_MAX + 2))
    except KeyValueError as error:
        raise InputError(f"column {column!r} has times outside the calendar: {error}") from error
    if hopeless or len(starts) > SHARDS_MAX + 1:
        raise InputError(
            f"column {column!r} spans more than {SHARDS_MAX:,} windows of {window.text}; choose a longer window"
        )
    return starts


def _weights(calendar: Calendar, sample: list[SampledKey], inner: list[int], nulls: int) -> list[float]:
    weights = [0.0] * (nulls + 1)
    for sampled in sample:
        instant = calendar.instant_ns(sampled.key)
        weights[nulls if instant is None or not nulls else window_of(inner, instant)] += sampled.weight
    return weights


def statistics_bounds(calendar: Calendar, recorded: Statistics) -> tuple[int, int] | None:
    """Bounds of the instants of a row group, or None where the order of stored values is not that of time.

    Text is never in time's order. Local times are, but for skipped hours: near a change of the clock the bounds are
    a day wider.
    """
    low, high = recorded.low, recorded.high
    if isinstance(low, Moment) and isinstance(high, Moment):
        if low.zoned:
            return low.epoch_ns, high.epoch_ns
        return _local_bounds(calendar, low, high)
    if _is_number(low) and _is_number(high) and same_epoch_unit(low, high):
        first, last = calendar.instant_ns(low), calendar.instant_ns(high)
        return None if first is None or last is None else (first, last)
    return None


def _is_number(key: Key) -> bool:
    return isinstance(key, int | float) and not isinstance(key, bool)


def _local_bounds(calendar: Calendar, low: Moment, high: Moment) -> tuple[int, int] | None:
    first, last = calendar.instant_ns(low), calendar.instant_ns(high)
    day_after = calendar.instant_ns(Moment(low.epoch_ns + DAY_NS, zoned=False))
    day_before = calendar.instant_ns(Moment(high.epoch_ns - DAY_NS, zoned=False))
    if first is None or last is None or day_after is None or day_before is None:
        return None
    low_is_steady, high_is_steady = day_after - first == DAY_NS, last - day_before == DAY_NS
    return (first if low_is_steady else first - DAY_NS, last if high_is_steady else last + DAY_NS)


def _label(calendar: Calendar, column: str, start_ns: int, stop_ns: int) -> str:
    start, stop = (calendar.local(instant).isoformat(timespec="minutes") for instant in (start_ns, stop_ns))
    return f"{column} {start} to {stop}"


def _warnings(pieces: list[Piece], column: str, sizes: list[int]) -> tuple[str, ...]:
    warnings = []
    if not all(piece.bounded for piece in pieces):
        warnings.append(
            "the input is too large to be scanned for bounds: every shard reads all of it; Parquet would not"
        )
    empty = sizes.count(0)
    if empty > max(EMPTY_WINDOWS_WARNED, len(sizes) // 2):
        warnings.append(
            f"{empty:,} of {len(sizes):,} windows hold none of the sampled records: are there outlier times in "
            f"{column!r}, or is the window too short?"
        )
    return tuple(warnings)
