"""Pages and blocks of an image: which of them changed, and copying and XOR-ing them.

An image is a range of bytes made of pieces; its shadow holds the bytes of the last durable state in whole pages, zero past
the image's length. Work goes in small reused batches, because the first touch of fresh memory costs more than the work.
Numbers of pages and blocks are sorted and unique everywhere; a number outside the image is an IndexError.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from spotproof.checkpoints.memory.pieces import (
    BLOCK,
    PAGE,
    Bytes8,
    Numbers,
    Piece,
    Source,
    Span,
    batches,
    copy_range,
    padded,
    span_at,
)
from spotproof.checkpoints.memory.rows import (
    BATCH_BLOCKS,
    BATCH_PAGES,
    Flags,
    Scratch,
    between,
    consecutive,
    pick,
    put,
    scratch_buffers,
)

__all__ = [
    "BLOCK",
    "BLOCKS_PER_PAGE",
    "PAGE",
    "Bytes8",
    "Numbers",
    "Piece",
    "Source",
    "apply_blocks",
    "changed_blocks",
    "changed_pages",
    "copy_blocks",
    "copy_range",
    "padded",
    "xor_blocks",
]

BLOCKS_PER_PAGE: Final = PAGE // BLOCK
_WORD: Final = np.dtype(np.uint64)


def changed_pages(pieces: Sequence[Piece], shadow: Bytes8, *, first_page: int = 0, pages: int | None = None) -> Numbers:
    """The pages of [first_page, first_page + pages) whose live bytes differ from the shadow; exact.

    Args:
        shadow: (padded(length),) uint8, zero past the length.
        pages: None stands for all up to the end.
    """
    stop = len(shadow) // PAGE if pages is None else first_page + pages
    _check_inside(first_page, stop, of=shadow, unit=PAGE)
    found: list[Numbers] = []
    with scratch_buffers() as scratch:
        at = first_page
        while at < stop:
            span = span_at(pieces, PAGE, at)
            end = min(span.stop, stop)
            found += _changed_in_span(span, end, pieces, shadow, scratch)
            at = end
    return _joined(found)


def changed_blocks(pieces: Sequence[Piece], shadow: Bytes8, pages: Numbers) -> Numbers:
    """The blocks of these pages whose live bytes differ from the shadow; exact.

    Args:
        shadow: (padded(length),) uint8, zero past the length.
        pages: (n,) int64, sorted, unique.
    """
    if len(pages):
        _check_inside(int(pages[0]), int(pages[-1]) + 1, of=shadow, unit=PAGE)
    then = shadow.reshape(-1, PAGE)
    in_page = np.arange(BLOCKS_PER_PAGE)
    found: list[Numbers] = []
    with scratch_buffers() as scratch:
        for batch, span in batches(pieces, PAGE, pages, BATCH_PAGES):
            live = _live_pages(batch, span, pieces, scratch)
            flags = _changed_block_flags(live, pick(then, batch, scratch.then), scratch)
            if flags.any():
                numbers = batch[:, np.newaxis] * BLOCKS_PER_PAGE + in_page
                found.append(numbers[flags.reshape(-1, BLOCKS_PER_PAGE)])
    return _joined(found)


def copy_blocks(pieces: Sequence[Piece], blocks: Numbers, out: Bytes8) -> None:
    """out = the live bytes of these blocks, zero past the length.

    Args:
        blocks: (n,) int64, sorted, unique.
        out: (n * BLOCK,) uint8.
    """
    if len(blocks) and int(blocks[0]) < 0:
        raise IndexError(f"block {int(blocks[0])} is not in the image")
    rows = out.reshape(len(blocks), BLOCK)
    done = 0
    for batch, span in batches(pieces, BLOCK, blocks, max(1, len(blocks))):
        target = rows[done : done + len(batch)]
        done += len(batch)
        if span.rows is None:
            start = span.start * BLOCK
            copy_range(pieces, start, start + BLOCK, target.reshape(-1))
        elif consecutive(batch):
            target[:] = between(span.rows, batch - span.start)
        else:
            np.take(span.rows, batch - span.start, axis=0, out=target, mode="clip")


def xor_blocks(data: Bytes8, memory: Bytes8, blocks: Numbers) -> None:
    """data ^= memory[blocks], in place.

    Args:
        data: (n * BLOCK,) uint8.
        memory: whole blocks, uint8.
        blocks: (n,) int64, sorted, unique.
    """
    there = memory.reshape(-1, BLOCK)
    with scratch_buffers() as scratch:
        for batch, mine in _paired(blocks, data, memory):
            np.bitwise_xor(mine, pick(there, batch, scratch.then), out=mine)


def apply_blocks(memory: Bytes8, blocks: Numbers, data: Bytes8) -> None:
    """memory[blocks] ^= data, in place.

    Args:
        memory: whole blocks, uint8.
        blocks: (n,) int64, sorted, unique.
        data: (n * BLOCK,) uint8; not changed.
    """
    there = memory.reshape(-1, BLOCK)
    with scratch_buffers() as scratch:
        for batch, mine in _paired(blocks, data, memory):
            result = pick(there, batch, scratch.then)
            np.bitwise_xor(result, mine, out=result)
            if not consecutive(batch):  # else the result is the memory itself
                put(there, batch, result)


def _paired(blocks: Numbers, data: Bytes8, memory: Bytes8) -> Iterator[tuple[Numbers, Bytes8]]:
    """Batches of block numbers, each with its rows of the data."""
    if len(blocks):
        _check_inside(int(blocks[0]), int(blocks[-1]) + 1, of=memory, unit=BLOCK)
    rows = data.reshape(len(blocks), BLOCK)
    for at in range(0, len(blocks), BATCH_BLOCKS):
        yield blocks[at : at + BATCH_BLOCKS], rows[at : at + BATCH_BLOCKS]


def _check_inside(start: int, stop: int, *, of: Bytes8, unit: int) -> None:
    if start < 0 or stop * unit > len(of):
        raise IndexError(f"[{start}, {stop}) is not in [0, {len(of) // unit})")


def _joined(found: list[Numbers]) -> Numbers:
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _live_pages(batch: Numbers, span: Span, pieces: Sequence[Piece], scratch: Scratch) -> Bytes8:
    if span.rows is not None:
        return pick(span.rows, batch - span.start, scratch.live)
    page = scratch.live[:PAGE]
    copy_range(pieces, span.start * PAGE, (span.start + 1) * PAGE, page)
    return page.reshape(1, PAGE)


def _changed_in_span(
    span: Span, stop: int, pieces: Sequence[Piece], shadow: Bytes8, scratch: Scratch
) -> Iterator[Numbers]:
    """The changed pages of the span before `stop`.

    Where a whole batch differed, the next one is probed first by one word of each page: memory that was rewritten from end
    to end is told without being read.
    """
    then = shadow.reshape(-1, PAGE)
    all_differed = False
    for first in range(span.start, stop, BATCH_PAGES):
        batch = np.arange(first, min(first + BATCH_PAGES, stop))
        live, past = _live_pages(batch, span, pieces, scratch), between(then, batch)
        if all_differed and _first_words_differ(live, past):
            yield batch
            continue
        flags = _differing_words(live, past, scratch)
        changed = batch[flags.reshape(len(batch), -1).any(axis=1)] if flags.any() else batch[:0]
        all_differed = len(changed) == len(batch)
        yield changed


def _first_words_differ(live: Bytes8, past: Bytes8) -> bool:
    return bool((live[:, :8].view(_WORD) != past[:, :8].view(_WORD)).all())


def _differing_words(live: Bytes8, past: Bytes8, scratch: Scratch) -> Flags:
    """One flag per word of eight bytes: (n,) bool in the scratch. Both are (pages, PAGE)."""
    mine, theirs = live.reshape(-1).view(_WORD), past.reshape(-1).view(_WORD)
    return np.not_equal(mine, theirs, out=scratch.words[: len(mine)])


def _changed_block_flags(live: Bytes8, past: Bytes8, scratch: Scratch) -> Flags:
    """One flag per block: (n,) bool. The 32 flags of a block's words are looked at as four words: three times faster."""
    flags = _differing_words(live, past, scratch).view(_WORD).reshape(-1, BLOCK // 64)
    return np.asarray((flags[:, 0] | flags[:, 1] | flags[:, 2] | flags[:, 3]) != 0)
