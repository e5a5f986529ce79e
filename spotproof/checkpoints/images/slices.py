"""Which slices of an image travel whole: pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotproof.checkpoints.workshop import CHAIN_MAX

DENSE_SHARE: Final = 0.3  # of a slice's blocks: beyond it a whole slice is hardly bigger, and ends its chain of deltas
DENSE_SHARE_HURRIED: Final = 0.9  # where nothing but the bytes counts: a last save must carry what changed, and no more
DELTAS_TO_BASE_MAX: Final = 0.5  # slices are rewritten once the deltas exceed this share of the bases
REWRITE_SHARE: Final = 2.0  # of a delta's own bytes: how much a single save may rewrite for tidiness
BASE_BYTES_MIN: Final = 2**20  # below it deltas are never too many for their base


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What restoring an image reads now."""

    base_bytes: int  # stored
    delta_bytes: int  # stored
    slice_seqs: Sequence[int]  # of each slice's base; 0 for zeros that were never written
    touched: Sequence[tuple[int, frozenset[int]]]  # (seq, slices) of each delta, oldest first


def dense_slices(
    changed: Sequence[int],
    *,
    blocks_per_slice: int,
    room_blocks: int,
    last_blocks: int | None = None,
    dense_share: float = DENSE_SHARE,
) -> frozenset[int]:
    """Slices that go whole because much of them changed, or because the gather buffer has no room for their blocks.

    Args:
        changed: changed blocks of each slice.
        room_blocks: how many blocks the gather buffer takes in all.
        last_blocks: blocks of the last slice, if it is shorter than the others.
        dense_share: of a slice's blocks that are much.
    """
    sizes = [blocks_per_slice] * len(changed)
    if sizes and last_blocks is not None:
        sizes[-1] = last_blocks
    whole = {number for number, count in enumerate(changed) if count > dense_share * sizes[number]}
    rest = sum(count for number, count in enumerate(changed) if number not in whole)
    if rest > room_blocks:
        for number in sorted(range(len(changed)), key=lambda each: changed[each], reverse=True):
            if rest <= room_blocks:
                break
            if number not in whole:
                whole.add(number)
                rest -= changed[number]
    return frozenset(whole)


def rolling_slices(chain: Chain, *, delta_bytes: int, slice_bytes: int, chain_max: int = CHAIN_MAX) -> frozenset[int]:
    """Slices to rewrite so that the chain stays short: those that the oldest deltas touch, a few a save.

    Rewriting all at once would make one save as big as the state; REWRITE_SHARE spreads it, so a save never sends more
    than three times what changed, plus one slice.
    """
    base = max(chain.base_bytes, BASE_BYTES_MIN)
    if chain.delta_bytes + delta_bytes <= DELTAS_TO_BASE_MAX * base and len(chain.touched) < chain_max:
        return frozenset()
    count = max(1, int(REWRITE_SHARE * delta_bytes) // slice_bytes)
    chosen: dict[int, None] = {}
    for seq, touched in chain.touched:
        for number in sorted(touched):
            if chain.slice_seqs[number] < seq:
                chosen[number] = None
        if len(chosen) >= count:
            break
    return frozenset(list(chosen)[:count])
