"""`spotproof doctor`: what it prints, and how it ends."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spotproof import contract
from spotproof_cli.doctor.examination import CHECKS
from spotproof_cli.doctor.stacks import CDK
from spotproof_cli.main import main
from spotproof_cli.services import Services
from tests.cli.doctor.healthy import ACCOUNT, REGION, Account, FrozenClock, error

ROOT = Path(__file__).resolve().parents[3]


def call(account: Account, *arguments: str) -> Result:
    services = Services(
        clock=FrozenClock(), env={"SPOTPROOF_LOCALCLOUD_DIR": "/nonexistent"}, clients=lambda target: account.clients()
    )
    return CliRunner().invoke(main, ["doctor", *arguments], obj=services)


@pytest.fixture
def sick() -> Account:
    """One fault and one warning."""
    account = Account()
    account.answers["iam.get_role"] = error("NoSuchEntity")
    account.answers["lambda_.get_account_settings"]["AccountLimit"]["UnreservedConcurrentExecutions"] = 10
    return account


def test_a_healthy_deployment_has_a_mark_for_each_check_and_ends_with_0() -> None:
    result = call(Account())

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["✓", check.name] for check in CHECKS if not check.slow]
    assert result.stderr == f"{len(lines)} fine\n"


def test_a_fault_ends_with_1_and_each_mark_but_the_good_one_is_followed_by_the_fix(sick: Account) -> None:
    result = call(sick)

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    (fault,) = [number for number, line in enumerate(lines) if line.startswith("✗")]
    (warning,) = [number for number, line in enumerate(lines) if line.startswith("!")]
    assert lines[fault].split()[:2] == ["✗", "spot-role"]
    assert lines[fault + 1].strip().startswith("fix: aws iam create-service-linked-role")
    assert lines[warning + 1].strip().startswith("fix: ask for more")
    assert result.stderr.startswith("1 faults, 1 warnings, ")


def test_a_warning_alone_ends_with_0(sick: Account) -> None:
    sick.answers["iam.get_role"] = Account().answers["iam.get_role"]

    assert call(sick).exit_code == 0


def test_json_has_the_keys_of_its_schema_in_order(sick: Account) -> None:
    result = call(sick, "--json")

    assert result.exit_code == 1
    document: dict[str, Any] = json.loads(result.stdout)
    assert list(document) == ["schema", "deployment", "region", "account", "healthy", "checks"]
    assert list(document.values())[:5] == [1, "Spotproof", REGION, ACCOUNT, False]
    assert {tuple(each) for each in document["checks"]} == {("check", "level", "text", "fix")}
    assert {each["level"] for each in document["checks"]} == {"ok", "warn", "fail"}


def test_json_without_a_region_says_so_too() -> None:
    account = Account()
    account.region = None

    document = json.loads(call(account, "--json").stdout)

    assert (document["region"], document["account"], document["healthy"]) == (None, None, False)


def test_plain_is_one_line_of_four_columns_for_each_finding(sick: Account) -> None:
    result = call(sick, "--plain")

    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {len(row) for row in rows} == {4}
    assert {row[0] for row in rows} == {"ok", "warn", "fail"}


def test_drift_is_looked_at_only_when_asked_for() -> None:
    account = Account()

    call(account)
    assert not [key for key, _ in account.asked if "drift" in key]

    assert "✓ drift" in call(account, "--drift").stdout


def test_nothing_is_changed() -> None:
    account = Account()

    call(account, "--drift")

    operations = {key.partition(".")[2] for key, _ in account.asked}
    assert {operation.partition("_")[0] for operation in operations} <= {
        "get", "describe", "list", "head", "filter", "detect",
    }  # fmt: skip


def test_another_deployment_is_found_by_its_prefix() -> None:
    account = Account()

    result = call(account, "--prefix", "Other")

    assert result.exit_code == 1
    assert "no stack Other-…" in result.stdout


def test_the_fix_names_the_cdk_that_the_repository_pins() -> None:
    lock = json.loads((ROOT / "tools" / "node" / "package-lock.json").read_text())

    assert f"npx aws-cdk@{lock['packages']['node_modules/aws-cdk']['version']}" == CDK


def test_the_version_is_that_of_the_package() -> None:
    (declared,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert declared == contract.VERSION
