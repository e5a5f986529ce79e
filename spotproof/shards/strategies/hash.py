"""Shards by a stable hash of a key: all records of a key are in one shard, and every shard reads the whole input."""

from collections.abc import Iterator

from spotproof.shards.model import PlannedShard
from spotproof.shards.predicates import HashPredicate
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.sources.survey import sample_keys
from spotproof.shards.spec import ShardingSpec
from spotproof.shards.strategies.base import Cut, scaled
from spotproof.shards.values import stable_hash


def cut_by_hash(spec: ShardingSpec, source: PlannedInput) -> Cut:
    column, count = spec.column, spec.count
    assert column is not None
    assert count is not None
    weights = [0.0] * count
    for sampled in sample_keys(source, column):
        weights[stable_hash(sampled.key) % count] += sampled.weight
    sizes = scaled(weights, source.size_bytes)
    parts = tuple(item.part for item in source.items if item.pin.size_bytes)

    def shards() -> Iterator[PlannedShard]:
        for bucket in range(count) if parts else ():
            yield PlannedShard(
                index=bucket,
                label=f"{column} hash {bucket} of {count}",
                parts=parts,
                size_bytes=sizes[bucket],
                predicate=HashPredicate(column=column, count=count, bucket=bucket),
            )

    return Cut(shards=shards, catalogue=parts, warnings=_warnings(count, source.size_bytes))


def _warnings(count: int, size_bytes: int) -> tuple[str, ...]:
    if count * size_bytes <= 10**12:
        return ()
    return (f"each of the {count:,} shards reads all {size_bytes:,} bytes; fewer shards or range sharding read less",)
