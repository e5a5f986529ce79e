"""One shard per input object, whatever is in it; the largest first."""

from collections.abc import Iterator

from spotproof.shards.model import InputFormat, PlannedShard
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.spec import ShardingSpec
from spotproof.shards.strategies.base import Cut
from spotproof.shards.strategies.size import shard_of_parts


def cut_by_object(spec: ShardingSpec, source: PlannedInput) -> Cut:  # noqa: ARG001 - a strategy's signature
    """Empty objects count as shards only among opaque files: elsewhere they hold no record.

    Fresh shards are leased by number, so the largest are begun first and no long one is left for the end; objects of
    one size keep the order of their keys (docs/decisions/0010).
    """
    held = [item for item in source.items if item.pin.size_bytes or source.format is InputFormat.ANY]
    items = sorted(held, key=lambda item: -item.pin.size_bytes)

    def shards() -> Iterator[PlannedShard]:
        for index, item in enumerate(items):
            yield shard_of_parts(index, (item.part,))

    return Cut(shards=shards)
