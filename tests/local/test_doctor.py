"""`spotproof doctor` on a deployment of its own: nothing to complain of, and what it prescribes mends what was broken."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import bootstrap, daemon
from localcloud.deploy import deploy
from localcloud.settings import Settings
from localcloud.state_dir import FOREIGN_VARIABLES, StateDir
from spotproof_cli.doctor.examination import CHECKS
from tests.cli.doctor.test_runbook import TEXT, policy
from tests.local.account import TestAccount, eventually
from tests.local.product import Product
from tests.local.synthesis import ROOT, synthesized

AWS = Path(sys.executable).with_name("aws")
# Of the runbook; without an option it only names an operation.
COMMANDS = [each for each in re.findall(r"^aws .*|(?<=`)aws [^`]*(?=`)", TEXT, re.MULTILINE) if " --" in each]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """In an account that no other test uses: what happens there is this module's own doing."""
    directory = tmp_path_factory.mktemp("doctor") / "state"
    running = daemon.start(Settings(state_dir=str(directory), parent_pid=os.getpid()))
    stacks = deploy(running, synthesized())
    outputs = {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}
    account = TestAccount(state=StateDir(directory), running=running, outputs=outputs)
    account.admin.fire_schedule("Controller")
    # Until the controller's first round, its alarm says that it is silent.
    alarms = account.client("cloudwatch")
    eventually(lambda: not raised(alarms), "alarms that have heard of the controller", timeout_s=60)
    yield Product(account=account)
    daemon.stop(StateDir(directory))


