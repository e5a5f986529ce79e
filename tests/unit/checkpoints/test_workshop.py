"""What a workshop took is given back."""

import os

import pytest

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
