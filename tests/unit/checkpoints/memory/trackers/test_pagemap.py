"""The kernel's tracker: descriptors, forks, errors in the middle, and what is said when the kernel refuses."""

import errno
import fcntl
import gc
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spotproof.checkpoints.memory.arena import allocate
from spotproof.checkpoints.memory.pages import PAGE
from spotproof.checkpoints.memory.trackers import userfaultfd
from spotproof.checkpoints.memory.trackers.pagemap import PagemapTracker, pagemap_works, pages_of
from spotproof.checkpoints.memory.trackers.userfaultfd import TrackingRefusedError, open_userfaultfd

REFUSAL = pagemap_works()
needs_kernel = pytest.mark.skipif(REFUSAL is not None, reason=f"pagemap does not work here: {REFUSAL}")
probe: Callable[[], str | None] = pagemap_works.__wrapped__  # without its memory


@pytest.fixture
def tracker() -> Iterator[PagemapTracker]:
    """Of 64 armed pages."""
    tracker = PagemapTracker(allocate(64 * PAGE))
    tracker.arm()
    yield tracker
    tracker.close()


def memory_of(tracker: PagemapTracker) -> Any:
    return tracker._memory


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def answer_ioctls(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, Callable[[], int]], int]) -> None:
    """Every ioctl is answered by `answer(request, the real one)`."""
    real = fcntl.ioctl

    def ioctl(fd: int, request: int, *arguments: Any) -> int:
        return answer(request, lambda: int(real(fd, request, *arguments)))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)


@needs_kernel
def test_dirty_bytes_are_the_written_pages(tracker: PagemapTracker) -> None:
    memory_of(tracker)[[0, 5 * PAGE, 5 * PAGE + 9, 63 * PAGE]] = 1

    assert tracker.dirty_bytes() == 3 * max(PAGE, mmap.PAGESIZE)


@needs_kernel
def test_dirty_bytes_are_never_more_than_the_image() -> None:
    tracker = PagemapTracker(allocate(3 * PAGE))
    memory_of(tracker)[:] = 1

    assert tracker.dirty_bytes() == 3 * PAGE
    tracker.close()


@needs_kernel
@pytest.mark.parametrize("regions", [1, 2, 3, 33])
def test_more_regions_than_one_scan_can_tell(regions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userfaultfd, "_REGIONS_PER_SCAN", regions)
    tracker = PagemapTracker(allocate(64 * mmap.PAGESIZE))
    tracker.arm()
    memory_of(tracker)[:: 2 * mmap.PAGESIZE] = 1

    assert tracker.dirty_bytes() == 32 * mmap.PAGESIZE
    written = tracker.collect()

    per_page = mmap.PAGESIZE // PAGE
    assert written.tolist() == [page for page in range(64 * per_page) if page // per_page % 2 == 0]
    assert tracker.collect().tolist() == []
    tracker.close()


@needs_kernel
def test_an_error_in_the_middle_of_a_scan_loses_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userfaultfd, "_REGIONS_PER_SCAN", 4)
    tracker = PagemapTracker(allocate(64 * mmap.PAGESIZE))
    tracker.arm()
    memory_of(tracker)[:: 2 * mmap.PAGESIZE] = 1
    scans: list[int] = []

    def out_of_memory_at_the_fourth(request: int, real: Callable[[], int]) -> int:
        scans.append(request)
        if len(scans) == 4:
            raise OSError(errno.ENOMEM, "cannot allocate memory")
        return real()

    with monkeypatch.context() as patch:
        answer_ioctls(patch, out_of_memory_at_the_fourth)
        with pytest.raises(OSError, match="cannot allocate"):
            tracker.collect()
    memory_of(tracker)[0] = 2

    told, written = tracker.dirty_bytes(), tracker.collect()

    per_page = mmap.PAGESIZE // PAGE
    assert written.tolist() == [page for page in range(64 * per_page) if page // per_page % 2 == 0]
    assert told is not None
    assert told >= 32 * mmap.PAGESIZE
    assert tracker.collect().tolist() == []
    tracker.close()


@needs_kernel
def test_closing_lets_go_of_every_descriptor_and_stops_tracking() -> None:
    memory = allocate(8 * PAGE)
    before = open_descriptors()
    for _ in range(3):
        tracker = PagemapTracker(memory)  # while one is open, the kernel refuses the next
        tracker.arm()
        tracker.close()

    assert open_descriptors() == before
    with pytest.raises(ValueError, match="closed"):
        tracker.collect()
    memory[:] = 1


@needs_kernel
def test_memory_that_is_tracked_already_is_refused_and_no_descriptor_stays(tracker: PagemapTracker) -> None:
    before = open_descriptors()

    with pytest.raises(TrackingRefusedError, match="does not track this memory"):
        PagemapTracker(memory_of(tracker))

    assert open_descriptors() == before


@needs_kernel
def test_the_tracker_keeps_its_memory() -> None:
    memory = allocate(64 * PAGE)
    tracker = PagemapTracker(memory)
    tracker.arm()
    address = memory.__array_interface__["data"][0]
    del memory
    gc.collect()

    others = [allocate(64 * PAGE) for _ in range(20)]

    assert all(other.__array_interface__["data"][0] != address for other in others)
    tracker.close()


@pytest.mark.parametrize(("skipped", "size"), [(1, 2 * PAGE), (0, 0)])
def test_memory_that_does_not_begin_at_a_page_is_refused(skipped: int, size: int) -> None:
    memory = allocate(2 * PAGE)

    with pytest.raises(ValueError, match=r"arena\.allocate"):
        PagemapTracker(memory[skipped:size])


def in_a_child(work: Callable[[], bool]) -> bool:
    """What the work answers in a forked child."""
    child = os.fork()
    if child == 0:
        answer = False
        try:
            answer = work()
        finally:
            os._exit(0 if answer else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_kernel
def test_a_fork_does_not_disturb_tracking_and_the_childs_writes_are_its_own(tracker: PagemapTracker) -> None:
    memory = memory_of(tracker)
    memory[PAGE] = 1

    def child_writes() -> bool:
        memory[40 * PAGE] = 9
        return True

    assert in_a_child(child_writes)
    memory[2 * PAGE] = 1

    collected = tracker.collect().tolist()
    assert {1, 2} <= set(collected)
    assert 40 not in collected
    memory[3 * PAGE] = 1
    assert 3 in tracker.collect().tolist()
    assert memory[40 * PAGE] == 0


@needs_kernel
def test_a_child_can_not_erase_what_its_parent_has_to_save(tracker: PagemapTracker) -> None:
    memory_of(tracker)[PAGE] = 1

    def child_collects() -> bool:
        refused = 0
        for use in (tracker.collect, tracker.dirty_bytes, tracker.arm):
            try:
                use()
            except RuntimeError:
                refused += 1
        tracker.close()
        return refused == 3

    assert in_a_child(child_collects)
    memory_of(tracker)[9 * PAGE] = 1
    assert {1, 9} <= set(tracker.collect().tolist())


def test_pages_of_larger_system_pages_are_all_pages_within() -> None:
    system = 16 * PAGE
    regions = np.array([[system, 2 * system], [4 * system, 5 * system]]) + 7 * system

    pages = pages_of(regions, start=7 * system, pages=4 * 16 + 3)

    assert pages.tolist() == [*range(16, 32), *range(64, 67)]  # the last system page reaches past the image


def test_no_regions_are_no_pages() -> None:
    assert pages_of(np.empty((0, 2), np.int64), start=0, pages=9).tolist() == []


def refused(*_: object, **__: object) -> int:
    raise OSError(errno.EPERM, "operation not permitted")


@pytest.mark.skipif(not os.access(userfaultfd.DEVICE, os.R_OK | os.W_OK), reason="may not open the device")
def test_where_the_call_is_refused_the_device_gives_a_descriptor_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userfaultfd, "open_userfaultfd", lambda: open_userfaultfd(call=refused))

    assert probe() is None


def test_where_call_and_device_are_refused_both_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrackingRefusedError) as told:
        open_userfaultfd(call=refused, device=str(tmp_path / "none"))

    assert "userfaultfd is refused (operation not permitted)" in str(told.value)
    assert "none can't be used (No such file or directory)" in str(told.value)


