"""Deploying into the account: order, updates, failures, and what the resources keep of their templates."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.audit import audit
from localcloud.deploy import deploy
from localcloud.errors import LocalcloudError
from tests.local.account import TestAccount
from tests.local.small_assembly import COMPUTE_STACK, STATE_STACK, write_small_assembly

Template = dict[str, Any]


@pytest.fixture(scope="module")
def fresh(cloud: TestAccount, tmp_path_factory: pytest.TempPathFactory) -> tuple[TestAccount, Path]:
    """The small assembly, deployed into the shared account."""
    assembly = write_small_assembly(tmp_path_factory.mktemp("assembly"))
    stacks = deploy(cloud.running, assembly)
    return TestAccount(state=cloud.state, running=cloud.running, outputs=stacks[-1].outputs), assembly


def _changed(
    assembly: Path, directory: Path, change: Callable[[Template], None], *, stack: str = COMPUTE_STACK
) -> Path:
    copied = directory / "changed"
    shutil.copytree(assembly, copied)
    path = copied / f"{stack}.template.json"
    template = json.loads(path.read_text())
    change(template["Resources"])
    path.write_text(json.dumps(template))
    return copied


def test_stacks_are_deployed_after_those_whose_exports_they_import(fresh: tuple[TestAccount, Path]) -> None:
    account, assembly = fresh

    again = deploy(account.running, assembly)

    assert [stack.name for stack in again] == [STATE_STACK, COMPUTE_STACK]
    assert {stack.outcome for stack in again} == {"unchanged"}
    assert again[1].outputs["Bucket"] == again[0].outputs["Bucket"]


def test_a_changed_job_definition_becomes_a_new_revision_and_the_old_one_inactive(
    fresh: tuple[TestAccount, Path], tmp_path: Path
) -> None:
    account, assembly = fresh

    def longer(resources: Template) -> None:
        resources["Definition"]["Properties"]["Timeout"] = {"AttemptDurationSeconds": 600}

    deployed = deploy(account.running, _changed(assembly, tmp_path, longer))[1]

    name = account.outputs["Definition"].rpartition("/")[2].partition(":")[0]
    found = account.client("batch").describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    active = [one for one in found if one["status"] == "ACTIVE"]
    assert deployed.outcome == "updated"
    assert deployed.outputs["Definition"] != account.outputs["Definition"]
    assert [one["timeout"]["attemptDurationSeconds"] for one in active] == [600]


def test_a_revision_that_is_not_to_be_deregistered_takes_jobs_after_the_update(
    fresh: tuple[TestAccount, Path], tmp_path: Path
) -> None:
    account, assembly = fresh
    batch = account.client("batch")
    old = deploy(account.running, assembly)[1].outputs["Definition"]

    def longer(resources: Template) -> None:
        resources["Definition"]["Properties"]["Timeout"] = {"AttemptDurationSeconds": 900}
        resources["Definition"]["Properties"]["ResourceRetentionPolicy"] = {"SkipDeregisterOnUpdate": True}

    new = deploy(account.running, _changed(assembly, tmp_path, longer))[1].outputs["Definition"]
    after_update = batch.describe_job_definitions(jobDefinitions=[old, new])["jobDefinitions"]
    deploy(account.running, assembly)  # which keeps no revision
    at_last = batch.describe_job_definitions(jobDefinitions=[old, new])["jobDefinitions"]

    assert {one["jobDefinitionArn"]: one["status"] for one in after_update} == {old: "ACTIVE", new: "ACTIVE"}
    assert {one["jobDefinitionArn"]: one["status"] for one in at_last} == {old: "ACTIVE", new: "INACTIVE"}


def test_an_environment_is_updated_in_place_and_a_renamed_one_replaced(
    fresh: tuple[TestAccount, Path], tmp_path: Path
) -> None:
    account, assembly = fresh
    batch = account.client("batch")
    before = {
        one["computeEnvironmentName"]: one for one in batch.describe_compute_environments()["computeEnvironments"]
    }

    def bigger(resources: Template) -> None:
        resources["Spot"]["Properties"]["ComputeResources"]["MaxvCpus"] = 32
        resources["OnDemand"]["Properties"]["ComputeEnvironmentName"] = "renamed"

    deploy(account.running, _changed(assembly, tmp_path, bigger))

    after = {one["computeEnvironmentName"]: one for one in batch.describe_compute_environments()["computeEnvironments"]}
    kept = before.keys() & after.keys()
    assert len(kept) == 1
    assert [after[name]["computeResources"]["maxvCpus"] for name in kept] == [32]
    assert after.keys() - before.keys() == {"renamed"}


def test_a_resource_that_fails_is_named_with_its_reason_in_one_line(
    fresh: tuple[TestAccount, Path], tmp_path: Path
) -> None:
    account, assembly = fresh

    def break_it(resources: Template) -> None:
        resources["SpotQueue"]["Properties"]["Priorty"] = 1

    with pytest.raises(LocalcloudError, match=r"SpotQueue \(AWS::Batch::JobQueue\): .*Priorty") as raised:
        deploy(account.running, _changed(assembly, tmp_path, break_it))

    assert "\n" not in str(raised.value)
    assert deploy(account.running, assembly)[1].outcome in ("updated", "unchanged")


def test_a_missing_assembly_says_how_to_make_one(cloud: TestAccount, tmp_path: Path) -> None:
    with pytest.raises(LocalcloudError, match="run `make synth`"):
        deploy(cloud.running, tmp_path)


def test_every_resource_keeps_what_its_template_says(small_account: TestAccount, tmp_path: Path) -> None:
    assembly = write_small_assembly(tmp_path)

    found = audit(small_account.running, assembly, small_account.client)

    assert [str(difference) for difference in found.differences] == []
    assert {
        "AWS::S3::Bucket.LifecycleConfiguration",
        "AWS::DynamoDB::GlobalTable.TimeToLiveSpecification",
        "AWS::DynamoDB::GlobalTable.Replicas",
        "AWS::Lambda::Function.DeadLetterConfig",
        "AWS::Lambda::Function.ReservedConcurrentExecutions",
        "AWS::Batch::ComputeEnvironment.ComputeResources",
        "AWS::Batch::JobDefinition.RetryStrategy",
        "AWS::Events::Rule.Targets",
    } <= found.checked


def test_the_audit_finds_a_property_that_was_dropped(small_account: TestAccount, tmp_path: Path) -> None:
    assembly = write_small_assembly(tmp_path)
    dynamodb = small_account.client("dynamodb")
    table = dynamodb.list_tables()["TableNames"][0]
    ttl = {"AttributeName": "ttl", "Enabled": True}

    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={**ttl, "Enabled": False})
    found = audit(small_account.running, assembly, small_account.client)
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=ttl)

    assert [(one.logical_id, one.property) for one in found.differences if one.property.endswith(".Enabled")] == [
        ("Table", "TimeToLiveSpecification.Enabled")
    ]
