"""A game day on the deployed product: the stack's own templates and role, real workers, the verdict."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.account import TestAccount
from tests.local.product import OBJECTS, Product

PATIENCE_S = "100"


@pytest.fixture(scope="module")
def product(deployed: TestAccount) -> Product:
    made = Product(account=deployed)
    made.upload_input()
    return made


@pytest.fixture(autouse=True)
def calm(product: Product) -> Iterator[None]:
    product.account.admin.reset_jobs()
    product.account.empty_fleet()
    yield
    product.account.admin.reset_jobs()


def play(product: Product, run_id: str, directory: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The command's exit code, and its report."""
    done = product.command("gameday", run_id, "--yes", "--output", str(directory), "--timeout", PATIENCE_S, *arguments)
    assert (directory / "report.json").exists(), done.stderr
    return done.returncode, json.loads((directory / "report.json").read_text())


def claims(report: dict[str, Any]) -> dict[str, bool]:
    return {each["claim"]: each["holds"] for each in report["claims"] if each["promise"]}


def test_half_of_the_fleet_goes_and_the_run_keeps_its_promise(product: Product, tmp_path: Path) -> None:
    product.submit("rehearsed", workers=4)

    code, report = play(product, "rehearsed", tmp_path, "--plan", "interrupt-half")

    assert all(claims(report).values()), report["claims"]
    assert (code, report["verdict"], report["run"]["shards"]) == (0, "kept", OBJECTS)
    assert report["struck"]
    templates = product.account.client("fis").list_experiment_templates()["experimentTemplates"]
    assert len(templates) == 3  # none was left behind


@pytest.mark.slow
def test_while_nothing_can_be_had_the_run_goes_on_with_what_it_has(product: Product, tmp_path: Path) -> None:
    product.submit("starved", workers=4)

    code, report = play(product, "starved", tmp_path, "--plan", "no-capacity")

    assert (code, report["verdict"]) == (0, "kept"), report["claims"]
    (group,) = report["experiment"]["starved_groups"]
    noted = product.account.admin.events(kind="fis.action")
    assert [each["resources"] for each in noted if each["action"] == "SpotGroups"][-1] == [group]


def test_an_experiment_that_a_stop_condition_ends_proves_nothing(product: Product, tmp_path: Path) -> None:
    cloudwatch = product.account.client("cloudwatch")
    dimensions = [{"Name": "Stack", "Value": "Spotproof"}]
    failures = {"MetricName": "ControllerFailures", "Dimensions": dimensions, "Value": 1.0}
    product.submit("halted", workers=2)
    product.wait_for(f"{product_job(product, 'halted')}:0", "shard_leased")
    cloudwatch.put_metric_data(Namespace="Spotproof", MetricData=[failures])

    code, report = play(product, "halted", tmp_path)

    assert code == 104
    assert report["experiment"]["reason"] == "Experiment halted by stop condition."
    assert not claims(report)["the experiment did what the plan says"]


def product_job(product: Product, name: str) -> str:
    """The array job of a run."""
    return next(job.id for job in product.account.admin.state().jobs if job.name == name and job.size)
