"""One tracked range of bytes: what is live, what is durable, and what changed between the two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from spotproof.checkpoints.block_delta import blocks_of, blocks_within, delta_bytes
from spotproof.checkpoints.images.live import Live, length_of
from spotproof.checkpoints.images.slices import (
    DENSE_SHARE,
    DENSE_SHARE_HURRIED,
    Chain,
    dense_slices,
    rolling_slices,
)
from spotproof.checkpoints.manifest import ImageEntry
from spotproof.checkpoints.memory.arena import BufferPool, allocate
from spotproof.checkpoints.memory.pages import (
    BLOCK,
    PAGE,
    Bytes8,
    Numbers,
    Piece,
    apply_blocks,
    changed_blocks,
    copy_blocks,
    copy_range,
    padded,
)
from spotproof.checkpoints.memory.trackers.base import Tracker

_NONE: Final[Numbers] = np.empty(0, np.int64)
SURELY_DENSE: Final = 0.9  # of a slice's pages, and of the blocks of a sample of them
SAMPLES: Final = 8
GROWTH: Final = 1.25  # of a shadow that has become too small: a growing file moves it seldom


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Some changed blocks, as they will be stored: room for the header, then the blocks."""

    blocks: Numbers  # (k,)
    raw: Bytes8  # (delta_bytes(k),)

    @property
    def data(self) -> Bytes8:
        """(k * BLOCK,): the blocks."""
        return blocks_of(self.raw, len(self.blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGather:
    """What one save carries of an image. While it is on its way, the image's shadow belongs to the save."""

    image: "Image"
    describe: dict[str, Any]
    length: int
    extent: int  # bytes that slices cover: the length, or more if the image was longer once
    whole: tuple[int, ...]  # slices that go as a new base, from the shadow
    blocks: Numbers  # (k,) changed blocks of the other slices
    deltas: tuple["Delta", ...]  # their live bytes; the carry turns them into differences
    buffer: Bytes8  # of the pool; the deltas lie in it
    changed_bytes: int  # as far as it is known; slices that go whole for other reasons bring more

    @property
    def size_bytes(self) -> int:
        return len(self.buffer) + sum(self.image.span(number, self.extent)[1] for number in self.whole)

    def touched(self, slice_bytes: int) -> frozenset[int]:
        """The slices that the changed blocks are in."""
        return frozenset(np.flatnonzero(np.bincount(self.blocks * BLOCK // slice_bytes)).tolist())


class Image:
    """Live bytes and their shadow. `gather` and `settle` are the main thread's, between them the save reads."""

    def __init__(
        self,
        name: str,
        live: Live,
        *,
        slice_bytes: int,
        delta_bytes: int,
        chain_max: int,
        track: Callable[["Image"], Tracker],
    ) -> None:
        self.name = name
        self.live = live
        self.entry: ImageEntry | None = None  # as in the manifest on record
        self.shadow: Bytes8 = np.empty(0, np.uint8)
        self._slice_bytes = slice_bytes
        self._delta_blocks = blocks_within(delta_bytes)
        self._chain_max = chain_max
        self._pieces: Sequence[Piece] = ()
        self._tail: Bytes8 = self.shadow
        self._tracker: Tracker | None = track(self)
        self._pending: Numbers = _NONE  # pages that were collected and did not become durable
        self._in_flight: Numbers = _NONE  # pages of the save on its way
        self._lent = False  # a save is on its way, and the shadow is its
        self._invalid: frozenset[int] = frozenset()  # slices whose shadow is not what is durable

    @property
    def _watch(self) -> Tracker:
        assert self._tracker is not None, "the image is closed"
        return self._tracker

    def pieces(self) -> Sequence[Piece]:
        """The live bytes, then zeros as far as the shadow goes."""
        return self._pieces

    @property
    def size_bytes(self) -> int:
        """Live bytes of memory that the kernel may track; 0 for others."""
        memory = self.live.memory()
        return 0 if memory is None else len(memory)

    def span(self, number: int, extent: int) -> tuple[int, int]:
        """Where slice `number` starts, and its bytes."""
        start = number * self._slice_bytes
        return start, min(self._slice_bytes, extent - start)

    def reserve(self, size_bytes: int) -> None:
        """A shadow for so many bytes, kept if it is big enough."""
        if padded(size_bytes) <= len(self.shadow):
            return
        size = padded(size_bytes) if not len(self.shadow) else padded(int(size_bytes * GROWTH))
        grown = self.live.allocate_shadow(size)
        grown[: len(self.shadow)] = self.shadow
        self.shadow = grown

    def dirty_bytes(self) -> int | None:
        """Bytes of the pages that may have changed; None if only a gather can tell."""
        known = self._watch.dirty_bytes()
        pending = len(self._pending) * PAGE + len(self._invalid) * self._slice_bytes
        return None if known is None else known + pending

    def gather(
        self, pool: BufferPool, *, room_bytes: int, may_rebase: bool, all_anew: bool = False
    ) -> ImageGather | None:
        """Copy what changed since the last durable save; None if nothing did.

        Args:
            room_bytes: at most so many bytes of changed blocks are copied; slices beyond that travel whole.
            may_rebase: whether old slices may be rewritten to keep the chain of deltas short.
            all_anew: every slice travels whole: what is durable can't be built on.
        """
        length = self._open()
        try:
            if all_anew:
                self._invalid = frozenset(range(-(-self._extent(length) // self._slice_bytes)))
            return self._gather(pool, length, room_bytes, may_rebase=may_rebase, all_anew=all_anew)
        finally:
            self._pieces = ()
            self.live.release()

    def _gather(
        self, pool: BufferPool, length: int, room_bytes: int, *, may_rebase: bool, all_anew: bool
    ) -> ImageGather | None:
        extent = self._extent(length)
        pages = self._collect(extent)
        rewritten = self._rewritten(pages)
        blocks = changed_blocks(self._pieces, self.shadow, self._outside(pages, rewritten))
        whole = rewritten | self._choose_whole(blocks, extent, room_bytes, may_rebase=may_rebase)
        changed = len(blocks) * BLOCK + sum(self.span(number, extent)[1] for number in rewritten)
        describe = self.live.describe()
        blocks = blocks[~np.isin(blocks * BLOCK // self._slice_bytes, sorted(whole))] if whole else blocks
        entry = self.entry
        known = entry is not None and (entry.descr, entry.length) == (describe, length)
        if known and not whole and not len(blocks) and not all_anew:
            self._pending = _NONE  # written again with the same bytes
            return None
        buffer, deltas = self._copy(blocks, pool)
        for number in whole:  # to its end, also where a failed save of a longer image wrote
            memory = self.shadow[number * self._slice_bytes : (number + 1) * self._slice_bytes]
            start = number * self._slice_bytes
            copy_range(self._pieces, start, start + len(memory), memory)
        self._in_flight, self._pending = self._pending, _NONE
        self._lent = True
        return ImageGather(
            image=self,
            describe=describe,
            length=length,
            extent=extent,
            whole=tuple(sorted(whole)),
            blocks=blocks,
            deltas=deltas,
            buffer=buffer,
            changed_bytes=changed,
        )

    def _copy(self, blocks: Numbers, pool: BufferPool) -> tuple[Bytes8, tuple[Delta, ...]]:
        """The live blocks, in portions, each behind room for its header."""
        parts = [blocks[first : first + self._delta_blocks] for first in range(0, len(blocks), self._delta_blocks)]
        buffer = pool.take(sum(delta_bytes(len(part)) for part in parts))
        deltas: list[Delta] = []
        at = 0
        for part in parts:
            delta = Delta(blocks=part, raw=buffer[at : at + delta_bytes(len(part))])
            copy_blocks(self._pieces, part, delta.data)
            deltas.append(delta)
            at += len(delta.raw)
        return buffer, tuple(deltas)

    def settle(self, gathered: ImageGather, entry: ImageEntry | None) -> None:
        """The save has ended: with the manifest's entry of this image if it is durable, else with None."""
        in_flight, self._in_flight = self._in_flight, _NONE
        self._lent = False
        if self._tracker is None:
            self._let_go()
        elif entry is None:
            self._invalid |= frozenset(gathered.whole)
            self._pending = np.union1d(self._pending, in_flight)
        else:
            self.entry = entry
            self._invalid -= frozenset(gathered.whole)  # others lie behind the end: when the image grows, they are due

    def advance(self, gathered: ImageGather) -> None:
        """Bring the shadow to what is durable now; part of the save, before it ends."""
        for delta in gathered.deltas:
            apply_blocks(self.shadow, delta.blocks, delta.data)

    def arm(self) -> None:
        """The live bytes are those of the shadow, or no kernel watches them: track from here on."""
        self._watch.arm()

    def restored(self, entry: ImageEntry) -> None:
        """The live bytes and the shadow are those of `entry`."""
        self.entry = entry
        self.live.release()
        self.arm()

    def close(self) -> None:
        """Track no more, and let the memory go: now, or once the save that is reading the shadow has ended."""
        if self._tracker is not None:
            self._tracker.close()
        self._tracker = None
        if not self._lent:
            self._let_go()

    def _let_go(self) -> None:
        """Tracker and image held each other, and a garbage collection may be far."""
        self.shadow = self._tail = np.empty(0, np.uint8)
        self._pieces = ()

    def _open(self) -> int:
        """Look at the live bytes; their length. Zeros follow up to the end of the shadow."""
        pieces = list(self.live.pieces())
        length = length_of(pieces)
        self.reserve(length)
        missing = len(self.shadow) - length
        if missing:
            if len(self._tail) < missing:
                self._tail = allocate(padded(missing))
            pieces.append(Piece(offset=length, data=self._tail[:missing]))
        self._pieces = pieces
        return length

    def _extent(self, length: int) -> int:
        return max(length, 0 if self.entry is None else self.entry.extent)

    def _collect(self, extent: int) -> Numbers:
        pages = self._watch.collect()
        if len(self._pending):
            pages = np.union1d(self._pending, pages)
        pages = self._outside(pages[pages < padded(extent) // PAGE], self._invalid)
        self._pending = pages  # whoever fails from here on forgets nothing
        return pages

    def _outside(self, pages: Numbers, slices: frozenset[int]) -> Numbers:
        return pages[~np.isin(pages * PAGE // self._slice_bytes, sorted(slices))] if slices else pages

    def _rewritten(self, pages: Numbers) -> frozenset[int]:
        """Slices that a sample shows to be rewritten from end to end: comparing all of them would stall the job longer
        than copying them."""
        pages_each = self._slice_bytes // PAGE
        found = set()
        for number in np.flatnonzero(np.bincount(pages // pages_each) >= SURELY_DENSE * pages_each).tolist():
            mine = pages[
                np.searchsorted(pages, number * pages_each) : np.searchsorted(pages, (number + 1) * pages_each)
            ]
            sample = mine[:: max(1, len(mine) // SAMPLES)]
            blocks = changed_blocks(self._pieces, self.shadow, sample)
            if len(blocks) >= SURELY_DENSE * len(sample) * (PAGE // BLOCK):
                found.add(number)
        return frozenset(found)

    def _choose_whole(self, blocks: Numbers, extent: int, room_bytes: int, *, may_rebase: bool) -> frozenset[int]:
        count = -(-extent // self._slice_bytes)
        per_slice = np.bincount(blocks * BLOCK // self._slice_bytes, minlength=count).tolist()
        invalid = frozenset(each for each in self._invalid if each < count)
        dense = dense_slices(
            per_slice,
            blocks_per_slice=self._slice_bytes // BLOCK,
            room_blocks=max(0, room_bytes) // BLOCK,
            last_blocks=-(-self.span(count - 1, extent)[1] // BLOCK) if count else None,
            dense_share=DENSE_SHARE if may_rebase else DENSE_SHARE_HURRIED,
        )
        if not may_rebase or self.entry is None or not len(blocks):
            return invalid | dense
        return (
            invalid
            | dense
            | rolling_slices(
                chain_of(self.entry, count),
                delta_bytes=len(blocks) * BLOCK,
                slice_bytes=self._slice_bytes,
                chain_max=self._chain_max,
            )
        )


def chain_of(entry: ImageEntry, slices: int) -> Chain:
    """What the pure decisions need to know of an entry of the manifest."""
    seqs = [each.seq for each in entry.slices]
    return Chain(
        base_bytes=sum(each.segment.size_bytes for each in entry.slices if each.segment is not None),
        delta_bytes=sum(segment.size_bytes for delta in entry.deltas for segment in delta.segments),
        slice_seqs=[*seqs, *[0] * (slices - len(seqs))],
        touched=[(delta.seq, delta.touched) for delta in entry.deltas],
    )