def test_a_device_that_is_another_thing_is_refused(tmp_path: Path) -> None:
    before = open_descriptors()

    with pytest.raises(TrackingRefusedError, match="can't be used"):
        open_userfaultfd(call=refused, device="/dev/null")

    assert open_descriptors() == before


def test_the_number_of_the_call_is_not_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(TrackingRefusedError, match="not known for riscv64"):
        open_userfaultfd(device=str(tmp_path / "none"))


def test_elsewhere_than_on_linux_the_probe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert probe() == "the system is darwin, not Linux"


@needs_kernel
@pytest.mark.parametrize(
    ("request_number", "code", "words"),
    [
        (userfaultfd.UFFDIO_API, errno.EINVAL, "has no asynchronous write protection: it takes 6.7, on arm64 6.10"),
        (userfaultfd.UFFDIO_REGISTER, errno.EINVAL, "the kernel does not track this memory"),
        (userfaultfd.UFFDIO_WRITEPROTECT, errno.ENOENT, "can't tell written pages"),
        (userfaultfd.PAGEMAP_SCAN, errno.ENOTTY, "can't tell written pages"),
    ],
)
def test_what_an_older_kernel_refuses_is_told_in_words_and_no_descriptor_stays(
    request_number: int, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors()

    def older(request: int, real: Callable[[], int]) -> int:
        if request == request_number:
            raise OSError(code, os.strerror(code))
        return real()

    answer_ioctls(monkeypatch, older)

    reason = probe()

    assert reason is not None
    assert words in reason
    assert open_descriptors() == before


@needs_kernel
def test_a_kernel_that_does_not_see_a_write_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(request: int, real: Callable[[], int]) -> int:
        found = real()
        return min(found, 1) if request == userfaultfd.PAGEMAP_SCAN else found

    answer_ioctls(monkeypatch, blind)

    assert "where [" in str(probe())


@needs_kernel
def test_the_probe_asks_the_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[int] = []

    def counting(request: int, real: Callable[[], int]) -> int:
        requests.append(request)
        return real()

    answer_ioctls(monkeypatch, counting)
    pagemap_works.cache_clear()

    pagemap_works()
    asked = len(requests)
    pagemap_works()

    assert len(requests) == asked > 0
