"""The tracker that asks the kernel which pages were written, instead of reading them all."""

import mmap
import platform
import sys
from functools import cache

import numpy as np

from spotproof.checkpoints.memory.arena import address_of, allocate
from spotproof.checkpoints.memory.pages import PAGE, Bytes8, Numbers, padded
from spotproof.checkpoints.memory.trackers.userfaultfd import Regions, TrackingRefusedError, WrittenPages


class PagemapTracker:
    """Tracks memory of `arena.allocate`: a written page costs one fault (2-3 µs) until the next collection.

    The kernel records every write of this process, also its own on our behalf, like a file read into the memory. What a
    forked child writes is the child's and is not tracked. The tracker keeps the memory alive: while it is registered no
    other memory can come to its addresses. On systems with larger pages, each stands for all of ours within it.
    """

    name = "pagemap"

    def __init__(self, memory: Bytes8) -> None:
        """All pages count as written until `arm`.

        Raises:
            TrackingRefusedError: the kernel does not track it; see `pagemap_works`.
            ValueError: the memory does not begin at a page.
        """
        start = address_of(memory)
        if start % mmap.PAGESIZE or len(memory) == 0:
            raise ValueError("pagemap tracks memory of arena.allocate only, and at least one byte of it")
        self._memory = memory
        self._start = start
        self._pages = padded(len(memory)) // PAGE
        size = -(-len(memory) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._written = WrittenPages(start, start + size)
        self._owed: Numbers = np.arange(self._pages)  # the kernel forgot them already, nobody was told yet

    def collect(self) -> Numbers:
        found = [self._owed]  # grows step by step: what came before an error must not be lost
        try:
            for regions in self._written.scan(forget=True):
                found.append(pages_of(regions, start=self._start, pages=self._pages))  # noqa: PERF401
        except BaseException:
            self._owed = np.unique(np.concatenate(found))
            raise
        owed, self._owed = self._owed, np.empty(0, np.int64)
        new = np.concatenate(found[1:])
        return np.union1d(owed, new) if len(owed) else new

    def dirty_bytes(self) -> int | None:
        scanned = (int((regions[:, 1] - regions[:, 0]).sum()) for regions in self._written.scan(forget=False))
        return min(self._pages * PAGE, len(self._owed) * PAGE + sum(scanned))

    def arm(self) -> None:
        self._written.protect()
        self._owed = np.empty(0, np.int64)

    def close(self) -> None:
        self._written.close()


def pages_of(regions: Regions, *, start: int, pages: int) -> Numbers:
    """The pages of an image in these regions of addresses: (n,) int64. The last region may reach past the image.

    Args:
        start: address of the image.
        pages: how many it has.
    """
    first, stop = ((regions - start) // PAGE).T
    counts = np.minimum(stop, pages) - first
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(int(counts.sum()))


@cache
def pagemap_works() -> str | None:
    """None if this process can track pages by the kernel; else the reason, in words. Tried once, on a few pages."""
    if sys.platform != "linux":
        return f"the system is {sys.platform}, not Linux"
    memory = allocate(4 * mmap.PAGESIZE)
    try:
        tracker = PagemapTracker(memory)
    except TrackingRefusedError as refusal:
        return str(refusal)
    try:
        return _first_lie(tracker, memory)
    except OSError as error:
        return f"kernel {platform.release()} can't tell written pages ({error.strerror}): it takes 6.7, on arm64 6.10"
    finally:
        tracker.close()


def _first_lie(tracker: PagemapTracker, memory: Bytes8) -> str | None:
    """What the kernel tells wrongly of four of its pages, one written by us and one by the kernel; None: all is right."""
    tracker.arm()
    pages = memory.reshape(4, mmap.PAGESIZE)
    pages[1, 7] = 1
    with open("/dev/zero", "rb", buffering=0) as zeros:
        zeros.readinto(memoryview(pages[3])[:1])
    per_page = mmap.PAGESIZE // PAGE
    expected = [page for page in range(len(memory) // PAGE) if page // per_page in (1, 3)]
    for wanted in (expected, []):
        found = tracker.collect().tolist()
        if found != wanted:
            return f"the kernel told pages {found} where {wanted} were written"
    return None
