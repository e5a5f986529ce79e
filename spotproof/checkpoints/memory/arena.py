"""Memory of our own: page-aligned, zero, from the kernel or from a file on disk."""

import ctypes
import errno
import mmap
import os
import sys
import tempfile
from typing import Final

import numpy as np

from spotproof.checkpoints.memory.pages import Bytes8
from spotproof.errors import ScratchFullError

_MADV_POPULATE_WRITE: Final = 23  # Linux 5.14, linux/mman.h
_MADV_HUGEPAGE: Final = 14  # linux/mman.h
_PREFAULT_STEP: Final = 8 << 20  # bytes per call: other threads' mmap() gets its turn
_GRAIN: Final = 1 << 20  # bytes; no pooled buffer is smaller
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def allocate(size_bytes: int) -> Bytes8:
    """Private anonymous memory: (size_bytes,) uint8, page-aligned, zero; nothing else is in its last page.

    In huge pages where the kernel has them: the first touch costs a tenth, and scattered blocks are found with fewer
    misses. Tracking stays exact by page, because the kernel splits a huge page at the first write to it once it is
    write-protected. The memory goes back to the kernel with its last view.

    Raises:
        MemoryError: the kernel has no such memory.
    """
    if size_bytes == 0:
        return np.empty(0, np.uint8)
    try:
        mapped = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no memory for {size_bytes} bytes of state: {error}") from error
    if sys.platform == "linux":
        _in_huge_pages(mapped)
    return np.frombuffer(mapped, np.uint8)


def allocate_on_disk(directory: str, size_bytes: int) -> Bytes8:
    """Memory in a file without a name in `directory`: (size_bytes,) uint8, page-aligned, zero, its disk space reserved.

    Raises:
        ScratchFullError: the disk has no such space.
    """
    if size_bytes == 0:
        return np.empty(0, np.uint8)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        try:
            _reserve(file.fileno(), size_bytes)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            message = f"no room for {size_bytes} bytes of state in {directory}: give the job more ephemeral storage"
            raise ScratchFullError(message) from error
        return np.frombuffer(mmap.mmap(file.fileno(), size_bytes), np.uint8)


def prefault(memory: Bytes8) -> None:
    """Let the kernel back every page now, while other threads run; a kernel that can't is left to do it at first touch.

    Changes no byte, so others may write meanwhile. Pages count as written for a tracker: prefault before arming.
    """
    if sys.platform != "linux" or len(memory) == 0:
        return
    first = address_of(memory) // mmap.PAGESIZE * mmap.PAGESIZE
    stop = address_of(memory) + len(memory)
    madvise = ctypes.CDLL(None).madvise
    for at in range(first, stop, _PREFAULT_STEP):
        if madvise(ctypes.c_void_p(at), ctypes.c_size_t(min(_PREFAULT_STEP, stop - at)), _MADV_POPULATE_WRITE) != 0:
            return


def address_of(memory: Bytes8) -> int:
    return int(memory.__array_interface__["data"][0])


class BufferPool:
    """Warm buffers, kept because the first touch of memory costs more than filling it. One thread at a time.

    There are never more buffers than were in use at once: one that became too small makes room for its successor.
    """

    def __init__(self) -> None:
        self._idle: list[Bytes8] = []  # by size
        self._taken: dict[int, Bytes8] = {}  # by address
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of memory in all buffers, taken or idle."""
        return self._held_bytes

    def take(self, size_bytes: int) -> Bytes8:
        """(size_bytes,) uint8 with any content, page-aligned; up to an eighth larger in memory, and at least 1 MiB."""
        fitting = next((index for index, idle in enumerate(self._idle) if len(idle) >= size_bytes), None)
        whole = self._idle.pop(fitting) if fitting is not None else self._grown(size_bytes)
        self._taken[address_of(whole)] = whole
        return whole[:size_bytes]

    def give_back(self, buffer: Bytes8) -> None:
        """The caller no longer uses this buffer, nor any view of it.

        Raises:
            KeyError: it was not taken here, or given back before.
        """
        self._idle.append(self._taken.pop(address_of(buffer)))
        self._idle.sort(key=len)

    def _grown(self, size_bytes: int) -> Bytes8:
        """A new buffer, in the place of the largest idle one if there is any."""
        if self._idle:
            self._held_bytes -= len(self._idle.pop())
        whole = allocate(_roomy(size_bytes))
        self._held_bytes += len(whole)
        return whole


def _roomy(size_bytes: int) -> int:
    """A size with room to grow: few sizes, so that buffers that grow little by little are seldom made anew."""
    step = max(_GRAIN, (1 << size_bytes.bit_length()) // 16)
    return max(step, -(-size_bytes // step) * step)


def _in_huge_pages(mapped: mmap.mmap) -> None:
    try:
        mapped.madvise(_MADV_HUGEPAGE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel built without huge pages
            raise


def _reserve(fd: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
        return
    zeros = bytes(_GRAIN)
    for at in range(0, size_bytes, _GRAIN):
        os.pwrite(fd, zeros[: size_bytes - at], at)
