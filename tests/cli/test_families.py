"""Deployments with several families of hosts, and with queues that are shared."""

import pytest

from spotproof import contract
from spotproof.leases.model import CapacityClass, RunState
from spotproof_cli.deployment import Names
from tests.cli.conftest import COMPUTE_OUTPUTS, STATE_OUTPUTS, World

INPUT = ("--input", "s3://data-bucket/in/")
FAMILIES = {
    contract.OUTPUT_FAMILY_QUEUES: "graviton=arm-spot/arm-on-demand,fargate=serverless-spot/serverless",
    contract.OUTPUT_JOB_FAMILIES: "other=graviton",
}


def deployed(world: World, **outputs: str) -> None:
    world.stacks.outputs["Spotproof-Compute"] = COMPUTE_OUTPUTS | outputs


def names(**outputs: str) -> Names:
    return Names.from_outputs({**STATE_OUTPUTS, **COMPUTE_OUTPUTS, **outputs}, prefix="Spotproof")


def test_each_job_has_the_queues_of_its_family() -> None:
    found = names(**FAMILIES)

    assert found.queues_of("other") == {CapacityClass.SPOT: "arm-spot", CapacityClass.ON_DEMAND: "arm-on-demand"}
    assert found.queues_of("flight-delays") == found.queues
    assert found.all_queues == {
        "spot-queue": CapacityClass.SPOT,
        "on-demand-queue": CapacityClass.ON_DEMAND,
        "arm-spot": CapacityClass.SPOT,
        "arm-on-demand": CapacityClass.ON_DEMAND,
        "serverless-spot": CapacityClass.SPOT,
        "serverless": CapacityClass.ON_DEMAND,
    }


def test_a_deployment_of_one_family_has_two_queues() -> None:
    assert list(names().all_queues) == ["spot-queue", "on-demand-queue"]


@pytest.mark.parametrize(("queue", "name"), [("spot", "arm-spot"), ("on-demand", "arm-on-demand")])
def test_submit_goes_to_the_queues_of_the_jobs_family(world: World, queue: str, name: str) -> None:
    deployed(world, **FAMILIES)

    world.run("submit", "other", *INPUT, "--queue", queue)

    assert world.batch.submitted[0]["jobQueue"] == name


def test_jobs_of_every_family_are_ended_with_their_run(world: World) -> None:
    deployed(world, **FAMILIES)
    world.put_run("r1")
    job_id = world.batch.add("r1", queue="serverless", status="RUNNABLE")

    world.run("cancel", "r1", "--yes")

    assert [ended for ended, _ in world.batch.terminated] == [job_id]


@pytest.mark.parametrize("queue", ["arm-on-demand", "gone"])
def test_a_run_is_resumed_in_the_queue_and_share_of_its_first_workers(world: World, queue: str) -> None:
    deployed(world, **FAMILIES)
    job_id = world.batch.add(
        "r1",
        queue=queue,
        status="SUCCEEDED",
        shareIdentifier="nightly",
        jobDefinition="arn:aws:batch:x:0:job-definition/spotproof-other:1",
    )
    world.put_run("r1", job="other", batch_job_id=job_id, state=RunState.PAUSED)

    world.run("resume", "r1", "--max-usd", "1")

    [job] = world.batch.submitted
    assert job["jobQueue"] == (queue if queue != "gone" else "arm-spot")
    assert job["shareIdentifier"] == "nightly"


def test_submit_takes_a_share_of_shared_queues(world: World) -> None:
    deployed(world, **{contract.OUTPUT_SHARES: "nightly,research"})

    world.run("submit", "flight-delays", *INPUT, "--share", "research")

    assert world.batch.submitted[0]["shareIdentifier"] == "research"


@pytest.mark.parametrize(
    ("shares", "given", "message"),
    [
        ("nightly,research", (), "--share: give one of nightly, research, which share the queues, not none"),
        ("nightly,research", ("--share", "weekly"), "--share: give one of nightly, research, which share the queues"),
        ("", ("--share", "nightly"), "--share: this deployment's queues are not shared"),
    ],
)
def test_a_share_that_batch_would_refuse_or_not_know_is_refused_first(
    world: World, shares: str, given: tuple[str, ...], message: str
) -> None:
    deployed(world, **{contract.OUTPUT_SHARES: shares})

    result = world.run("submit", "flight-delays", *INPUT, *given)

    assert result.exit_code == 2
    assert message in result.stderr
    assert world.batch.submitted == []
