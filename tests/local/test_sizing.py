"""Out of memory and sizing on the deployed stacks: the next worker has more, and the run's record plans the next run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from spotproof import contract
from tests.local.account import TestAccount
from tests.local.product import Product

RUN = "too-little-memory"
TOO_LITTLE_MIB = 48  # less than the interpreter and its libraries take


@pytest.fixture
def product(deployed: TestAccount) -> Iterator[Product]:
    """The product, with the example's input."""
    deployed.admin.reset_jobs()
    made = Product(account=deployed)
    made.upload_input()
    yield made
    deployed.admin.reset_jobs()


def test_a_worker_that_ran_out_of_memory_gets_a_bigger_successor_and_the_run_leaves_a_record(product: Product) -> None:
    account, batch = product.account, product.account.client("batch")
    input_uri = f"s3://{product.data_bucket}/in/"
    submitted = batch.submit_job(
        jobName=RUN,
        jobQueue=account.outputs["Spotproof-Compute.SpotQueueName"],
        jobDefinition="spotproof-flight-delays",
        containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": str(TOO_LITTLE_MIB)}]},
        parameters={"run": RUN, "input": input_uri, "shard_by": "objects"},
    )

    product.wait_complete(RUN)

    first = account.describe(submitted["jobId"])
    assert [attempt["container"]["reason"] for attempt in first["attempts"]] == [
        "OutOfMemoryError: Container killed due to memory usage"
    ]
    sizes = [memory_mib(account.describe(job_id)) for job_id in workers(product, RUN)]
    assert sorted(sizes)[:2] == [TOO_LITTLE_MIB, 128]
    told = json.loads(product.command("--json", "history", RUN).stdout)["history"]
    assert any("48 MiB was not enough" in entry["reason"] for entry in told)

    plan = json.loads(product.command("--json", "plan", "flight-delays", "--input", input_uri).stdout)
    assert plan["history_runs"] >= 1
    assert TOO_LITTLE_MIB < plan["recommended"]["memory_mib"]["value"] < 1800
    assert {pool["lifecycle"] for pool in plan["pools"]} == {"spot", "on-demand"}
    assert any(pool["hours_seen"] > 0 for pool in plan["pools"])
    assert plan["unknown"] == []
    kept = account.client("s3").list_objects_v2(
        Bucket=product.work_bucket, Prefix=contract.history_prefix("flight-delays")
    )
    assert any(each["Key"].endswith(f"-{RUN}.json") for each in kept["Contents"])


def workers(product: Product, run_id: str) -> list[str]:
    """Every Batch job of the run."""
    state = product.account.admin.state()
    described = [product.account.describe(job.id) for job in state.jobs]
    return [str(job["jobId"]) for job in described if job["parameters"].get("run") == run_id]


def memory_mib(job: dict[str, Any]) -> int:
    needs = {need["type"]: need["value"] for need in job["container"]["resourceRequirements"]}
    return int(needs["MEMORY"])
