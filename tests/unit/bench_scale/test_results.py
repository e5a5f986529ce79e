"""Results are kept one to a scenario, size and seed, and shown with the bars they miss."""

import json
from pathlib import Path
from typing import Any

from bench.scale.__main__ import COLUMNS, keep, table
from bench.scale.sweep import CHOICES, changed
from spotproof.worker import idle, leasing

RUN: dict[str, Any] = {
    **{name: 1.5 for name, _ in COLUMNS},
    "scenario": "storm-50", "shards": 10, "workers": 2, "seed": 1,
}  # fmt: skip


def test_a_run_replaces_the_earlier_one_of_the_same_scenario_size_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "results" / "scale.json"

    variants: list[dict[str, Any]] = [{}, {"seed": 2}, {"workers": 3}, {"last_commit_s": 9.0}]
    for changes in variants:
        keep(path, RUN | changes)

    stored = json.loads(path.read_text())
    assert sorted((run["workers"], run["seed"]) for run in stored["runs"]) == [(2, 1), (2, 2), (3, 1)]
    assert [run["last_commit_s"] for run in stored["runs"]].count(9.0) == 1
    assert stored["bars"]["done_twice"] == 0
    assert stored["machine"]["cpus"] >= 1


def test_the_table_tells_what_was_missed_and_what_did_not_happen() -> None:
    shown = table([RUN | {"missed": ["claim_p99_ms"], "behind_ideal_queue_p99_s": None}])

    assert "missed: claim_p99_ms" in shown
    assert " - " in shown
    assert shown.splitlines()[1].startswith("storm-50")


def test_a_changed_constant_is_put_back() -> None:
    before = (idle.SPARE_S, leasing.CANDIDATES_READ)

    with changed(((idle, "SPARE_S", 0.0), (leasing, "CANDIDATES_READ", 3))):
        assert (idle.SPARE_S, leasing.CANDIDATES_READ) == (0.0, 3)

    after = (idle.SPARE_S, leasing.CANDIDATES_READ)
    assert after == before


def test_every_constant_that_is_varied_exists_and_differs_from_the_one_chosen() -> None:
    varied = [constant for choice in CHOICES for constant in choice.constants]

    assert len(varied) >= 5
    assert all(getattr(module, name) != value for module, name, value in varied)
