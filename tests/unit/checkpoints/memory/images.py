"""Images for tests: live bytes in pieces with any boundaries and at any address, and a shadow that differs here and there."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from spotproof.checkpoints.memory.pages import PAGE, Bytes8, Piece, padded
from spotproof.checkpoints.memory.rows import BATCH_PAGES

BATCH = BATCH_PAGES * PAGE  # what the code under test handles at once


@dataclass(frozen=True, kw_only=True)
class Example:
    live: bytes
    pieces: Sequence[Piece]
    shadow: Bytes8

    @property
    def padded_live(self) -> bytes:
        return self.live.ljust(padded(len(self.live)), b"\0")


def cut(live: bytes, cuts: Sequence[int], *, shift: int = 0) -> list[Piece]:
    """`live` cut at these offsets; each piece begins `shift` bytes past an aligned address."""
    edges = [0, *sorted(at % (len(live) + 1) for at in cuts), len(live)]
    return [Piece(offset=a, data=_placed(live[a:b], shift)) for a, b in itertools.pairwise(edges)]


def _placed(data: bytes, shift: int) -> Bytes8:
    room = np.empty(len(data) + shift, np.uint8)
    room[shift:] = np.frombuffer(data, np.uint8)
    return room[shift:]


@st.composite
def examples(draw: st.DrawFn, *, length_max: int = BATCH + 3 * PAGE) -> Example:
    """Shadow and live bytes differ in single bytes and in runs; some images are longer than a batch."""
    length = draw(st.one_of(st.integers(0, 3 * PAGE), st.integers(0, length_max)))
    live = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, length, np.uint8)
    shadow = np.zeros(padded(length), np.uint8)
    shadow[:length] = live
    anywhere = st.integers(0, max(0, length - 1))
    for start, size in draw(st.lists(st.tuples(anywhere, st.sampled_from([1, 1, 7, 300, 9000, BATCH])), max_size=8)):
        shadow[start : min(start + size, length)] ^= 1 + start % 255
    cuts = draw(st.lists(st.one_of(st.integers(0, 2 * PAGE), anywhere), max_size=6))
    pieces = cut(live.tobytes(), cuts, shift=draw(st.sampled_from([0, 0, 1, 8])))
    return Example(live=live.tobytes(), pieces=pieces, shadow=shadow)


def differing(mine: bytes, theirs: bytes, unit: int) -> list[int]:
    """The obviously right answer."""
    return [n for n in range(len(theirs) // unit) if mine[n * unit :][:unit] != theirs[n * unit :][:unit]]
