"""`spotproof doctor`: what it prints, and how it ends."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spotproof import contract
from spotproof.clients import Clients
from spotproof.settings import AwsSettings
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
    assert result.stderr.startswith("1 fault, 1 warning, ")


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


@pytest.mark.parametrize(("region", "found"), [("", None), ("eu-west-1", "eu-west-1")])
def test_a_profile_that_is_not_there_is_a_fault_of_the_credentials(
    region: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    services = Services(clock=FrozenClock(), env={"AWS_REGION": region} if region else {})

    result = CliRunner().invoke(main, ["doctor", "--profile", "nobody", "--json"], obj=services)

    document = json.loads(result.stdout)
    levels = {each["check"]: each["level"] for each in document["checks"]}
    assert (result.exit_code, document["region"]) == (1, found)
    assert levels.pop("region") == ("ok" if region else "fail")
    assert levels.pop("credentials") == ("fail" if region else "skip")
    assert set(levels.values()) == ({"skip", "warn"} if region else {"skip"})


def test_without_a_region_none_is_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By botocore itself, whose STS client has the region aws-global then."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    keys = AwsSettings(region=None, endpoint_url=None, access_key_id="a", secret_access_key="b")
    services = Services(clock=FrozenClock(), env={}, clients=lambda target: Clients(keys))

    result = CliRunner().invoke(main, ["doctor", "--json"], obj=services)

    assert json.loads(result.stdout)["region"] is None
    assert json.loads(result.stdout)["checks"][0]["text"] == "no AWS region"


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
    assert "deploy --all -c prefix=Other" in result.stdout  # without it, a deployment beside this one would be made


def test_the_fix_names_the_cdk_that_the_repository_pins() -> None:
    lock = json.loads((ROOT / "tools" / "node" / "package-lock.json").read_text())

    assert f"npx aws-cdk@{lock['packages']['node_modules/aws-cdk']['version']}" == CDK


def test_the_version_is_that_of_the_package() -> None:
    (declared,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert declared == contract.VERSION
