"""Updating compute environments under running jobs, and deleting queues: what AWS Batch documents, in the local account."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import daemon
from localcloud.deploy import deploy
from localcloud.settings import Settings
from localcloud.state_dir import StateDir
from tests.local.account import TestAccount
from tests.local.later_version import Resources, changed
from tests.local.small_assembly import COMPUTE_STACK, write_small_assembly

# Runs until the file is there, or until it is told to stop; then it leaves as an interrupted worker does.
UNTIL_FILE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("up", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestAccount, Path]]:
    """An account whose compute environment has a launch template, and whose hosts do not leave for being idle."""
    directory = tmp_path_factory.mktemp("hosts")
    state = StateDir(directory / "state")
    settings = Settings(
        state_dir=str(state.path), scale=60, idle_s=36_000, stop_grace_floor_real_s=1.0, parent_pid=os.getpid()
    )
    assembly = changed(
        write_small_assembly(directory / "plain"), directory / "assembly", COMPUTE_STACK, _with_launch_template
    )
    running = daemon.start(settings)
    outputs = deploy(running, assembly)[-1].outputs
    yield TestAccount(state=state, running=running, outputs=outputs), assembly
    daemon.stop(state)


@pytest.fixture
def account(own: tuple[TestAccount, Path]) -> Iterator[TestAccount]:
    own[0].admin.reset_jobs()
    own[0].empty_fleet()
    yield own[0]
    own[0].admin.reset_jobs()


def _with_launch_template(resources: Resources) -> None:
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}
    data = {"LaunchTemplateData": {"BlockDeviceMappings": [disk]}}
    resources["Host"] = {"Type": "AWS::EC2::LaunchTemplate", "Properties": data}
    resources["Spot"]["Properties"]["ComputeResources"]["LaunchTemplate"] = {
        "LaunchTemplateId": {"Ref": "Host"},
        "Version": {"Fn::GetAtt": ["Host", "LatestVersionNumber"]},
    }


def _spot(account: TestAccount) -> dict[str, Any]:
    described = account.client("batch").describe_compute_environments()["computeEnvironments"]
    return next(one for one in described if one["computeResources"]["type"] == "SPOT")


def _update(account: TestAccount, policy: dict[str, Any] | None = None, **resources: Any) -> None:
    account.client("batch").update_compute_environment(
        computeEnvironment=_spot(account)["computeEnvironmentName"],
        computeResources=resources,
        **({"updatePolicy": policy} if policy else {}),
    )


def _template_version(account: TestAccount, host: str) -> str:
    found = account.client("ec2").describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]
    return next(str(tag["Value"]) for tag in found["Tags"] if tag["Key"] == "aws:ec2launchtemplate:version")


def _gone(account: TestAccount, host: str) -> None:
    account.admin.wait_until(
        lambda state: any(one.id == host and one.state == "terminated" for one in state.instances), what=f"{host} gone"
    )


def test_a_changed_launch_template_gives_new_jobs_new_hosts_while_old_jobs_finish_on_the_old_ones(
    own: tuple[TestAccount, Path], account: TestAccount, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    old = account.submit(UNTIL_FILE, str(end))
    account.wait_for_line(old, "up")
    old_host = account.host_of(old)

    def larger_disk(resources: Resources) -> None:
        resources["Host"]["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] = 60

    deploy(account.running, changed(own[1], tmp_path / "later", COMPUTE_STACK, larger_disk))
    account.wait(account.submit("print('done')"))
    status_meanwhile = _spot(account)["status"]
    end.touch()
    finished = account.wait(old)
    _gone(account, old_host)

    assert [_template_version(account, host.id) for host in account.admin.state().running()] == ["2"]
    assert _template_version(account, old_host) == "1"
    assert status_meanwhile == "UPDATING"
    assert _spot(account)["status"] == "VALID"
    assert (finished["status"], len(finished["attempts"])) == ("SUCCEEDED", 1)


def test_a_job_that_outlives_the_update_timeout_is_stopped_and_goes_on_on_a_new_host(
    account: TestAccount, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    job = account.submit(UNTIL_FILE, str(end))
    account.wait_for_line(job, "up")
    old_host = account.host_of(job)

    _update(account, {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 1}, tags={"Round": "timeout"})
    _gone(account, old_host)
    end.touch()
    finished = account.wait(job)

    assert finished["status"] == "SUCCEEDED"
    assert [one["container"]["exitCode"] for one in finished["attempts"]] == [75, 0]


def test_terminating_jobs_on_update_does_not_wait_for_them(account: TestAccount, tmp_path: Path) -> None:
    end = tmp_path / "end"
    job = account.submit(UNTIL_FILE, str(end))
    account.wait_for_line(job, "up")
    old_host = account.host_of(job)

    _update(account, {"terminateJobsOnUpdate": True, "jobExecutionTimeoutMinutes": 7200}, tags={"Round": "at once"})
    _gone(account, old_host)
    end.touch()

    assert [one["container"]["exitCode"] for one in account.wait(job)["attempts"]] == [75, 0]


def test_more_vcpus_change_no_host(account: TestAccount) -> None:
    job = account.submit("print('done')")
    account.wait(job)
    before = [one.id for one in account.admin.state().running()]

    _update(account, maxvCpus=24)

    assert _spot(account)["status"] == "VALID"
    assert [one.id for one in account.admin.state().running() if not one.outdated] == before


def test_hosts_of_an_environment_without_the_service_linked_role_are_not_replaced(account: TestAccount) -> None:
    name, batch = _spot(account)["computeEnvironmentName"], account.client("batch")
    linked = _spot(account)["serviceRole"]
    batch.update_compute_environment(computeEnvironment=name, serviceRole="arn:aws:iam::000000000000:role/mine")

    with pytest.raises(ClientError, match="AWSServiceRoleForBatch only"):
        _update(account, tags={"Round": "refused"})

    batch.update_compute_environment(computeEnvironment=name, serviceRole=linked)


def test_a_deleted_queue_terminates_its_jobs_and_is_there_until_they_have_ended(
    account: TestAccount, tmp_path: Path
) -> None:
    batch, environment = account.client("batch"), _spot(account)["computeEnvironmentName"]
    order = [{"computeEnvironment": environment, "order": 1}]
    queue = batch.create_job_queue(jobQueueName="short-lived", priority=1, computeEnvironmentOrder=order)
    account.outputs["ShortLived"] = queue["jobQueueArn"]
    job = account.submit(UNTIL_FILE, str(tmp_path / "never"), queue="ShortLived")
    account.wait_for_line(job, "up")
    account.admin.pause(job)  # it can't end yet

    batch.update_job_queue(jobQueue="short-lived", state="DISABLED")
    batch.delete_job_queue(jobQueue="short-lived")
    meanwhile = batch.describe_job_queues(jobQueues=["short-lived"])["jobQueues"]
    account.admin.resume(job)
    ended = account.wait(job)

    assert [one["status"] for one in meanwhile] == ["DELETING"]
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "Job queue deleted")
    assert batch.describe_job_queues(jobQueues=["short-lived"])["jobQueues"] == []
