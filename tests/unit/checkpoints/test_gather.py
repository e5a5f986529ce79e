"""The stall: what is copied while the job stands still, and what it leaves when it fails."""

from pathlib import Path

import numpy as np
import pytest

from spotproof.checkpoints.gather import Gatherer
from spotproof.checkpoints.memory.trackers.pagemap import pagemap_works
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import UnsavableValueError
from tests.fakes.spawner import HeldSpawner
from tests.unit.checkpoints.builders import accept
from tests.unit.checkpoints.owners import Owners


def gatherer(workshop: Workshop, *, all_anew: bool = False) -> Gatherer:
    return Gatherer(current=None, workshop=workshop, pool_share=0.1, may_rebase=True, all_anew=all_anew)


def test_what_was_gathered_is_the_jobs_no_more(tmp_path: Path) -> None:
    owners = Owners(tmp_path, spawner=HeldSpawner())
    rows = owners.state.array("rows", 3000)
    rows[:10] = 1
    owners.state.map("totals")["AA"] = [1]
    owners.state["list"] = [1]
    assert owners.engine.begin(owners.state, record=owners.record) is not None

    rows[:] = 2
    owners.state.map("totals")["AA"].append(2)
    owners.state["list"].append(2)
    assert isinstance(owners.spawner, HeldSpawner)
    owners.spawner.work["checkpoint-save"]()

    owners.engine.settle()
    owners.spawner = None
    found = owners.look()
    assert found.array("rows", 3000).sum() == 10
    assert found.map("totals")["AA"] == [1]
    assert found["list"] == [1]


def test_a_file_that_is_forgotten_while_it_is_saved_is_saved_whole(tmp_path: Path) -> None:
    """Its shadow is the save's until that has ended (seed 7 of the simulation: the worker crashed)."""
    owners = Owners(tmp_path, spawner=HeldSpawner())
    owners.state.file("log.txt").write_bytes(b"as it was" * 1000)
    assert owners.engine.begin(owners.state, record=owners.record) is not None

    owners.state.forget_file("log.txt")
    assert isinstance(owners.spawner, HeldSpawner)
    owners.spawner.work["checkpoint-save"]()

    assert owners.engine.settle() is not None
    owners.spawner = None
    assert owners.look().file("log.txt").read_bytes() == b"as it was" * 1000


def test_an_untouched_state_is_nothing_to_gather(tmp_path: Path) -> None:
    workshop = Workshop(scratch_dir=str(tmp_path))
    state = State(workshop=workshop)
    state.map("named only")

    assert gatherer(workshop).gather(state, values_on_record=state.encode_values()) is None
    anew = gatherer(workshop, all_anew=True).gather(state, values_on_record=state.encode_values())
    assert anew is not None
    assert anew.values_changed


def test_a_gather_that_fails_gives_its_buffers_back_and_forgets_nothing(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    rows, tensors = owners.state.array("rows", 3000), {"w": np.ones(3)}
    owners.state.tensors("model", lambda: tensors)
    owners.save()
    for step in range(3):
        rows[step] = 1
        owners.state.map("totals")[step] = step
        tensors["bad"] = np.array(["text"])
        with pytest.raises(UnsavableValueError, match="bad"):
            owners.save()
    held = owners.workshop.pool.held_bytes
    del tensors["bad"]
    owners.save()

    assert owners.workshop.pool.held_bytes == held
    assert owners.look().array("rows", 3000).sum() == 3
    assert len(owners.look().map("totals")) == 3


@pytest.mark.skipif(pagemap_works() is not None, reason=str(pagemap_works()))
def test_what_is_on_its_way_is_not_counted_as_changed_again(tmp_path: Path) -> None:
    owners = Owners(tmp_path, tracker="pagemap", spawner=HeldSpawner())
    rows = owners.state.array("rows", 100_000)
    rows[:600] = 1
    before = owners.engine.pending_bytes(owners.state)
    owners.engine.begin(owners.state, record=accept)
    rows[90_000] = 1
    meanwhile = owners.engine.pending_bytes(owners.state)
    owners.engine.cancel()
    assert isinstance(owners.spawner, HeldSpawner)
    owners.spawner.work["checkpoint-save"]()
    with pytest.raises(Exception, match="not needed"):
        owners.engine.settle()
    after = owners.engine.pending_bytes(owners.state)

    assert before is not None
    assert meanwhile is not None
    assert after is not None
    assert before - meanwhile >= 4096
    assert after >= before + 4096
