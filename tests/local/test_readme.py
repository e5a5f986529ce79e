"""Every command of the README's way to AWS that a local account can take is executed, as it is written there."""

import json
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import bootstrap, daemon
from localcloud.node import cdk_command
from localcloud.settings import Settings
from localcloud.state_dir import FOREIGN_VARIABLES, StateDir
from tests.local.account import TestAccount
from tests.local.product import a_flight
from tests.local.synthesis import ROOT, synthesized_kept

SECTION = re.compile(r"^## Deploy to AWS\n(.*?)^## ", re.DOTALL | re.MULTILINE)
# `make test` has installed the same locked packages; a second environment would prove nothing more.
NOT_REPEATED = ("python3 -m venv", "pip install")
# What a terminal would ask for.
UNATTENDED = {"deploy": ["--require-approval", "never"], "destroy": ["--force"]}


def readme_commands() -> list[str]:
    """The commands of the section in order, continued lines joined, comments off."""
    text = (ROOT / "README.md").read_text() + "\n## "
    (section,) = SECTION.findall(text)
    blocks = re.findall(r"```bash\n(.*?)```", section, re.DOTALL) + re.findall(r"`(npx [^`]*)`", section)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


class Reader:
    """A person with the README, a terminal, and an account."""

    def __init__(self, account: TestAccount, directory: Path) -> None:
        self.account = account
        self.directory = directory
        self.cdk, path = cdk_command(ROOT / ".build" / "node", os.environ)
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
        programs = str(Path(sys.executable).parent)
        self.environment = {
            **kept,
            **account.state.client_environment(account.running),
            "PATH": f"{programs}{os.pathsep}{path}",
            "PYTHONPATH": str(ROOT),
            "CDK_VALIDATION": "false",
        }

    def type(self, command: str) -> "subprocess.CompletedProcess[str]":
        words = shlex.split(self.filled(command))
        if words[0] == "npx":
            words = [*self.cdk, *words[2:], "--app", str(synthesized_kept()), *UNATTENDED.get(words[2], [])]
        if words[0] == "spotproof":
            words = [sys.executable, "-m", "spotproof_cli", *words[1:]]
        return subprocess.run(
            words, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False, timeout=150
        )

    def filled(self, command: str) -> str:
        """The command with every <OutputName> replaced by what the stacks say."""
        if "<" not in command:
            return command
        stacks = self.account.client("cloudformation").describe_stacks()["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for stack in stacks for one in stack.get("Outputs", [])}
        return re.sub(r"<(\w+)>", lambda match: outputs[match[1]], command)


def forget_bootstrap(account: TestAccount) -> None:
    """A local account starts bootstrapped; a new one on AWS does not."""
    account_id, region = account.running.account, account.running.region
    account.client("s3").delete_bucket(Bucket=bootstrap.asset_bucket(account_id, region))
    account.client("ssm").delete_parameter(Name=f"/cdk-bootstrap/{bootstrap.QUALIFIER}/version")
    iam = account.client("iam")
    for role in bootstrap.ROLES:
        name = f"cdk-{bootstrap.QUALIFIER}-{role}-{account_id}-{region}"
        iam.delete_role_policy(RoleName=name, PolicyName="everything")
        iam.delete_role(RoleName=name)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    directory = tmp_path_factory.mktemp("reader")
    state = StateDir(directory / "state")
    running = daemon.start(Settings(state_dir=str(state.path), parent_pid=os.getpid()))
    rng = random.Random(3)
    (directory / "my-data").mkdir()
    lines = [{**a_flight(rng), "time_hour": f"2026-01-{day:02d}T12:00:00Z"} for day in range(1, 29) for _ in range(20)]
    (directory / "my-data" / "flights.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    account = TestAccount(state=state, running=running)
    forget_bootstrap(account)
    yield Reader(account, directory)
    daemon.stop(state)


def test_the_section_has_the_whole_way(reader: Reader) -> None:
    commands = " ; ".join(readme_commands())

    for step in (
        "bootstrap",
        "deploy --all",
        "s3 cp",
        "batch submit-job",
        "status",
        "logs",
        "results",
        "destroy --all",
    ):
        assert step in commands


@pytest.mark.slow
def test_every_command_of_the_way_works_in_order(reader: Reader) -> None:
    done = []
    for command in readme_commands():
        if command.startswith(NOT_REPEATED):
            continue
        result = reader.type(command)
        assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}\n{result.stderr[-3000:]}"
        done.append(command)

    downloaded = [path for path in (reader.directory / "out").rglob("*") if path.is_file()]
    assert len(downloaded) > 4
    assert len(done) >= 9
