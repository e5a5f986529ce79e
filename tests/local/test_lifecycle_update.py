"""Deploying another version in the middle of a run: no run is lost, workers finish with the code they began with."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud import daemon
from localcloud.deploy import DeployedStack, deploy
from localcloud.settings import Settings
from localcloud.state_dir import StateDir
from spotproof import contract
from tests.local.account import TestAccount, eventually
from tests.local.later_version import later_version
from tests.local.product import OBJECTS, Product
from tests.local.synthesis import synthesized
from tests.local.test_sizing import TOO_LITTLE_MIB, memory_mib, workers

RUN = "updated"
COMPUTE, EVENTS, STATE = "Spotproof-Compute", "Spotproof-Events", "Spotproof-State"
DEFINITION = "spotproof-flight-delays"
UNHURRIED_S = "0.001"  # a record, 10 s a shard: the update falls into the run, also on a busy machine


@dataclass(frozen=True, kw_only=True)
class Updated:
    """An account in which another version was deployed in the middle of a run, and the run went on to its end."""

    product: Product
    undisturbed: dict[str, bytes]  # outputs of a run before
    outcomes: dict[str, str]  # of the stacks in the second deployment
    before: dict[str, dict[str, str]]  # physical ids by stack and logical id
    code_before: set[str]
    first: str  # job submitted before the update
    joined: str  # job submitted after it, to the same run
    since_ms: int  # when the update was done


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Updated]:
    """In an account of its own, since the product is replaced there."""
    directory = tmp_path_factory.mktemp("update")
    state = StateDir(directory / "state")
    running = daemon.start(Settings(state_dir=str(state.path), parent_pid=os.getpid()))
    stacks = deploy(running, synthesized())
    product = Product(account=TestAccount(state=state, running=running, outputs=_outputs(stacks)))
    product.upload_input()
    product.submit("undisturbed", pace_s="0")
    product.wait_complete("undisturbed")
    yield _update_in_the_middle(product, [stack.name for stack in stacks], directory / "later")
    daemon.stop(state)


def _update_in_the_middle(product: Product, stacks: list[str], later: Path) -> Updated:
    account = product.account
    before, code_before = {name: _physical_ids(account, name) for name in stacks}, _code(account)
    first = product.submit(RUN, pace_s=UNHURRIED_S)
    product.wait_for(f"{first}:0", "checkpoint_saved")

    deployed = deploy(account.running, later_version(synthesized(), later))
    since_ms = round(account.admin.state().now * 1000)
    account.admin.kill(account.host_of(f"{first}:0"))
    joined = product.submit(RUN, workers=2, pace_s=UNHURRIED_S)
    product.wait_complete(RUN)
    return Updated(
        product=product,
        undisturbed=product.outputs("undisturbed"),
        outcomes={stack.name: stack.outcome for stack in deployed},
        before=before,
        code_before=code_before,
        first=first,
        joined=joined,
        since_ms=since_ms,
    )


def _outputs(stacks: list[DeployedStack]) -> dict[str, str]:
    return {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}


def _physical_ids(account: TestAccount, stack: str) -> dict[str, str]:
    listed = account.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def _code(account: TestAccount) -> set[str]:
    found = account.client("lambda").list_functions()["Functions"]
    return {one["CodeSha256"] for one in found if one["FunctionName"].startswith(EVENTS)}


def _revision_and_code(account: TestAccount, job_id: str) -> tuple[str, str]:
    job = account.describe(job_id)
    environment = {one["name"]: one["value"] for one in job["container"]["environment"]}
    return job["jobDefinition"].rpartition(":")[2], environment[contract.ENV_CODE_URI]


def _hosts(account: TestAccount, job_id: str) -> list[str]:
    """The host of each attempt."""
    started = [one for one in account.admin.events(limit=1_000_000) if one["kind"] == "attempt.started"]
    return [str(one["instance"]) for one in started if one["job"] == job_id]


def test_a_run_in_the_middle_of_a_deployment_ends_with_the_same_bytes(updated: Updated) -> None:
    shards = updated.product.status(RUN)["shards"]

    assert updated.product.outputs(RUN) == updated.undisturbed
    assert shards["done"] == OBJECTS
    assert [shard["index"] for shard in updated.product.manifest(RUN)["shards"]] == list(range(OBJECTS))


def test_a_deployment_replaces_neither_table_nor_bucket_nor_queue_nor_environment(updated: Updated) -> None:
    after = {name: _physical_ids(updated.product.account, name) for name in updated.before}
    replaced = {
        physical.rpartition("/")[2].partition(":")[0]
        for name, ids in updated.before.items()
        for logical, physical in ids.items()
        if after[name].get(logical) != physical
    }

    assert (updated.outcomes[STATE], updated.outcomes[COMPUTE], updated.outcomes[EVENTS]) == (
        "unchanged",
        "updated",
        "updated",
    )
    definitions = updated.product.account.outputs[f"{COMPUTE}.{contract.OUTPUT_JOB_DEFINITIONS}"]
    assert replaced == set(definitions.split(","))  # another revision each


def test_workers_end_with_the_code_they_began_with_and_new_ones_of_the_same_run_have_the_new(updated: Updated) -> None:
    account = updated.product.account
    first = {_revision_and_code(account, f"{updated.first}:{index}") for index in range(3)}
    joined = {_revision_and_code(account, f"{updated.joined}:{index}") for index in range(2)}

    assert {revision for revision, _ in first} == {"1"}
    assert {revision for revision, _ in joined} == {"2"}
    assert {code for _, code in first}.isdisjoint({code for _, code in joined})


def test_a_worker_whose_old_host_dies_goes_on_on_a_host_of_the_new_template(updated: Updated) -> None:
    """That hosts of before an update are `outdated` and later ones have the new template: test_lifecycle_hosts."""
    account = updated.product.account
    outdated = {one.id: one.outdated for one in account.admin.state().instances}

    assert [outdated[host] for host in _hosts(account, f"{updated.first}:0")] == [True, False]


def test_events_after_the_update_are_handled_by_the_new_functions(updated: Updated) -> None:
    account, logs = updated.product.account, updated.product.account.client("logs")
    group = next(
        physical
        for logical, physical in updated.before[EVENTS].items()
        if logical.startswith("InstanceStateChangeLogs")
    )

    assert _code(account).isdisjoint(updated.code_before)
    assert eventually(
        lambda: logs.filter_log_events(logGroupName=group, startTime=updated.since_ms)["events"],
        "the killed host is handled",
    )


def test_a_worker_of_the_old_revision_that_runs_out_of_memory_is_followed_by_one_of_its_revision(
    updated: Updated,
) -> None:
    product, account = updated.product, updated.product.account
    run = "old-revision"
    account.client("batch").submit_job(
        jobName=run,
        jobQueue=account.outputs[f"{COMPUTE}.SpotQueueName"],
        jobDefinition=f"{DEFINITION}:1",
        containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": str(TOO_LITTLE_MIB)}]},
        parameters={"run": run, "input": f"s3://{product.data_bucket}/in/", "shard_by": "objects"},
    )

    product.wait_complete(run)

    jobs = [account.describe(job_id) for job_id in workers(product, run)]
    assert {job["jobDefinition"].rpartition("/")[2] for job in jobs} == {f"{DEFINITION}:1"}
    assert sorted(memory_mib(job) for job in jobs)[:2] == [TOO_LITTLE_MIB, 128]
    assert product.outputs(run) == updated.undisturbed
