"""Shards of about equal stored size: ranges of lines, runs of row groups, or whole objects packed together."""

from collections.abc import Iterable, Iterator

from spotproof.shards.model import InputPart, PlannedShard, joined
from spotproof.shards.sources.planned_input import PlannedInput
from spotproof.shards.spec import ShardingSpec
from spotproof.shards.strategies.base import Cut


def cut_by_size(spec: ShardingSpec, source: PlannedInput) -> Cut:
    size_bytes = spec.size_bytes
    assert size_bytes is not None

    def shards() -> Iterator[PlannedShard]:
        for index, parts in enumerate(pack(source.pieces(size_bytes), size_bytes)):
            yield shard_of_parts(index, joined(parts))

    return Cut(shards=shards)


def pack(pieces: Iterable[InputPart], size_bytes: int) -> Iterator[list[InputPart]]:
    """Consecutive pieces together up to `size_bytes`; a larger piece is alone."""
    packed: list[InputPart] = []
    packed_bytes = 0
    for piece in pieces:
        piece_bytes = piece.stop - piece.start
        if packed and packed_bytes + piece_bytes > size_bytes:
            yield packed
            packed, packed_bytes = [], 0
        packed.append(piece)
        packed_bytes += piece_bytes
    if packed:
        yield packed


def shard_of_parts(index: int, parts: tuple[InputPart, ...]) -> PlannedShard:
    """A shard that holds all records of its parts."""
    first = parts[0]
    place = first.pin.key
    if first.row_groups is not None:
        place += f" row groups {first.row_groups[0]}-{first.row_groups[-1]}"
    elif not first.whole:
        place += f" bytes {first.start}-{first.stop}"
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    size_bytes = sum(part.stop - part.start for part in parts)
    return PlannedShard(index=index, label=place + more, parts=parts, size_bytes=size_bytes)
