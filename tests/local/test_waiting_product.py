"""A run whose workers can't start, on the deployed stacks: the command and the controller say why."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.account import TestAccount, eventually
from tests.local.product import Product


@pytest.fixture
def product(deployed: TestAccount) -> Iterator[Product]:
    """The product on an account without instances."""
    deployed.admin.reset_jobs()
    deployed.empty_fleet()
    made = Product(account=deployed)
    made.upload_input()
    yield made
    deployed.admin.reset_jobs()


def environment(product: Product) -> str:
    """The name of the Spot compute environment."""
    queue = product.account.outputs["Spotproof-Compute.SpotQueueName"]
    (found,) = product.account.client("batch").describe_job_queues(jobQueues=[queue])["jobQueues"]
    return str(found["computeEnvironmentOrder"][0]["computeEnvironment"]).rpartition("/")[2]


def decided(product: Product, run_id: str, kind: str) -> list[dict[str, Any]]:
    """Entries of this kind in the run's history."""
    done = product.command("--json", "history", run_id)
    entries = json.loads(done.stdout)["history"] if done.returncode == 0 else []
    return [entry for entry in entries if entry["kind"] == kind]


def make_short(product: Product) -> None:
    product.account.admin.market(capacity={"*": 0})


def use_up_quota(product: Product) -> None:
    product.account.admin.quota(vcpus={"spot": 0})


def disable(product: Product) -> None:
    product.account.admin.environment(environment(product), "disabled")


@pytest.mark.parametrize(
    ("prepare", "kind", "advises"),
    [
        (make_short, "no_capacity", "fallback_after_s"),
        (use_up_quota, "quota", "L-34B43A08"),
        (disable, "disabled", "--state ENABLED"),
    ],
    ids=["no-capacity", "quota", "disabled"],
)
def test_the_command_and_the_controller_explain_workers_that_nobody_can_start(
    product: Product, prepare: Any, kind: str, advises: str
) -> None:
    prepare(product)
    run_id = f"waits-{kind.replace('_', '-')}"
    product.submit(run_id, workers=2, on_demand_share_max="0")

    (waiting,) = product.status(run_id)["waiting"]
    product.account.admin.fire_schedule("Controller")
    entry, *_ = eventually(  # another copy of the function, on its own schedule, may tell it again a minute later
        lambda: decided(product, run_id, f"waiting: {kind}"), "the controller's entry in the history", timeout_s=60
    )

    assert (waiting["workers"], waiting["kind"]) == (2, kind)
    assert advises in waiting["advice"]
    assert entry["reason"] == waiting["text"]
    assert entry["facts"]["advice"] == waiting["advice"]
