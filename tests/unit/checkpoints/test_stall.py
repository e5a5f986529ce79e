"""While a job stands still for a save, nothing runs that can wait."""

import gc
from collections.abc import Iterator

import pytest

from spotproof.checkpoints.gather import Gatherer
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.stall import garbage_waits
from spotproof.checkpoints.state import State
from tests.unit.checkpoints.builders import accept, make_engine


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.enable()


def test_garbage_is_collected_after_the_job_stood_still_not_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    gather = Gatherer._gather

    def watched(self: Gatherer, state: State, values_on_record: bytes) -> object:
        seen.append(gc.isenabled())
        return gather(self, state, values_on_record)

    monkeypatch.setattr(Gatherer, "_gather", watched)
    engine = make_engine(InMemoryObjectStore())
    state = engine.restore(None).state
    state["step"] = 1

    assert engine.save(state, record=accept) is not None
    assert seen == [False]
    assert gc.isenabled()


def test_a_collector_that_somebody_switched_off_stays_off() -> None:
    gc.disable()
    with garbage_waits():
        pass

    assert not gc.isenabled()


def test_an_error_leaves_the_collector_as_it_was() -> None:
    with pytest.raises(ValueError, match="kept"), garbage_waits():
        raise ValueError("kept")

    assert gc.isenabled()
