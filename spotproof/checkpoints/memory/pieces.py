"""An image's live bytes as pieces, and the stretches of pages or blocks that lie within one of them."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

PAGE: Final = 4096  # bytes; what a tracker reports
BLOCK: Final = 256  # bytes; what a delta carries

Bytes8 = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]  # of pages or of blocks: sorted, unique


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of an image's live bytes. Pieces of one image cover [0, length) in order, without holes, with any boundaries."""

    offset: int  # of its first byte in the image
    data: Bytes8  # (n,), C-contiguous; n may be 0


class Source(Protocol):
    """The live bytes of an image."""

    def pieces(self) -> Sequence[Piece]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Units [start, stop) of an image that lie in one piece; or one unit that does not, then rows is None."""

    start: int
    stop: int
    rows: Bytes8 | None  # (stop - start, unit)


def padded(length: int) -> int:
    """`length` bytes, up to a whole page."""
    return -(-length // PAGE) * PAGE


def copy_range(pieces: Sequence[Piece], start: int, stop: int, out: Bytes8) -> None:
    """out = the live bytes [start, stop), zero past the length.

    Args:
        out: (stop - start,) uint8.
    """
    if start < 0 or len(out) != stop - start:
        raise IndexError(f"bytes [{start}, {stop}) do not go into {len(out)} bytes")
    at = start
    for index in range(_piece_at(pieces, start), len(pieces)):
        piece = pieces[index]
        if piece.offset >= stop:
            break
        end = min(stop, piece.offset + len(piece.data))
        if at < end:
            out[at - start : end - start] = piece.data[at - piece.offset : end - piece.offset]
            at = end
    out[at - start :] = 0


def span_at(pieces: Sequence[Piece], unit: int, number: int) -> Span:
    """The span that starts at this unit (a page or a block), as long as its piece allows."""
    start = number * unit
    if pieces:
        piece = pieces[_piece_at(pieces, start)]
        stop = (piece.offset + len(piece.data)) // unit
        if number < stop:
            inside = piece.data[start - piece.offset : stop * unit - piece.offset]
            return Span(start=number, stop=stop, rows=inside.reshape(-1, unit))
    return Span(start=number, stop=number + 1, rows=None)


def batches(pieces: Sequence[Piece], unit: int, numbers: Numbers, batch_max: int) -> Iterator[tuple[Numbers, Span]]:
    """The numbers in order, at most `batch_max` at once, each batch with the one span that holds it."""
    at = 0
    while at < len(numbers):
        span = span_at(pieces, unit, int(numbers[at]))
        end = int(np.searchsorted(numbers, span.stop))
        for first in range(at, end, batch_max):
            yield numbers[first : min(first + batch_max, end)], span
        at = end


def _piece_at(pieces: Sequence[Piece], byte: int) -> int:
    """The index of the piece that holds this byte of the image, or of the last one."""
    return max(0, bisect_right(pieces, byte, key=lambda piece: piece.offset) - 1)
