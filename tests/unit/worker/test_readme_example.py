"""The example in the README runs, and an interruption changes nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotproof.checkpoints.state import State
from spotproof.worker.registry import find_job

README = Path(__file__).parents[3] / "README.md"


class Batch(list[dict[str, Any]]):
    end = 0


class Shard:
    """Three batches of flights; `after` is the number of batches done."""

    def batches(self, after: int | None = None) -> Iterator[Batch]:
        for number in range(after or 0, 3):
            batch = Batch(
                {"carrier": carrier, "dep_delay": delay} for carrier, delay in (("AA", number), ("UA", None), ("AA", 5))
            )
            batch.end = number + 1
            yield batch


@pytest.fixture(scope="module")
def function() -> Any:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    return find_job("carrier-delays")


def finish(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_the_example_computes_what_it_says(function: Any) -> None:
    assert finish(function(Shard(), State())) == {"AA": 0 + 1 + 2 + 3 * 5, "UA": 0}


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_the_example_goes_on_from_its_state(function: Any, interrupted_after: int) -> None:
    state = State()
    steps = function(Shard(), state)
    for _ in range(interrupted_after):
        next(steps)

    assert finish(function(Shard(), state)) == finish(function(Shard(), State()))
