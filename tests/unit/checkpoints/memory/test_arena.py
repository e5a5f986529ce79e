"""Our own memory: aligned, zero, reserved, warm, reused."""

import errno
import gc
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from spotproof.checkpoints.memory.arena import BufferPool, address_of, allocate, allocate_on_disk, prefault
from spotproof.checkpoints.memory.pages import PAGE, Bytes8
from spotproof.errors import ScratchFullError

MIB = 1 << 20


def fresh(kind: str, size_bytes: int, directory: Path) -> Bytes8:
    return allocate(size_bytes) if kind == "memory" else allocate_on_disk(str(directory), size_bytes)


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("size_bytes", [0, 1, PAGE - 1, PAGE, 3 * MIB + 5])
def test_fresh_memory_is_of_the_size_asked_for_aligned_zero_and_writable(
    kind: str, size_bytes: int, tmp_path: Path
) -> None:
    memory = fresh(kind, size_bytes, tmp_path)

    assert memory.shape == (size_bytes,)
    assert memory.dtype == np.uint8
    assert not memory.any()
    memory[:] = 7
    assert (memory == 7).all()
    if size_bytes:
        assert address_of(memory) % mmap.PAGESIZE == 0


def test_memory_on_disk_takes_its_space_at_once_and_leaves_no_name(tmp_path: Path) -> None:
    before = os.statvfs(tmp_path).f_bfree * os.statvfs(tmp_path).f_frsize

    memory = allocate_on_disk(str(tmp_path), 64 * MIB)

    after = os.statvfs(tmp_path).f_bfree * os.statvfs(tmp_path).f_frsize
    assert list(tmp_path.iterdir()) == []
    assert before - after > 32 * MIB  # half, because others write to this disk too
    assert len(memory) == 64 * MIB


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(ScratchFullError, match=f"no room for 4096 bytes of state in {tmp_path}"):
        allocate_on_disk(str(tmp_path), PAGE)


def test_another_error_of_the_disk_is_not_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "posix_fallocate", broken)

    with pytest.raises(OSError, match="input/output"):
        allocate_on_disk(str(tmp_path), PAGE)


def test_space_is_reserved_where_the_system_has_no_call_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")

    memory = allocate_on_disk(str(tmp_path), 2 * MIB + 1)

    assert not memory.any()
    assert len(memory) == 2 * MIB + 1


def resident_bytes() -> int:
    """Of this process; pages of zeros that were only read do not count."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux to see what is resident")
def test_prefault_brings_every_page_in_and_changes_no_byte() -> None:
    memory = allocate(40 * MIB + 3)
    memory[5 * MIB] = 9
    before = resident_bytes()

    prefault(memory)

    assert resident_bytes() - before > 36 * MIB  # one page of it, maybe a huge one, was there
    assert memory[5 * MIB] == 9
    assert int(memory.astype(np.int64).sum()) == 9


def test_prefault_of_memory_that_can_not_be_written_does_nothing() -> None:
    memory = np.frombuffer(mmap.mmap(-1, PAGE, prot=mmap.PROT_READ), np.uint8)

    prefault(memory)
    prefault(np.empty(0, np.uint8))

    assert not memory.any()


def test_memory_that_the_kernel_has_not_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="no memory for"):
        allocate(1 << 62)


def test_views_keep_memory_alive() -> None:
    tail = allocate(MIB)[-PAGE:]
    gc.collect()

    tail[:] = 1

    assert tail.sum() == PAGE


def test_a_buffer_that_was_given_back_is_taken_again() -> None:
    pool = BufferPool()
    first = pool.take(3 * MIB - 10)
    where = address_of(first)
    pool.give_back(first)

    again = pool.take(2 * MIB + 1)

    assert address_of(again) == where
    assert len(first) == 3 * MIB - 10
    assert len(again) == 2 * MIB + 1
    assert pool.held_bytes == 3 * MIB


def test_the_smallest_idle_buffer_that_fits_is_taken() -> None:
    pool = BufferPool()
    sizes = [8 * MIB, 2 * MIB, 4 * MIB]
    buffers = {size: pool.take(size) for size in sizes}
    where = {size: address_of(buffer) for size, buffer in buffers.items()}
    for buffer in buffers.values():
        pool.give_back(buffer)

    assert address_of(pool.take(3 * MIB)) == where[4 * MIB]
    assert address_of(pool.take(3 * MIB)) == where[8 * MIB]
    assert pool.held_bytes == sum(sizes)


def test_a_pool_holds_no_more_buffers_than_were_in_use_at_once() -> None:
    pool = BufferPool()
    for size in range(0, 40 * MIB, MIB // 2):
        one, other = pool.take(size), pool.take(MIB)
        pool.give_back(one)
        pool.give_back(other)

        assert pool.held_bytes <= size * 1.125 + 2 * MIB


def test_a_buffer_that_grows_little_by_little_is_seldom_made_anew() -> None:
    pool = BufferPool()
    held = set()
    for size in range(32 * MIB, 64 * MIB, MIB // 4):
        pool.give_back(pool.take(size))
        held.add(pool.held_bytes)

    assert len(held) <= 10


def test_two_buffers_in_use_never_share_memory() -> None:
    pool = BufferPool()

    one, other = pool.take(MIB), pool.take(0)
    one[:] = 1

    assert address_of(one) != address_of(other)
    assert pool.held_bytes == 2 * MIB


def test_a_buffer_is_given_back_once_and_only_where_it_was_taken() -> None:
    pool = BufferPool()
    buffer = pool.take(10)
    pool.give_back(buffer)

    with pytest.raises(KeyError):
        pool.give_back(buffer)
    with pytest.raises(KeyError):
        pool.give_back(allocate(10))


def mapping_flags(memory: Bytes8) -> list[str]:
    """VmFlags of the mapping that holds this memory, see proc_pid_smaps(5)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split(" ", 1)[0]
        if "-" in head:
            start, stop = (int(part, 16) for part in head.split("-"))
            inside = start <= address_of(memory) < stop
        elif inside and head == "VmFlags:":
            return line.split()[1:]
    raise AssertionError("no such mapping")


@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/transparent_hugepage"), reason="needs Linux with huge pages")
def test_memory_may_be_of_huge_pages() -> None:
    assert "hg" in mapping_flags(allocate(4 * MIB))
