"""What runs cost on the deployed stacks: every host from its launch, every shard, and a budget that pauses and resumes."""

import json
from decimal import Decimal
from typing import Any

import pytest

from spotproof import contract
from tests.local.account import TestAccount, eventually
from tests.local.product import OBJECTS, Product


@pytest.fixture(scope="module")
def product(deployed: TestAccount) -> Product:
    deployed.admin.reset_jobs()
    made = Product(account=deployed)
    made.upload_input()
    return made


def cost_of(product: Product, run_id: str, *arguments: str) -> dict[str, Any]:
    done = product.command("--json", "cost", run_id, *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_shard_and_host_of_a_finished_run_has_its_cost(product: Product) -> None:
    product.submit("priced", pace_s="0")
    product.wait_complete("priced")

    document = cost_of(product, "priced", "--shards")

    kept = product.manifest("priced")["cost"]
    assert (document["source"], document["cost"]) == ("_SUCCESS", kept)
    assert Decimal(kept["work_usd"]) > 0
    assert Decimal(kept["host_boot_usd"]) > 0  # launches are on record
    assert (kept["estimated_seconds"], kept["unpriced_seconds"]) == ("0.000", "0.000")
    assert Decimal(kept["usd"]) < Decimal(kept["on_demand_usd"])
    parts = [name for name in kept if name.startswith("host_") and name.endswith("_usd")]
    assert abs(
        Decimal(kept["total_usd"]) - Decimal(kept["usd"]) - sum(Decimal(kept[name]) for name in parts)
    ) < Decimal("5e-6")
    assert 0 < Decimal(kept["efficiency"]) < 1
    assert [each["shard"] for each in document["shards"]] == list(range(OBJECTS))
    assert all(Decimal(each["usd"]) > 0 for each in document["shards"])


def test_a_run_pauses_at_its_budget_and_goes_on_with_another(product: Product) -> None:
    """A minute of two hosts, which EC2 charges at least, costs more than that."""
    product.account.empty_fleet()
    job = product.submit("frugal", usd_max="0.0001")
    product.wait_for(f"{job}:0", "checkpoint_saved")

    product.account.admin.fire_schedule("Controller")

    assert "0.0001" in eventually(lambda: paused(product, "frugal"), "the pause", timeout_s=60)
    document = cost_of(product, "frugal")
    assert Decimal(document["cost"]["total_usd"]) >= Decimal("0.0001")
    assert document["budget_usd"] == 0.0001
    refused = product.command("resume", "frugal")
    assert (refused.returncode, "give --max-usd more than that" in refused.stderr) == (2, True)
    resumed = product.command("resume", "frugal", "--max-usd", "50", "--workers", "2")
    assert resumed.returncode == 0, resumed.stderr
    product.wait_complete("frugal")
    assert product.status("frugal")["shards"]["done"] == OBJECTS


def paused(product: Product, run_id: str) -> str | None:
    """Why the run is paused; None while it is not."""
    key = {contract.PARTITION_KEY: {"S": contract.run_pk(run_id)}, contract.SORT_KEY: {"S": contract.RUN_SK}}
    table = product.account.outputs["Spotproof-State.TableName"]
    row = product.account.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    return str(row["reason"]["S"]) if row["state"]["S"] == "PAUSED" else None
