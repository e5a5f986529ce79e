"""The command line without a running account."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from localcloud.cli import cli

COMMANDS = (
    "up",
    "down",
    "status",
    "env",
    "exec",
    "deploy",
    "interrupt",
    "advance",
    "logs",
    "market",
    "quota",
    "environment",
    "events",
)


def test_every_command_is_listed() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).output

    assert [command for command in COMMANDS if f"\n  {command} " not in listed] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["env"],
        ["deploy"],
        ["interrupt", "i-1"],
        ["advance", "1"],
        ["logs", "j"],
        ["market"],
        ["events"],
        ["quota"],
        ["environment"],
    ],
)
def test_without_an_account_each_command_says_how_to_start_one(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--state-dir", str(tmp_path), *arguments])

    assert result.exit_code == 3
    assert result.stderr == f"error: no local account runs in {tmp_path.resolve()}: start it with `localcloud up`\n"


def test_down_without_an_account_is_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--state-dir", str(tmp_path), "down"])

    assert (result.exit_code, result.output) == (0, f"no local account ran in {tmp_path.resolve()}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--account", "1"], "12 digits"), (["--scale", "0"], "between 1 and 1000"), (["--region", "x"], "us-east-1")],
)
def test_up_refuses_settings_that_cannot_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--state-dir", str(tmp_path), "up", *arguments])

    assert result.exit_code == 2
    assert message in result.stderr


def test_help_loads_neither_boto3_nor_the_emulator() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from localcloud.cli import cli; "
        "CliRunner().invoke(cli, ['--help']); print([m for m in ('boto3', 'botocore', 'ministack') if m in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert output == "[]\n"


def test_an_environment_needs_to_be_told_what_it_shall_be(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--state-dir", str(tmp_path), "environment", "Spot"])

    assert result.exit_code == 2
    assert "disabled, invalid, unsupported" in result.stderr
