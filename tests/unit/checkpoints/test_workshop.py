"""What a workshop took is given back; how it finds changes, it says."""

import gc
import logging
import os
import weakref

import pytest

from spotproof import events
from spotproof.checkpoints.memory.trackers.pagemap import pagemap_works
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop


@pytest.mark.skipif(pagemap_works() is not None, reason=str(pagemap_works()))
def test_clearing_closes_the_kernels_trackers() -> None:
    workshop = Workshop(tracker="pagemap")
    before = len(os.listdir("/proc/self/fd"))
    state = State(workshop=workshop)
    for number in range(5):
        state.array(f"a{number}", 100)
    taken = len(os.listdir("/proc/self/fd")) - before

    workshop.clear()

    assert taken > 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_clearing_lets_the_shadows_go_without_a_garbage_collection() -> None:
    workshop = Workshop(tracker="compare")
    state = State(workshop=workshop)
    state.array("grid", 10_000)
    shadow = weakref.ref(state.images["array/grid"].shadow)
    gc.disable()
    try:
        workshop.clear()

        assert shadow() is None
    finally:
        gc.enable()


def test_a_dropped_state_lets_its_arrays_go_without_a_garbage_collection() -> None:
    workshop = Workshop(tracker="compare")
    state = State(workshop=workshop)
    image = weakref.ref(state.images["array/grid"]) if state.array("grid", 10_000).size else None
    assert image is not None
    gc.disable()
    try:
        workshop.clear()
        del state

        assert image() is None
    finally:
        gc.enable()


def test_the_log_says_once_how_changes_are_found_and_why_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="spotproof")
    state = State(workshop=Workshop(tracker="compare"))

    for number in range(3):
        state.array(f"a{number}", 100)

    told = [vars(record) for record in caplog.records if record.getMessage() == events.CHANGES_TRACKED]
    assert [(each["tracker"], each["reason"]) for each in told] == [("compare", "compare is set")]
