"""Every family of hosts deployed on the local account, and jobs on Fargate: interrupted by SIGTERM, resumed, the same bytes."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from localcloud.client import InstanceView
from localcloud.deploy import deploy
from localcloud.state_dir import FOREIGN_VARIABLES
from tests.local.account import TestAccount, eventually
from tests.local.product import Product
from tests.local.synthesis import ROOT, SOURCES, synthesized_by

pytestmark = pytest.mark.slow
PREFIX = "Families"


@dataclass(frozen=True, kw_only=True)
class Families(Product):
    """The product deployed with every family, under a prefix of its own."""

    @property
    def data_bucket(self) -> str:
        return self.account.outputs[f"{PREFIX}-State.DataBucketName"]

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
        shared = [*arguments, "--share", "nightly"] if "submit" in arguments else arguments
        return subprocess.run(
            [sys.executable, "-m", "spotproof_cli", "--prefix", PREFIX, *shared],
            env={**kept, **self.account.state.client_environment(self.account.running)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def task_of(self, job_id: str) -> InstanceView:
        """What the local account calls the instance of a Fargate task."""

        def found() -> InstanceView | None:
            return next((one for one in self.account.admin.state().running() if job_id in one.jobs), None)

        task: InstanceView = eventually(found, f"a task of {job_id}")
        return task

    def process(self, run_id: str, *, pace_s: str) -> str:
        """Submit one worker for one of the objects; the Batch job's id."""
        return self.submit(run_id, workers=1, input_uri=f"s3://{self.data_bucket}/in/0.jsonl", pace_s=pace_s)


@pytest.fixture(scope="module")
def families(cloud: TestAccount) -> Families:
    assembly = synthesized_by(
        "-m", "tests.local.every_family",
        out=ROOT / ".build" / "families.cdk.out",
        context={"prefix": PREFIX, "families": "x86_64,graviton,gpu,fargate", "fair_shares": "nightly=1,research=2"},
        sources=(*SOURCES, "tests/local/every_family.py"),
    )  # fmt: skip
    stacks = deploy(cloud.running, assembly)
    outputs = {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}
    found = Families(account=TestAccount(state=cloud.state, running=cloud.running, outputs=outputs))
    found.upload_input()
    return found


def test_every_family_is_deployed_with_what_its_template_says(families: Families) -> None:
    stack = families.account.client("cloudformation").describe_stack_resources(StackName=f"{PREFIX}-Compute")
    environments = [
        each["PhysicalResourceId"]
        for each in stack["StackResources"]
        if each["ResourceType"] == "AWS::Batch::ComputeEnvironment"
    ]

    described = families.account.client("batch").describe_compute_environments(computeEnvironments=environments)
    mine = [each["computeResources"] for each in described["computeEnvironments"]]
    kinds = {(each["type"], (each.get("ec2Configuration") or [{}])[0].get("imageType")) for each in mine}
    assert len(mine) == 8
    assert kinds == {
        ("SPOT", "ECS_AL2023"),
        ("EC2", "ECS_AL2023"),
        ("SPOT", "ECS_AL2023_NVIDIA"),
        ("EC2", "ECS_AL2023_NVIDIA"),
        ("FARGATE_SPOT", None),
        ("FARGATE", None),
    }
    assert any("m7g.large" in each.get("instanceTypes", []) for each in mine)


def test_a_run_on_fargate_spot_survives_the_loss_of_its_task_with_the_same_bytes(families: Families) -> None:
    undisturbed = families.process("families-calm", pace_s="0.00001")
    families.wait_complete("families-calm")
    job_id = families.process("families-struck", pace_s="0.001")
    families.wait_for(job_id, "checkpoint_saved")

    families.account.admin.interrupt(families.task_of(job_id).id)
    families.wait_complete("families-struck")

    job = families.account.describe(job_id)
    attempts = job["attempts"]
    assert attempts[0]["statusReason"] == "Your Spot Task was interrupted."
    assert attempts[0]["container"]["exitCode"] == 75
    assert families.outputs("families-struck") == families.outputs("families-calm")
    assert families.outputs("families-calm")
    assert job["shareIdentifier"] == "nightly"
    started = [line for line in families.logged(undisturbed) if line["event"] == "worker_started"]
    assert {(line["instance_id"], line["instance_type"], line["lifecycle"]) for line in started} == {
        ("", "fargate", "spot")
    }
    assert not [line for line in families.logged(job_id) if line["event"] == "watcher_degraded"]


def test_a_fargate_task_is_no_instance(families: Families) -> None:
    job_id = families.process("families-seen", pace_s="0.0005")
    task = families.task_of(job_id)

    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        families.account.client("ec2").describe_instances(InstanceIds=[task.id])
    families.wait_complete("families-seen")


def test_batch_refuses_workers_of_shared_queues_that_name_no_share(families: Families) -> None:
    queue = families.account.outputs[f"{PREFIX}-Compute.SpotQueueName"]

    with pytest.raises(ClientError, match="shareIdentifier"):
        families.account.client("batch").submit_job(
            jobName="nobody", jobQueue=queue, jobDefinition=f"{PREFIX.lower()}-flight-delays"
        )


def test_a_fargate_environment_with_settings_of_hosts_is_refused(families: Families) -> None:
    """As CreateComputeEnvironment does: so a template that deploys here has none."""
    batch = families.account.client("batch")

    with pytest.raises(ClientError, match="a Fargate environment can't have instanceTypes, tags"):
        batch.create_compute_environment(
            computeEnvironmentName="families-odd",
            type="MANAGED",
            computeResources={
                "type": "FARGATE",
                "maxvCpus": 4,
                "subnets": ["subnet-12345678"],
                "securityGroupIds": ["sg-12345678"],
                "instanceTypes": ["m5.large"],
                "tags": {"team": "delays"},
            },
        )
