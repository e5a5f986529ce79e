"""Shards by ranges of a key, cut at quantiles of a sample; the outer ranges are open, so unseen keys are covered."""

from collections.abc import Iterator

from spotproof.shards.model import InputFormat, PlannedShard
from spotproof.shards.predicates import RangePredicate, range_key
from spotproof.shards.sources.parquet import Statistics
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.sources.survey import SampledKey, sample_keys, survey_pieces
from spotproof.shards.spec import ShardingSpec
from spotproof.shards.strategies.base import Cut, pieces_by_interval, shares, weighted_quantiles
from spotproof.shards.values import Key, OrderKey, as_number, order_key


def cut_by_range(spec: ShardingSpec, source: PlannedInput) -> Cut:
    """At most `spec.count` shards: keys that repeat a lot leave fewer boundaries. Nulls are in the first."""
    column, count = spec.column, spec.count
    assert column is not None
    assert count is not None
    sample = sample_keys(source, column)
    numeric_text = source.format in (InputFormat.CSV, InputFormat.TSV) and all_numbers(sample)
    keys = [(range_key(sampled.key, numeric_text=numeric_text), sampled.weight) for sampled in sample]
    key_at: dict[OrderKey, Key] = {order_key(key): key for key, _ in keys}
    places = [(order_key(key), weight) for key, weight in keys]
    known = [entry for entry in places if key_at[entry[0]] is not None]
    boundaries = weighted_quantiles(known, count)

    def measure(key: Key) -> OrderKey | None:
        ranged = range_key(key, numeric_text=numeric_text)
        return None if ranged is None else order_key(ranged)

    pieces = survey_pieces(source, column, measure, _statistics_bounds)
    members = pieces_by_interval(pieces, boundaries, null_interval=0)
    sizes = shares(boundaries, places, source.size_bytes)
    bounds: list[Key] = [None, *(key_at[boundary] for boundary in boundaries), None]

    def shards() -> Iterator[PlannedShard]:
        for index, numbers in enumerate(members if pieces else ()):
            low, high = bounds[index], bounds[index + 1]
            yield PlannedShard(
                index=index,
                label=f"{column} {_shown(low)} to {_shown(high)}",
                parts=tuple(pieces[number].part for number in numbers),
                size_bytes=sizes[index],
                predicate=RangePredicate(column=column, low=low, high=high, numeric_text=numeric_text),
            )

    return Cut(
        shards=shards,
        catalogue=tuple(piece.part for piece in pieces),
        warnings=_warnings(column, count, len(boundaries) + 1, unscanned=any(not piece.bounded for piece in pieces)),
    )


def all_numbers(sample: list[SampledKey]) -> bool:
    """Whether every sampled text that is not null writes a number."""
    texts = [sampled.key for sampled in sample if sampled.key is not None]
    return bool(texts) and all(isinstance(text, str) and as_number(text) is not None for text in texts)


def _statistics_bounds(recorded: Statistics) -> tuple[OrderKey, OrderKey] | None:
    return order_key(recorded.low), order_key(recorded.high)


def _shown(key: Key) -> str:
    return "…" if key is None else repr(key)[:40]


def _warnings(column: str, wanted: int, got: int, *, unscanned: bool) -> tuple[str, ...]:
    warnings = []
    if got < wanted:
        warnings.append(f"{column!r} has keys for {got:,} ranges only, {wanted:,} were asked for")
    if unscanned:
        warnings.append(
            "the input is too large to be scanned for bounds: every shard reads all of it; Parquet would not"
        )
    return tuple(warnings)