def raised(cloudwatch: Any) -> list[str]:
    """Alarms of either kind that are on."""
    found = cloudwatch.describe_alarms(StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return [each["AlarmName"] for each in (*found["MetricAlarms"], *found["CompositeAlarms"])]


def examined(product: Product, *arguments: str, code: int = 0) -> dict[str, list[dict[str, str]]]:
    """What each check said."""
    done = product.command("--json", "doctor", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return by_check(done.stdout)


def by_check(printed: str) -> dict[str, list[dict[str, str]]]:
    said: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(printed)["checks"]:
        said.setdefault(each["check"], []).append(each)
    return said


def complaints(said: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    """Texts of warnings and faults, by check."""
    return {
        check: [each["text"] for each in found if each["level"] != "ok"]
        for check, found in said.items()
        if any(each["level"] != "ok" for each in found)
    }


def resource(product: Product, suffix: str, kind: str, *, like: str = "") -> str:
    """The first resource of that kind in a stack."""
    listed = product.account.client("cloudformation").list_stack_resources(StackName=f"Spotproof-{suffix}")
    return next(
        str(each["PhysicalResourceId"])
        for each in listed["StackResourceSummaries"]
        if each["ResourceType"] == kind and like in each["LogicalResourceId"]
    )


def test_there_is_nothing_to_complain_of_in_a_fresh_deployment(product: Product) -> None:
    said = examined(product, "--drift")

    assert complaints(said) == {}
    assert list(said) == [check.name for check in CHECKS]


def test_what_it_prescribes_mends_what_was_broken(product: Product) -> None:
    """Everything at once; each fix is typed as it is printed."""
    harm(product)

    said = examined(product, code=1)

    assert set(complaints(said)) == {
        "queues", "environments", "rules", "functions", "recovery", "buckets",
    }  # fmt: skip
    fixes = [each["fix"] for found in said.values() for each in found if each["level"] != "ok"]
    assert len(fixes) == 7
    for fix in fixes:
        type_in(product, fix)
    assert complaints(examined(product)) == {}


def harm(product: Product) -> None:
    client = product.account.client
    queue = resource(product, "Compute", "AWS::Batch::JobQueue")
    environment = resource(product, "Compute", "AWS::Batch::ComputeEnvironment")
    client("batch").update_job_queue(jobQueue=queue, state="DISABLED")
    client("batch").update_compute_environment(computeEnvironment=environment, state="DISABLED")
    client("events").disable_rule(Name=resource(product, "Events", "AWS::Events::Rule", like="SpotInterruption"))
    function = resource(product, "Events", "AWS::Lambda::Function", like="SpotInterruption")
    client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    off = {"PointInTimeRecoveryEnabled": False}
    table = product.account.outputs["Spotproof-State.TableName"]
    client("dynamodb").update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=off)
    client("s3").delete_public_access_block(Bucket=product.work_bucket)
    client("s3").put_bucket_versioning(Bucket=product.data_bucket, VersioningConfiguration={"Status": "Suspended"})


def type_in(product: Product, command: str, *, cwd: Path | None = None) -> None:
    words = shlex.split(command)
    assert words[0] == "aws"
    # Version 1 of the AWS command line forgets the environment's endpoint for SQS (its override of TLS names).
    there = ["--endpoint-url", product.account.running.endpoint]
    done = run([str(AWS), *there, *words[1:]], product, cwd=cwd, AWS_PAGER="")
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def run(
    words: list[str], product: Product, *, cwd: Path | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    """A program in the account's environment, with some variables of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT),
        **product.account.state.client_environment(product.account.running),
        **more,
    }
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_aws_commands_of_the_runbook_work_as_they_are_written(product: Product, tmp_path: Path) -> None:
    stacks = product.account.client("cloudformation").describe_stacks()["Stacks"]
    named = {one["OutputKey"]: one["OutputValue"] for stack in stacks for one in stack.get("Outputs", [])}
    (tmp_path / "event.json").write_text("{}")
    function = resource(product, "Events", "AWS::Lambda::Function", like="Controller")

    def typed(command: str) -> None:
        filled = re.sub(r"<(\w+)>", lambda match: named[match[1]], command)
        type_in(product, filled.replace(" NAME ", f" {function} "), cwd=tmp_path)

    assert {command.split()[2] for command in COMMANDS} == {"update-job-queue", "purge-queue", "invoke"}
    try:
        for command in COMMANDS:
            typed(command)
        assert len(complaints(examined(product, code=1))["queues"]) == 2  # as the runbook wants it
    finally:
        for command in COMMANDS:
            if "DISABLED" in command:
                typed(command.replace("DISABLED", "ENABLED"))


def as_operator(product: Product, allowed: dict[str, Any]) -> dict[str, list[str]]:
    """What the doctor complains of to a user who may do this and nothing else."""
    iam = product.account.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="operator")
    iam.put_user_policy(UserName="operator", PolicyName="doctor", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    identity = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    try:
        done = run([sys.executable, "-m", "spotproof_cli", "--json", "doctor"], product, **identity)
    finally:
        iam.delete_access_key(UserName="operator", AccessKeyId=key["AccessKeyId"])
    assert done.returncode == 0, done.stdout + done.stderr
    return complaints(by_check(done.stdout))


def test_the_permissions_that_the_runbook_asks_for_are_enough(product: Product) -> None:
    assert as_operator(product, policy()) == {}


def test_without_one_of_them_one_check_says_that_it_could_not_look(product: Product) -> None:
    allowed = policy()
    allowed["Statement"][0]["Action"].remove("iam:GetRole")

    complaint = as_operator(product, allowed)

    assert list(complaint) == ["spot-role"]
    assert complaint["spot-role"][0].startswith("could not look: ")


def test_the_quota_of_a_new_account_is_a_fault(product: Product) -> None:
    product.account.admin.quota(vcpus={"spot": 5}, reset=False)
    try:
        said = examined(product, code=1)
    finally:
        product.account.admin.quota(vcpus={}, reset=True)

    assert complaints(said) == {
        "spot-quota": ["5 vCPUs of standard Spot instances, as in a new account; 256 are wanted"]
    }


def test_an_event_that_was_given_up_is_a_fault_until_somebody_read_it(product: Product) -> None:
    sqs, alarms = product.account.client("sqs"), product.account.client("cloudwatch")
    queue = resource(product, "Events", "AWS::SQS::Queue", like="FailedEvents")
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    eventually(lambda: "Spotproof-EventsFailed" in raised(alarms), "the alarm", timeout_s=60)

    said = complaints(examined(product, code=1))

    assert set(said) == {"dead-letters", "alarms"}
    assert "1 events were given up" in said["dead-letters"][0]
    sqs.purge_queue(QueueUrl=queue)
    eventually(lambda: not raised(alarms), "the alarm's end", timeout_s=60)
    assert complaints(examined(product)) == {}


def test_an_account_before_bootstrap_and_deployment_is_told_both(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    running = daemon.start(Settings(state_dir=str(state.path), parent_pid=os.getpid()))
    empty = Product(account=TestAccount(state=state, running=running))
    try:
        name = f"/cdk-bootstrap/{bootstrap.QUALIFIER}/version"
        empty.account.client("ssm").delete_parameter(Name=name)
        said: dict[str, Any] = complaints(examined(empty, code=1))
    finally:
        daemon.stop(state)

    assert "no parameter" in said["bootstrap"][0]
    assert "no stack Spotproof-…" in said["stacks"][0]
