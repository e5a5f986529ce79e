"""What every tracker promises, over all of them; and that all tell the same changes."""

import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.checkpoints.memory.arena import allocate, prefault
from spotproof.checkpoints.memory.pages import (
    BLOCK,
    PAGE,
    Bytes8,
    Numbers,
    Piece,
    apply_blocks,
    changed_blocks,
    copy_blocks,
    padded,
    xor_blocks,
)
from spotproof.checkpoints.memory.trackers.base import Tracker
from spotproof.checkpoints.memory.trackers.compare import CompareTracker
from spotproof.checkpoints.memory.trackers.pagemap import PagemapTracker, pagemap_works

LENGTH = 40 * PAGE + 100  # the last page is not whole
PAGES = 41


class Image:
    """Live bytes, their shadow, and the source that trackers see."""

    def __init__(self, length: int = LENGTH) -> None:
        self.live = allocate(length)
        self.shadow = np.zeros(padded(length), np.uint8)

    def pieces(self) -> Sequence[Piece]:
        return [Piece(offset=0, data=self.live)]

    def moved(self) -> None:
        """The shadow takes the live bytes over."""
        self.shadow[: len(self.live)] = self.live


def compare(image: Image) -> Tracker:
    return CompareTracker(image, lambda: image.shadow)


def pagemap(image: Image) -> Tracker:
    reason = pagemap_works()
    if reason is not None:
        pytest.skip(f"pagemap does not work here: {reason}")
    return PagemapTracker(image.live)


@dataclass(frozen=True)
class Tracked:
    image: Image
    tracker: Tracker

    @property
    def live(self) -> Bytes8:
        return self.image.live


@pytest.fixture(params=[compare, pagemap], ids=["compare", "pagemap"])
def tracked(request: pytest.FixtureRequest) -> Iterator[Tracked]:
    """Armed; live bytes and shadow are a pattern."""
    make: Callable[[Image], Tracker] = request.param
    image = Image()
    image.live[:] = np.arange(LENGTH) % 251
    image.moved()
    tracker = make(image)
    tracker.arm()
    yield Tracked(image, tracker)
    tracker.close()


def kernel_write(memory: Bytes8, data: bytes) -> None:
    """The kernel itself writes into the memory: a read of a pipe."""
    reader, writer = os.pipe()
    try:
        os.write(writer, data)
        with open(reader, "rb", buffering=0, closefd=False) as stream:
            assert stream.readinto(memory.data) == len(data)
    finally:
        os.close(reader)
        os.close(writer)


