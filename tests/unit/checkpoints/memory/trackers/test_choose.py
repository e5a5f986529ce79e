"""Which tracker, and why."""

from collections.abc import Sequence

import numpy as np
import pytest

from spotproof.checkpoints.memory.arena import allocate
from spotproof.checkpoints.memory.pages import PAGE, Bytes8, Piece, padded
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice, TrackerName, choose_tracker, decide_tracker
from spotproof.checkpoints.memory.trackers.pagemap import PagemapTracker, pagemap_works
from spotproof.errors import ConfigurationError

needs_kernel = pytest.mark.skipif(pagemap_works() is not None, reason=f"pagemap does not work here: {pagemap_works()}")


class Image:
    def __init__(self, live: Bytes8) -> None:
        self.live = live
        self._shadow = np.zeros(padded(len(live)), np.uint8)

    def pieces(self) -> Sequence[Piece]:
        return [Piece(offset=0, data=self.live)]

    def shadow(self) -> Bytes8:
        return self._shadow


@pytest.mark.parametrize(
    ("wanted", "ours", "refusal", "name", "reason"),
    [
        ("auto", True, None, "pagemap", "the kernel tracks pages"),
        ("auto", True, "kernel 5 is old", "compare", "kernel 5 is old"),
        ("auto", False, None, "compare", "the memory is not the library's own"),
        ("auto", False, "kernel 5 is old", "compare", "the memory is not the library's own"),
        ("compare", True, None, "compare", "compare is set"),
        ("compare", False, "kernel 5 is old", "compare", "compare is set"),
        ("pagemap", True, None, "pagemap", "pagemap is set"),
        ("pagemap", False, None, "compare", "the memory is not the library's own"),
    ],
)
def test_the_decision_and_its_reason(
    wanted: TrackerChoice, ours: bool, refusal: str | None, name: TrackerName, reason: str
) -> None:
    decision = decide_tracker(wanted, ours=ours, refusal=refusal)

    assert (decision.name, decision.reason) == (name, reason)


@pytest.mark.parametrize("ours", [True, False])
def test_pagemap_by_force_where_the_kernel_refuses_is_an_error_that_says_what_to_do(ours: bool) -> None:
    with pytest.raises(ConfigurationError, match="use auto or compare: kernel 5 is old"):
        decide_tracker("pagemap", ours=ours, refusal="kernel 5 is old")


@needs_kernel
@pytest.mark.parametrize("wanted", ["auto", "pagemap"])
def test_memory_of_the_arena_is_tracked_by_the_kernel(wanted: TrackerChoice) -> None:
    image = Image(allocate(8 * PAGE))

    chosen = choose_tracker(wanted, source=image, shadow=image.shadow, memory=image.live)

    chosen.tracker.arm()
    image.live[3 * PAGE] = 1
    assert chosen.tracker.name == "pagemap"
    assert 3 in chosen.tracker.collect().tolist()
    chosen.tracker.close()


@pytest.mark.parametrize("length", [0, 5 * PAGE])
@pytest.mark.parametrize("wanted", ["auto", "compare"])
def test_other_memory_is_compared_without_asking_the_kernel(wanted: TrackerChoice, length: int) -> None:
    image = Image(np.zeros(length, np.uint8))

    def asked() -> str | None:
        raise AssertionError("the kernel was asked")

    chosen = choose_tracker(wanted, source=image, shadow=image.shadow, probe=asked)

    image.live[-1:] = 1
    assert chosen.tracker.name == "compare"
    assert chosen.tracker.collect().tolist() == ([4] if length else [])


def test_empty_memory_of_the_arena_is_compared() -> None:
    image = Image(allocate(0))

    chosen = choose_tracker("auto", source=image, shadow=image.shadow, memory=image.live)

    assert chosen.tracker.name == "compare"


@needs_kernel
def test_memory_that_the_kernel_refuses_by_itself_is_compared_and_the_reason_is_kept() -> None:
    image = Image(allocate(8 * PAGE))
    first = PagemapTracker(image.live)

    second = choose_tracker("auto", source=image, shadow=image.shadow, memory=image.live)
    with pytest.raises(ConfigurationError, match="does not track this memory"):
        choose_tracker("pagemap", source=image, shadow=image.shadow, memory=image.live)

    assert second.tracker.name == "compare"
    assert "does not track this memory" in second.reason
    first.close()
