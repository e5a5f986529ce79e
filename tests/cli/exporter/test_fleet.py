"""What the exporter tells of Batch, of instances and of launches that EC2 refused."""

from datetime import timedelta

import pytest

from spotproof.capacity.waiting import WaitingKind
from spotproof_cli.exporter.nodes import node_of
from spotproof_cli.exporter.scale_ups import refusals
from tests.cli.exporter.conftest import Exporter, Scraped

CAPACITY = "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available."
QUOTA = "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded."


def numbers(shown: Scraped, name: str, label: str, **others: str) -> dict[str, float]:
    """By one label, those of a metric that have the other labels; zeroes left out."""
    return {
        dict(series)[label]: number
        for series, number in shown.series(name).items()
        if number and others.items() <= dict(series).items()
    }


def test_workers_are_counted_by_queue_and_by_how_far_they_are(exporter: Exporter) -> None:
    batch = exporter.world.batch
    summary = {"RUNNABLE": 3, "STARTING": 1, "RUNNING": 4}
    batch.add("run-1", size=8, status="PENDING", arrayProperties={"size": 8, "statusSummary": summary})
    needs = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    batch.add("run-1", queue="on-demand-queue", status="RUNNING", container=needs)
    batch.add("run-1", status="SUCCEEDED")

    shown = exporter.read()

    assert numbers(shown, "workers", "state", lifecycle="spot") == {"waiting": 3, "starting": 1, "running": 4}
    assert numbers(shown, "workers", "state", lifecycle="on-demand") == {"running": 1}
    assert shown("requested_vcpus", lifecycle="spot") == 8
    assert shown("requested_vcpus", lifecycle="on-demand") == 2


def test_why_workers_wait_is_one_of_the_known_reasons(exporter: Exporter) -> None:
    world = exporter.world
    job = world.batch.add("run-1", size=4, status="PENDING")
    world.batch.children[job] = [{"jobId": f"{job}:{index}", "status": "RUNNABLE"} for index in range(4)]
    world.batch.environment = {"state": "DISABLED"}

    shown = exporter.read()

    assert {dict(series)["reason"] for series in shown.series("workers_waiting")} == set(WaitingKind)
    assert numbers(shown, "workers_waiting", "reason") == {"disabled": 4}
    assert shown("environment_usable", environment="Env") == 0


def test_environments_show_what_they_run_and_may_run(exporter: Exporter) -> None:
    resources = {"type": "SPOT", "maxvCpus": 64, "desiredvCpus": 12, "instanceTypes": ["m7i.large"]}
    exporter.world.batch.environment = {"computeResources": resources}

    shown = exporter.read()

    assert numbers(shown, "environment_vcpus", "bound", environment="Env") == {"desired": 12, "max": 64}
    assert shown("environment_usable", environment="Env") == 1


def test_instances_are_those_with_the_deployments_tag(exporter: Exporter) -> None:
    ec2 = exporter.world.ec2
    ec2.launch("i-01")
    ec2.launch("i-02")
    ec2.launch("i-03", spot=False, kind="m5.xlarge")

    shown = exporter.read()

    assert ec2.tag_asked == "tag:Spotproof=Spotproof"
    assert numbers(shown, "nodes", "lifecycle") == {"spot": 2, "on-demand": 1}
    assert numbers(shown, "allocatable_vcpus", "lifecycle") == {"spot": 4, "on-demand": 4}


def test_the_size_of_a_type_that_no_list_has_is_ec2s_word() -> None:
    described = {"InstanceId": "i-1", "InstanceType": "x9.odd", "State": {"Name": "running"}}

    assert node_of(described).vcpus == 0
    assert node_of({**described, "CpuOptions": {"CoreCount": 4, "ThreadsPerCore": 2}}).vcpus == 8


def test_instances_that_went_are_counted_once_with_the_reason_that_ec2_gives(exporter: Exporter) -> None:
    ec2 = exporter.world.ec2
    for number in range(6):
        ec2.launch(f"i-0{number}")
    ec2.end("i-00", "Server.SpotInstanceTermination")
    before = exporter.read()

    ec2.end("i-01", "Server.SpotInstanceTermination")
    ec2.end("i-02", "Client.UserInitiatedShutdown")
    ec2.end("i-03", "Server.InternalError")
    ec2.end("i-04", "")
    ec2.launch("i-06")
    ec2.launch("i-07")
    ec2.end("i-07", "Server.SpotInstanceShutdown")  # came and went between two readings
    del ec2.instances["i-05"]
    exporter.read()
    after = exporter.read()

    assert numbers(before, "nodes_removed_total", "reason") == {}
    assert len(before.series("nodes_removed_total")) == 8  # all at zero, so that a rise is seen
    assert numbers(after, "nodes_removed_total", "reason") == {
        "interrupted": 2, "terminated": 1, "failed": 1, "unknown": 2,
    }  # fmt: skip
    assert numbers(after, "nodes_added_total", "lifecycle") == {"spot": 2}
    assert numbers(after, "nodes", "lifecycle") == {"spot": 1}


def test_refused_launches_are_counted_once_by_environment_and_reason(exporter: Exporter) -> None:
    world = exporter.world
    now = world.clock.now()
    world.scaling.failures = [(now - timedelta(minutes=5), CAPACITY)]
    before = exporter.read()

    world.scaling.failures += [(now, CAPACITY), (now, QUOTA), (now, "Launch template not found")]
    exporter.read()
    after = exporter.read()

    assert set(before.series("failed_scale_ups_total").values()) == {0}
    assert numbers(after, "failed_scale_ups_total", "reason", environment="Env") == {
        "capacity": 1, "quota": 1, "other": 1,
    }  # fmt: skip


def test_refused_launches_are_looked_for_since_the_last_reading_however_long_ago(exporter: Exporter) -> None:
    """With a long --interval, or when Auto Scaling did not answer for a while."""
    world = exporter.world
    exporter.read()
    world.clock.advance(60)
    world.scaling.failures = [(world.clock.now(), CAPACITY)]
    world.clock.advance(7200)

    assert numbers(exporter.read(), "failed_scale_ups_total", "reason") == {"capacity": 1}
    world.clock.advance(30)
    assert numbers(exporter.read(), "failed_scale_ups_total", "reason") == {"capacity": 1}


def test_an_instance_that_could_not_be_terminated_is_no_refused_launch() -> None:
    ended = {
        "AutoScalingGroupName": "Env-asg-1",
        "Description": "Terminating EC2 instance: i-0123456789abcdef0",
        "StatusMessage": "Instance is protected",
    }

    assert {each.number for each in refusals(["Env"], [ended])} == {0}
    assert {each.number for each in refusals(["Env"], [{**ended, "Description": "Launching a new EC2 instance"}])} == {
        0, 1,
    }  # fmt: skip


def test_refused_launches_of_other_groups_are_not_ours(exporter: Exporter) -> None:
    world = exporter.world
    world.batch.environment = {"computeEnvironmentName": "Another"}
    exporter.read()
    world.scaling.failures = [(world.clock.now(), CAPACITY)]

    assert numbers(exporter.read(), "failed_scale_ups_total", "reason") == {}


@pytest.mark.parametrize("name", ["nodes", "workers", "requested_vcpus", "allocatable_vcpus"])
def test_where_there_is_nobody_it_says_zero(exporter: Exporter, name: str) -> None:
    series = exporter.read().series(name)

    assert {dict(labels)["lifecycle"] for labels in series} == {"spot", "on-demand"}
    assert set(series.values()) == {0}