def assert_collected(tracker: Tracker, expected: Sequence[int]) -> None:
    """These pages; `pagemap` may add those that share a larger page of the system with them."""
    shared = max(1, mmap.PAGESIZE // PAGE) if tracker.name == "pagemap" else 1
    allowed = {page for one in expected for page in range(one // shared * shared, (one // shared + 1) * shared)}
    pages = tracker.collect()
    found = pages.tolist()
    assert set(expected) <= set(found)
    assert set(found) <= allowed
    assert found == sorted(set(found))
    assert pages.dtype == np.int64


def test_its_name_is_one_of_two(tracked: Tracked) -> None:
    assert tracked.tracker.name in ("compare", "pagemap")


def test_nothing_was_written_after_arming(tracked: Tracked) -> None:
    assert_collected(tracked.tracker, [])
    assert tracked.tracker.dirty_bytes() in (0, None)


@pytest.mark.parametrize("at", [0, PAGE - 1, PAGE, 17 * PAGE + 5, 40 * PAGE, LENGTH - 1])
def test_a_changed_byte_is_reported_as_its_page(tracked: Tracked, at: int) -> None:
    tracked.live[at] ^= 0xFF

    assert_collected(tracked.tracker, [at // PAGE])


def test_every_changed_page_is_reported_once_and_in_order(tracked: Tracked) -> None:
    written = [40, 3, 4, 5, 39, 0, 22]
    for page in written + written:
        tracked.live[page * PAGE + page] += 1

    assert_collected(tracked.tracker, sorted(written))


def test_everything_may_change(tracked: Tracked) -> None:
    tracked.live[:] = ~tracked.live

    assert_collected(tracked.tracker, list(range(PAGES)))


def test_what_the_kernel_writes_for_us_is_seen(tracked: Tracked) -> None:
    kernel_write(tracked.live[7 * PAGE - 2 : 7 * PAGE + 2], b"\xff\xfe\xfd\xfc")

    assert_collected(tracked.tracker, [6, 7])


def test_what_another_thread_writes_is_seen(tracked: Tracked) -> None:
    thread = threading.Thread(target=tracked.live.__setitem__, args=(9 * PAGE, 255))
    thread.start()
    thread.join()

    assert_collected(tracked.tracker, [9])


def test_reading_is_no_change(tracked: Tracked) -> None:
    assert tracked.live.sum() > 0

    assert_collected(tracked.tracker, [])


def test_equal_bytes_written_again_are_no_changed_block(tracked: Tracked) -> None:
    tracked.live[:] = tracked.live.copy()

    assert blocks_of(tracked.image, tracked.tracker.collect()).tolist() == []


def test_arming_forgets_what_was_written(tracked: Tracked) -> None:
    tracked.live[5 * PAGE :] = 0
    tracked.image.moved()

    tracked.tracker.arm()

    assert_collected(tracked.tracker, [])
    tracked.live[8 * PAGE] = 1
    assert_collected(tracked.tracker, [8])


def test_a_page_written_after_it_was_collected_is_collected_again(tracked: Tracked) -> None:
    tracked.live[2 * PAGE] ^= 1
    assert_collected(tracked.tracker, [2])
    tracked.image.moved()
    assert_collected(tracked.tracker, [])

    tracked.live[2 * PAGE + 1] ^= 1

    assert_collected(tracked.tracker, [2])


def test_dirty_bytes_is_no_less_than_what_changed_and_changes_nothing(tracked: Tracked) -> None:
    tracked.live[3 * PAGE] ^= 1
    tracked.live[30 * PAGE : 33 * PAGE] ^= 1

    for _ in range(2):
        told = tracked.tracker.dirty_bytes()
        assert told is None or told >= 4 * PAGE
    assert_collected(tracked.tracker, [3, 30, 31, 32])


@pytest.mark.parametrize("make", [compare, pagemap])
def test_before_it_is_armed_every_difference_counts(make: Callable[[Image], Tracker]) -> None:
    image = Image(12 << 20)
    image.live[4 * PAGE] = 1
    image.shadow[2900 * PAGE] = 1  # the live page was never touched, nor a huge page that it may be of
    tracker = make(image)
    image.live[20 * PAGE] = 1

    told, pages = tracker.dirty_bytes(), tracker.collect()

    assert told is None or told >= 3 * PAGE
    assert blocks_of(image, pages).tolist() == [at * PAGE // BLOCK for at in (4, 20, 2900)]
    tracker.close()


@pytest.mark.parametrize("make", [compare, pagemap])
def test_pages_that_were_never_touched_are_tracked_too(make: Callable[[Image], Tracker]) -> None:
    image = Image()
    tracker = make(image)
    tracker.arm()

    assert_collected(tracker, [])
    assert image.live[3 * PAGE] == 0  # a page that was only read
    image.live[11 * PAGE] = 1

    assert_collected(tracker, [11])
    tracker.close()


@pytest.mark.parametrize("make", [compare, pagemap])
def test_single_pages_are_told_in_memory_of_huge_pages(make: Callable[[Image], Tracker]) -> None:
    image = Image(12 << 20)  # holds some whole huge pages of 2 MiB, wherever it begins
    prefault(image.live)
    tracker = make(image)
    tracker.arm()
    written = list(range(5, 3072, 301))

    for _ in range(2):
        image.live[np.array(written) * PAGE + 9] += 1
        assert_collected(tracker, written)
        image.moved()
        assert_collected(tracker, [])
    tracker.close()


def test_closing_twice_is_closing_once_and_the_memory_stays(tracked: Tracked) -> None:
    tracked.tracker.close()
    tracked.tracker.close()

    tracked.live[:] = 1
    assert tracked.live.sum() == LENGTH


@dataclass(frozen=True)
class Write:
    """Bytes [start, start + size) become `value`; `by` whom."""

    start: int
    size: int
    value: int
    by: str

    def apply(self, live: Bytes8) -> None:
        target = live[self.start : self.start + self.size]
        match self.by:
            case "us":
                target[:] = self.value
            case "the kernel":
                kernel_write(target, bytes([self.value]) * len(target))
            case "us, with equal bytes":
                target[:] = target.copy()
            case _:
                raise AssertionError(self.by)


@dataclass(frozen=True)
class Save:
    durable: bool


WRITES = st.builds(
    Write,
    start=st.integers(0, LENGTH - 1),
    size=st.sampled_from([1, 8, 255, 256, 1024, 5000, 30_000]),
    value=st.integers(0, 3),  # few values: a later write may well restore the durable bytes
    by=st.sampled_from(["us", "us", "the kernel", "us, with equal bytes"]),
)
STEPS = st.lists(st.one_of(WRITES, WRITES, st.builds(Save, durable=st.booleans())), max_size=30)


def blocks_of(image: Image, pages: Numbers) -> Numbers:
    return changed_blocks(image.pieces(), image.shadow, pages)


def oracle(image: Image) -> list[int]:
    """The obviously right answer: every block of the live bytes compared with the shadow."""
    live = image.live.tobytes().ljust(len(image.shadow), b"\0")
    shadow = image.shadow.tobytes()
    return [n for n in range(len(shadow) // BLOCK) if live[n * BLOCK :][:BLOCK] != shadow[n * BLOCK :][:BLOCK]]


class Life:
    """One image through writes and saves, as the engine does them, with both trackers at once."""

    def __init__(self) -> None:
        self.image = Image()
        self.image.live[:] = 1
        self.image.moved()
        self.replica = self.image.shadow.copy()  # elsewhere: only durable deltas reach it
        self.trackers = [compare(self.image), pagemap(self.image)]
        self.owed = [np.empty(0, np.int64) for _ in self.trackers]  # pages of failed saves
        for tracker in self.trackers:
            tracker.arm()

    def save(self, *, durable: bool) -> None:
        pages = [np.union1d(owed, tracker.collect()) for owed, tracker in zip(self.owed, self.trackers, strict=True)]
        blocks = [blocks_of(self.image, told) for told in pages]
        for told in blocks:
            assert told.tolist() == oracle(self.image)
        if not durable:
            self.owed = pages
            return
        delta = np.empty(len(blocks[0]) * BLOCK, np.uint8)
        copy_blocks(self.image.pieces(), blocks[0], delta)
        xor_blocks(delta, self.image.shadow, blocks[0])
        for memory in (self.image.shadow, self.replica):
            apply_blocks(memory, blocks[0], delta)
        self.owed = [np.empty(0, np.int64) for _ in self.trackers]
        assert self.replica[:LENGTH].tobytes() == self.image.live.tobytes()
        assert not self.replica[LENGTH:].any()

    def close(self) -> None:
        for tracker in self.trackers:
            tracker.close()


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_all_trackers_tell_the_same_changes_and_their_deltas_rebuild_the_live_bytes(steps: list[Write | Save]) -> None:
    life = Life()
    try:
        for step in [*steps, Save(durable=True)]:
            if isinstance(step, Write):
                step.apply(life.image.live)
            else:
                life.save(durable=step.durable)
    finally:
        life.close()
