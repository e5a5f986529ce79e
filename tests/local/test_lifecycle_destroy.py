"""`cdk destroy`, in the middle of a run and with nothing running: what is left, and that it is what retention says."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from localcloud import daemon
from localcloud.assembly import read_assembly
from localcloud.bootstrap import asset_bucket
from localcloud.deploy import deploy, run_cdk
from localcloud.settings import Settings
from localcloud.state_dir import StateDir
from spotproof.clock import SystemClock
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import RunId, Shard, ShardState
from spotproof.retries import Retrier
from tests.local.account import TestAccount, eventually
from tests.local.product import Product
from tests.local.synthesis import ROOT, synthesized, synthesized_kept

CDK_DIRECTORY = ROOT / ".build" / "node"
STATE = "Spotproof-State"
# As docs/deploying.md says.
EMPTY = "import boto3, sys; boto3.resource('s3').Bucket(sys.argv[1]).object_versions.delete()"

pytestmark = pytest.mark.slow


@contextmanager
def deployed_alone(directory: Path, assembly: Path) -> Iterator[Product]:
    """The product in an account of its own, with the example's input."""
    state = StateDir(directory / "state")
    running = daemon.start(Settings(state_dir=str(state.path), parent_pid=os.getpid()))
    stacks = deploy(running, assembly)
    outputs = {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}
    product = Product(account=TestAccount(state=state, running=running, outputs=outputs))
    product.upload_input()
    try:
        yield product
    finally:
        daemon.stop(state)


def delete_stacks(account: TestAccount, assembly: Path) -> dict[str, str]:
    """What `cdk destroy --all` asks of CloudFormation, without its pauses; what is left of the stacks, by status."""
    cloudformation = account.client("cloudformation")
    place = {"account": account.running.account, "region": account.running.region}
    for stack in reversed(read_assembly(assembly, **place)):
        cloudformation.delete_stack(StackName=stack.name)
        eventually(partial(_is_settled, account, stack.name), f"the end of deleting {stack.name}", timeout_s=60)
    return stacks_left(account)


def _is_settled(account: TestAccount, stack: str) -> bool:
    return not stacks_left(account).get(stack, "").endswith("_IN_PROGRESS")


def reasons(account: TestAccount, stack: str) -> str:
    events = account.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return " ".join(one.get("ResourceStatusReason", "") for one in events)


def left_over(account: TestAccount) -> dict[str, set[str]]:
    """What is in the account besides what the CDK's bootstrap made, by kind; kinds with nothing are not there."""
    client, running = account.client, account.running
    batch = client("batch")
    active = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    hosts = account.admin.state().instances
    found = {
        "tables": set(client("dynamodb").list_tables()["TableNames"]),
        "buckets": {one["Name"] for one in client("s3").list_buckets()["Buckets"]}
        - {asset_bucket(running.account, running.region)},
        "queues": {one["jobQueueName"] for one in batch.describe_job_queues()["jobQueues"]},
        "environments": {
            one["computeEnvironmentName"] for one in batch.describe_compute_environments()["computeEnvironments"]
        },
        "job definitions": {one["jobDefinitionArn"] for one in active},
        "functions": {one["FunctionName"] for one in client("lambda").list_functions()["Functions"]},
        "rules": {one["Name"] for one in client("events").list_rules()["Rules"]},
        "message queues": set(client("sqs").list_queues().get("QueueUrls", [])),
        "topics": {one["TopicArn"] for one in client("sns").list_topics()["Topics"]},
        "log groups": {one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]},
        "alarms": {one["AlarmName"] for one in client("cloudwatch").describe_alarms()["MetricAlarms"]},
        "dashboards": {one["DashboardName"] for one in client("cloudwatch").list_dashboards()["DashboardEntries"]},
        "roles": {
            one["RoleName"] for one in client("iam").list_roles()["Roles"] if one["RoleName"].startswith("Spotproof")
        },
        "hosts": {one.id for one in hosts if one.state != "terminated"},
    }
    return {kind: names for kind, names in found.items() if names}


def stacks_left(account: TestAccount) -> dict[str, str]:
    found = account.client("cloudformation").describe_stacks()["Stacks"]
    return {one["StackName"]: one["StackStatus"] for one in found if one["StackStatus"] != "DELETE_COMPLETE"}


def shards(account: TestAccount, table: str, run_id: str) -> list[Shard]:
    clock = SystemClock()
    store = DynamoDBLeaseStore(
        client=account.client("dynamodb"),
        table_name=table,
        clock=clock,
        retrier=Retrier(clock=clock, rng=random.Random(0)),
    )
    run = store.get_run(RunId(run_id))
    assert run is not None
    return list(store.shards(run))


def test_a_destroy_in_the_middle_of_a_run_stops_the_workers_saved_and_leaves_table_and_buckets(tmp_path: Path) -> None:
    assembly = synthesized_kept()
    with deployed_alone(tmp_path, assembly) as product:
        account = product.account
        table = account.outputs[f"{STATE}.TableName"]
        says = account.outputs[f"{STATE}.KeptByDestroy"]
        resources = next(
            stack.template()["Resources"]
            for stack in read_assembly(assembly, account=account.running.account, region=account.running.region)
            if stack.name == STATE
        )
        listed = account.client("cloudformation").describe_stack_resources(StackName=STATE)["StackResources"]
        physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
        buckets = {physical[name] for name, one in resources.items() if one["Type"] == "AWS::S3::Bucket"}
        job = product.submit("destroyed", pace_s="0.005")
        for index in range(3):
            product.wait_for(f"{job}:{index}", "checkpoint_saved")

        done = run_cdk(
            account.state, account.running, assembly, os.environ, "destroy", "--all", "--force",
            cdk_directory=CDK_DIRECTORY,
        )  # fmt: skip

        assert done.returncode == 0, done.stdout + done.stderr
        assert stacks_left(account) == {}
        assert left_over(account) == {"tables": {table}, "buckets": buckets}
        assert all(name in says for name in (table, *buckets))
        found = shards(account, table, "destroyed")
        begun = [shard for shard in found if shard.state is not ShardState.DONE]
        assert [(shard.state, shard.owner) for shard in begun] == [(ShardState.READY, None)] * 3  # handed back
        assert all(shard.checkpoint is not None for shard in begun)
        ended = [one for one in account.admin.events(limit=1_000_000) if one["kind"] == "attempt.ended"]
        assert {one["exit_code"] for one in ended} == {75}
        output = account.client("s3").list_objects_v2(Bucket=product.data_bucket, Prefix="output/destroyed/")
        assert "_SUCCESS" not in str(output.get("Contents", []))


def test_with_removal_destroy_full_buckets_stop_the_destroy_and_emptied_ones_leave_nothing(tmp_path: Path) -> None:
    assembly = synthesized()
    with deployed_alone(tmp_path, assembly) as product:
        account = product.account
        product.submit("ended", pace_s="0")
        product.wait_complete("ended")

        refused = delete_stacks(account, assembly)
        why = reasons(account, STATE)
        for bucket in left_over(account)["buckets"]:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            environment = {**kept, **account.state.client_environment(account.running)}
            subprocess.run([sys.executable, "-c", EMPTY, bucket], env=environment, check=True)
        emptied = delete_stacks(account, assembly)

        assert refused == {STATE: "DELETE_FAILED"}
        assert "The bucket you tried to delete is not empty" in why
        assert (emptied, left_over(account)) == ({}, {})
