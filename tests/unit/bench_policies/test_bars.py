"""The bars of the published comparison, on the sample in the repository."""

from dataclasses import replace

import pytest

from bench.policies import ours
from bench.policies.grid import Played, play_all
from bench.policies.report import broken_bars
from bench.policies.trace import SAMPLE, read_traces
from bench.policies.wide import play_wide
from spotproof.capacity import deadline, fallback


@pytest.fixture(scope="module")
def played() -> list[Played]:
    return list(play_all(read_traces(SAMPLE), starts=1, seed=5))


def test_every_bar_holds(played: list[Played]) -> None:
    assert broken_bars(played) == []


def test_ours_is_the_function_that_the_controller_calls() -> None:
    assert vars(ours)["decide_deadline"] is vars(fallback)["decide_deadline"] is deadline.decide_deadline


def test_a_missed_deadline_breaks_a_bar(played: list[Played]) -> None:
    late = replace(played[0], met={**played[0].met, "ours": False})

    assert broken_bars([late, *played[1:]])[0].startswith("1 deadlines missed")


def test_a_dearer_policy_breaks_the_bars(played: list[Played]) -> None:
    dear = [replace(each, costs={**each.costs, "ours": 1.3 * each.costs["ours"]}) for each in played]

    assert len(broken_bars(dear)) == 5


def test_runs_of_several_workers_are_in_time() -> None:
    cells = play_wide(read_traces(SAMPLE), starts=1, seed=5)["cells"]

    assert len(cells) == 24
    assert all(cell["met"] == 1.0 and cell["ours"] > cell["bound"] for cell in cells.values())
