"""Pages and blocks of an image: which of them changed, and copying and XOR-ing them.

An image is a range of bytes made of pieces; its shadow holds the bytes of the last durable state in whole pages, zero past
the image's length. Work goes in small reused batches, because the first touch of fresh memory costs more than the work.
Numbers of pages and blocks are sorted and unique everywhere; a number outside the image is an IndexError.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

PAGE: Final = 4096  # bytes; what a tracker reports
BLOCK: Final = 256  # bytes; what a delta carries
BLOCKS_PER_PAGE: Final = PAGE // BLOCK

Bytes8 = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

_BATCH_PAGES: Final = 64  # two batches of 256 KiB stay in a core's second-level cache
_BATCH_BLOCKS: Final = _BATCH_PAGES * BLOCKS_PER_PAGE
_WORD: Final = np.dtype(np.uint64)
_NOTHING: Final[Numbers] = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of an image's live bytes. Pieces of one image cover [0, length) in order, without holes, with any boundaries."""

    offset: int  # of its first byte in the image
    data: Bytes8  # (n,), C-contiguous; n may be 0


class Source(Protocol):
    """The live bytes of an image."""

    def pieces(self) -> Sequence[Piece]: ...


def padded(length: int) -> int:
    """`length` bytes, up to a whole page."""
    return -(-length // PAGE) * PAGE


def changed_pages(pieces: Sequence[Piece], shadow: Bytes8, *, first_page: int = 0, pages: int | None = None) -> Numbers:
    """The pages of [first_page, first_page + pages) whose live bytes differ from the shadow; exact.

    Args:
        shadow: (padded(length),) uint8, zero past the length.
        pages: None stands for all up to the end.
    """
    stop = len(shadow) // PAGE if pages is None else first_page + pages
    _check(first_page, stop, of=shadow, unit=PAGE)
    found: list[Numbers] = []
    with _scratch() as scratch:
        at = first_page
        while at < stop:
            span = _span_at(pieces, PAGE, at)
            end = min(span.stop, stop)
            found += _changed_in_span(span, at, end, pieces, shadow, scratch)
            at = end
    return np.concatenate(found) if found else _NOTHING


def changed_blocks(pieces: Sequence[Piece], shadow: Bytes8, pages: Numbers) -> Numbers:
    """The blocks of these pages whose live bytes differ from the shadow; exact.

    Args:
        shadow: (padded(length),) uint8, zero past the length.
        pages: (n,) int64, sorted, unique.
    """
    if len(pages) == 0:
        return _NOTHING
    _check(int(pages[0]), int(pages[-1]) + 1, of=shadow, unit=PAGE)
    then = shadow.reshape(-1, PAGE)
    in_page = np.arange(BLOCKS_PER_PAGE)
    found: list[Numbers] = []
    with _scratch() as scratch:
        for batch, span in _batches(pieces, PAGE, pages, _BATCH_PAGES):
            live = _live_rows(batch, span, PAGE, pieces, scratch.live)
            flags = _changed_block_flags(live, _rows(then, batch, scratch.then), scratch)
            if flags.any():
                numbers = batch[:, np.newaxis] * BLOCKS_PER_PAGE + in_page
                found.append(numbers[flags.reshape(-1, BLOCKS_PER_PAGE)])
    return np.concatenate(found) if found else _NOTHING


def copy_blocks(pieces: Sequence[Piece], blocks: Numbers, out: Bytes8) -> None:
    """out = the live bytes of these blocks, zero past the length.

    Args:
        blocks: (n,) int64, sorted, unique.
        out: (n * BLOCK,) uint8.
    """
    rows = out.reshape(len(blocks), BLOCK)
    if len(blocks) and int(blocks[0]) < 0:
        raise IndexError(f"block {int(blocks[0])} is not in the image")
    done = 0
    for batch, span in _batches(pieces, BLOCK, blocks, max(1, len(blocks))):
        target = rows[done : done + len(batch)]
        done += len(batch)
        if span.rows is None:
            start = span.start * BLOCK
            copy_range(pieces, start, start + BLOCK, target.reshape(-1))
        elif _consecutive(batch):
            target[:] = _slice(span.rows, batch - span.start)
        else:
            np.take(span.rows, batch - span.start, axis=0, out=target, mode="clip")


def copy_range(pieces: Sequence[Piece], start: int, stop: int, out: Bytes8) -> None:
    """out = the live bytes [start, stop), zero past the length.

    Args:
        out: (stop - start,) uint8.
    """
    if start < 0 or len(out) != stop - start:
        raise IndexError(f"bytes [{start}, {stop}) do not go into {len(out)} bytes")
    at = start
    for piece in pieces[_piece_at(pieces, start) :]:
        if piece.offset >= stop:
            break
        end = min(stop, piece.offset + len(piece.data))
        if at < end:
            out[at - start : end - start] = piece.data[at - piece.offset : end - piece.offset]
            at = end
    out[at - start :] = 0


def xor_blocks(data: Bytes8, memory: Bytes8, blocks: Numbers) -> None:
    """data ^= memory[blocks], in place.

    Args:
        data: (n * BLOCK,) uint8.
        memory: whole blocks, uint8.
        blocks: (n,) int64, sorted, unique.
    """
    rows, there = _paired(data, memory, blocks)
    with _scratch() as scratch:
        for at in range(0, len(blocks), _BATCH_BLOCKS):
            batch, mine = blocks[at : at + _BATCH_BLOCKS], rows[at : at + _BATCH_BLOCKS]
            np.bitwise_xor(mine, _rows(there, batch, scratch.then), out=mine)


def apply_blocks(memory: Bytes8, blocks: Numbers, data: Bytes8) -> None:
    """memory[blocks] ^= data, in place.

    Args:
        memory: whole blocks, uint8.
        blocks: (n,) int64, sorted, unique.
        data: (n * BLOCK,) uint8; not changed.
    """
    rows, there = _paired(data, memory, blocks)
    with _scratch() as scratch:
        for at in range(0, len(blocks), _BATCH_BLOCKS):
            batch, mine = blocks[at : at + _BATCH_BLOCKS], rows[at : at + _BATCH_BLOCKS]
            if _consecutive(batch):
                target = _slice(there, batch)
                np.bitwise_xor(target, mine, out=target)
            else:
                result = _rows(there, batch, scratch.then)
                np.bitwise_xor(result, mine, out=result)
                _put_rows(there, batch, result)


@dataclass(frozen=True, slots=True)
class _Span:
    """Units [start, stop) of an image that lie in one piece; or one unit that does not, then rows is None."""

    start: int
    stop: int
    rows: Bytes8 | None  # (stop - start, unit)


@dataclass(frozen=True, slots=True)
class _Scratch:
    live: Bytes8  # (_BATCH_PAGES * PAGE,)
    then: Bytes8  # (_BATCH_PAGES * PAGE,)
    words: _Flags  # one flag per word of a batch


_idle_scratches: Final[list[_Scratch]] = []  # append and pop are atomic; as many as threads ever worked at once


@contextmanager
def _scratch() -> Iterator[_Scratch]:
    try:
        scratch = _idle_scratches.pop()
    except IndexError:
        size = _BATCH_PAGES * PAGE
        scratch = _Scratch(np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size // 8, np.bool_))
    try:
        yield scratch
    finally:
        _idle_scratches.append(scratch)


def _check(start: int, stop: int, *, of: Bytes8, unit: int) -> None:
    if start < 0 or stop * unit > len(of):
        raise IndexError(f"[{start}, {stop}) is not in [0, {len(of) // unit})")


def _piece_at(pieces: Sequence[Piece], byte: int) -> int:
    """The index of the piece that holds this byte of the image."""
    return max(0, bisect_right(pieces, byte, key=lambda piece: piece.offset) - 1)


def _span_at(pieces: Sequence[Piece], unit: int, number: int) -> _Span:
    """The span that starts at unit `number`, as long as one piece allows."""
    start = number * unit
    if pieces:
        piece = pieces[_piece_at(pieces, start)]
        stop = (piece.offset + len(piece.data)) // unit
        if number < stop:
            inside = piece.data[start - piece.offset : stop * unit - piece.offset]
            return _Span(number, stop, inside.reshape(-1, unit))
    return _Span(number, number + 1, None)


def _batches(pieces: Sequence[Piece], unit: int, numbers: Numbers, batch_max: int) -> Iterator[tuple[Numbers, _Span]]:
    """The numbers in order, at most `batch_max` at once, each batch with the one span that holds it."""
    at = 0
    while at < len(numbers):
        span = _span_at(pieces, unit, int(numbers[at]))
        end = int(np.searchsorted(numbers, span.stop))
        for first in range(at, end, batch_max):
            yield numbers[first : min(first + batch_max, end)], span
        at = end


def _live_rows(batch: Numbers, span: _Span, unit: int, pieces: Sequence[Piece], buffer: Bytes8) -> Bytes8:
    if span.rows is not None:
        return _rows(span.rows, batch - span.start, buffer)
    row = buffer[:unit]
    copy_range(pieces, span.start * unit, (span.start + 1) * unit, row)
    return row.reshape(1, unit)


def _rows(rows: Bytes8, numbers: Numbers, buffer: Bytes8) -> Bytes8:
    """rows[numbers]: a view where they are consecutive, otherwise copied into the buffer."""
    if _consecutive(numbers):
        return _slice(rows, numbers)
    unit = rows.shape[1]
    gathered = buffer[: len(numbers) * unit].reshape(-1, unit)
    return np.take(rows, numbers, axis=0, out=gathered, mode="clip")


def _consecutive(numbers: Numbers) -> bool:
    return int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1


def _slice(rows: Bytes8, numbers: Numbers) -> Bytes8:
    return rows[int(numbers[0]) : int(numbers[-1]) + 1]


def _paired(data: Bytes8, memory: Bytes8, blocks: Numbers) -> tuple[Bytes8, Bytes8]:
    if len(blocks):
        _check(int(blocks[0]), int(blocks[-1]) + 1, of=memory, unit=BLOCK)
    return data.reshape(len(blocks), BLOCK), memory.reshape(-1, BLOCK)


def _put_rows(rows: Bytes8, numbers: Numbers, values: Bytes8) -> None:
    """rows[numbers] = values. A row as one item of a wide type: half the time of an assignment by index."""
    whole = np.dtype(f"V{rows.shape[1]}")
    np.put(rows.reshape(-1).view(whole), numbers, values.reshape(-1).view(whole), mode="clip")


def _changed_in_span(
    span: _Span, start: int, stop: int, pieces: Sequence[Piece], shadow: Bytes8, scratch: _Scratch
) -> Iterator[Numbers]:
    """The changed pages of [start, stop), which the span holds.

    Where a whole batch differed, the next one is probed first by one word of each page: memory that was rewritten from end
    to end is told without being read.
    """
    then = shadow.reshape(-1, PAGE)
    all_differed = False
    for first in range(start, stop, _BATCH_PAGES):
        batch = np.arange(first, min(first + _BATCH_PAGES, stop))
        live, past = _live_rows(batch, span, PAGE, pieces, scratch.live), _slice(then, batch)
        if all_differed and _first_words_differ(live, past):
            yield batch
            continue
        flags = _differing_words(live, past, scratch)
        if flags.any():
            changed = batch[flags.reshape(len(batch), -1).any(axis=1)]
            all_differed = len(changed) == len(batch)
            yield changed
        else:
            all_differed = False


def _first_words_differ(live: Bytes8, past: Bytes8) -> bool:
    return bool((live[:, :8].view(_WORD) != past[:, :8].view(_WORD)).all())


def _differing_words(live: Bytes8, past: Bytes8, scratch: _Scratch) -> _Flags:
    """One flag per word of eight bytes; (n,) bool in the scratch. Both are (rows, PAGE)."""
    mine, theirs = live.reshape(-1).view(_WORD), past.reshape(-1).view(_WORD)
    return np.not_equal(mine, theirs, out=scratch.words[: len(mine)])


def _changed_block_flags(live: Bytes8, past: Bytes8, scratch: _Scratch) -> _Flags:
    """One flag per block; (n,) bool. The 32 flags of a block's words are looked at as four words: three times faster."""
    flags = _differing_words(live, past, scratch).view(_WORD).reshape(-1, BLOCK // 64)
    return np.asarray((flags[:, 0] | flags[:, 1] | flags[:, 2] | flags[:, 3]) != 0)
