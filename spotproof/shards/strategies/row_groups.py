"""One shard per Parquet row group."""

from collections.abc import Iterator

from spotproof.errors import InputError
from spotproof.shards.model import InputFormat, PlannedShard
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.spec import ShardingSpec
from spotproof.shards.strategies.base import Cut
from spotproof.shards.strategies.size import shard_of_parts


def cut_by_row_group(spec: ShardingSpec, source: PlannedInput) -> Cut:  # noqa: ARG001 - a strategy's signature
    if source.format is not InputFormat.PARQUET:
        raise InputError(f"{source.uri} is {source.format}, which has no row groups; shard it by size:64MiB or objects")

    def shards() -> Iterator[PlannedShard]:
        for index, part in enumerate(source.pieces(0)):
            yield shard_of_parts(index, (part,))

    return Cut(shards=shards)
