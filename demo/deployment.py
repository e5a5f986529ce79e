"""The product deployed into a local account of the demo's own, by the real CDK command line."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcloud import daemon
from localcloud.client import LocalCloud
from localcloud.node import cdk_command
from localcloud.settings import ROOT_SECRET, Settings
from localcloud.state_dir import FOREIGN_VARIABLES, Running, StateDir
from spotproof.clock import Clock
from spotproof.errors import SpotproofError
from spotproof.settings import AwsSettings
from spotproof_cli.deployment import Deployment, connect
from spotproof_cli.target import Target

ROOT: Final = Path(__file__).resolve().parent.parent
STATE_DIR: Final = ROOT / ".localcloud" / "demo"
ASSEMBLY: Final = ROOT / ".build" / "demo.cdk.out"
CDK_DIR: Final = ROOT / ".build" / "node"
PREFIX: Final = "Spotproof"
VCPUS_PER_HOST: Final = 2
# All of one size, so that a worker can take a host for itself.
SMALL_TYPES: Final = tuple(
    f"{family}.large" for family in ("m5", "m5a", "m6i", "m6a", "m7i", "m7a", "r5", "r5a", "r6i", "r6a", "r7i", "c6i")
)
_SHOWN_LINES: Final = 12


class StepFailedError(SpotproofError):
    """A program of the demo failed; the text is the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running local account with the product in it."""

    cloud: LocalCloud
    deployment: Deployment
    environment: Mapping[str, str]  # for AWS command lines


@contextmanager
def local_account(*, seed: int, directory: Path = STATE_DIR) -> Iterator[Running]:
    """A local account that ends with the block, and with this process at the latest."""
    state = StateDir(directory)
    daemon.stop(state)  # of a demo that was killed
    running = daemon.start(Settings(state_dir=str(directory), seed=seed, parent_pid=os.getpid()))
    try:
        yield running
    finally:
        daemon.stop(state)


def synthesize() -> Path:
    """The cloud assembly of `app.py`, for this machine's processor.

    Raises:
        StepFailedError: the app refused; the text says why.
    """
    context = {
        "removal": "destroy",
        "compliance": "none",  # the same resources, not looked at by the rule packs
        "worker_platform": _worker_platform(),
        "instance_types": ",".join(SMALL_TYPES),
    }
    environment = {
        **own_environment(),
        "CDK_OUTDIR": str(ASSEMBLY),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_VALIDATION": "false",  # the tests validate; here it would only take time
    }
    run_program("synthesizing the stacks", [sys.executable, "app.py"], environment)
    return ASSEMBLY


def _worker_platform() -> str:
    is_usual = sys.platform == "linux" and platform.machine() == "x86_64"
    return "manylinux_2_28_x86_64" if is_usual else "host"


def own_environment() -> dict[str, str]:
    """This process's environment without anything that points at a real account, our programs first on PATH."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    programs = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}", "PYTHONUNBUFFERED": "1"}


def deploy(running: Running, assembly: Path, *, clock: Clock) -> Stage:
    """Deploy every stack with `cdk deploy`, and find what was deployed by its outputs.

    Raises:
        StepFailedError: the CDK command line failed.
    """
    command, path = cdk_command(CDK_DIR, own_environment())
    environment = {
        **own_environment(),
        **StateDir(STATE_DIR).client_environment(running),
        "PATH": path,
        "NODE_COMPILE_CACHE": str(CDK_DIR / "compiled"),
    }
    options = ["--all", "--app", str(assembly), "--require-approval", "never", "--no-notices", "--progress", "events"]
    run_program("cdk deploy", [*command, "deploy", *options], environment)
    return stage_in(running, environment, clock=clock)


def stage_in(running: Running, environment: Mapping[str, str], *, clock: Clock) -> Stage:
    """The stage of an account with the product in it, found by the outputs of the stacks.

    Args:
        environment: for programs that are to talk to the account.
    """
    aws = AwsSettings(
        region=running.region,
        endpoint_url=running.endpoint,
        access_key_id=running.account,
        secret_access_key=ROOT_SECRET,
    )
    return Stage(
        cloud=LocalCloud(running.endpoint),
        deployment=connect(Target(aws=aws, prefix=PREFIX), clock),
        environment=environment,
    )


def run_program(what: str, command: list[str], environment: Mapping[str, str]) -> str:
    """Run a program to its end; its standard output.

    Raises:
        StepFailedError: it failed.
    """
    result = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr + result.stdout).strip().splitlines()[-_SHOWN_LINES:]
        raise StepFailedError(f"{what} failed with exit code {result.returncode}:\n  " + "\n  ".join(said))
    return result.stdout
