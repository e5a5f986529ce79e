"""`spotproof resume`: a run that paused goes on."""

from typing import Any

import pytest

from spotproof.leases.model import Run, RunId, RunOptions, RunState
from tests.cli.conftest import World
from tests.cli.test_cost import a_worker, work_on

ARN = "arn:aws:batch:eu-central-1:000000000000:job-definition/spotproof-flight-delays:7"


def paused(world: World, **changes: Any) -> Run:
    """Paused at a budget of one cent, with three cents spent."""
    first = world.batch.add(
        "run-1", size=6, status="SUCCEEDED", jobDefinition=ARN, tags={"team": "delays", "spotproof:run": "run-1"}
    )
    run = world.put_run(options=RunOptions(usd_max=0.01), batch_job_id=first, **changes)
    work_on(world, run, a_worker(world, run), 0, 1)
    stored = world.store.pause_run(run.run_id, reason="budget")
    assert stored is not None
    return stored


def state(world: World) -> Run:
    run = world.store.get_run(RunId("run-1"))
    assert run is not None
    return run


def test_a_paused_run_gets_its_budget_and_workers_like_its_first(world: World) -> None:
    paused(world)

    document = world.json("resume", "run-1", "--max-usd", "5")

    assert (state(world).state, state(world).budget_usd) == (RunState.RUNNING, 5.0)
    (request,) = world.batch.submitted
    assert request == {
        "jobName": "run-1",
        "jobQueue": "spot-queue",
        "jobDefinition": ARN,
        "parameters": {"run": "run-1"},
        "tags": {"team": "delays", "spotproof:run": "run-1", "spotproof:job": "flight-delays"},
        "propagateTags": True,
        "arrayProperties": {"size": 6},
    }
    assert document == {
        "schema": 1, "run": "run-1", "state": "RUNNING", "budget_usd": 5.0, "batch_job": "job-2",
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("--max-usd", "0.03")])
def test_a_budget_that_is_spent_already_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    paused(world)

    result = world.run("resume", "run-1", *arguments)

    assert result.exit_code == 2
    assert "has cost $0.0300 already: give --max-usd more than that" in result.stderr
    assert state(world).state is RunState.PAUSED
    assert not world.batch.submitted


def test_workers_can_be_given_and_go_where_the_first_went(world: World) -> None:
    run = paused(world)
    world.batch.jobs[str(run.batch_job_id)]["jobQueue"] = "arn:aws:batch:x:0:job-queue/on-demand-queue"

    world.run("resume", "run-1", "--max-usd", "1", "--workers", "2")

    assert (world.batch.submitted[0]["jobQueue"], world.batch.submitted[0]["arrayProperties"]) == (
        "on-demand-queue", {"size": 2},
    )  # fmt: skip


def test_a_run_whose_first_job_batch_has_forgotten_is_resumed_and_the_person_told_how(world: World) -> None:
    run = paused(world)
    del world.batch.jobs[str(run.batch_job_id)]

    result = world.run("resume", "run-1", "--max-usd", "1")

    assert result.exit_code == 0
    assert "spotproof submit … --run" in result.stderr
    assert state(world).state is RunState.RUNNING


def test_a_running_run_can_be_given_another_budget(world: World) -> None:
    world.put_run()

    result = world.run("resume", "run-1", "--max-usd", "7.5")

    assert (result.exit_code, state(world).budget_usd) == (0, 7.5)
    assert result.stdout == "run-1 is RUNNING, with a budget of $7.50\n"
    assert not world.batch.submitted


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run-1",), 5, "is RUNNING, not PAUSED"),
        (("nobody", "--max-usd", "1"), 102, "no run nobody"),
        (("run-1", "--max-usd", "0"), 2, "--max-usd"),
        (("run-1", "--max-usd", "nan"), 2, "--max-usd"),
        (("run-1", "--max-usd", "2e9"), 2, "--max-usd"),
    ],
)
def test_what_makes_no_sense_is_one_line(world: World, arguments: tuple[str, ...], code: int, words: str) -> None:
    world.put_run()

    result = world.run("resume", *arguments)

    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert words in result.stderr


def test_a_run_that_has_ended_is_not_resumed(world: World) -> None:
    run = world.put_run()
    world.store.cancel_run(run.run_id, reason="enough")

    for arguments in ((), ("--max-usd", "1")):
        result = world.run("resume", "run-1", *arguments)
        assert result.exit_code == 5
        assert "has ended already (CANCELLED)" in result.stderr
