"""The real CDK CLI against the account."""

import os
import subprocess
from pathlib import Path

import pytest

from localcloud.deploy import deploy, deploy_with_cdk, run_cdk
from tests.local.account import TestAccount
from tests.local.later_version import later_version
from tests.local.small_assembly import COMPUTE_STACK, STATE_STACK, write_small_assembly
from tests.local.synthesis import SOURCES, synthesized, synthesized_by

CDK_DIRECTORY = Path(__file__).parent.parent.parent / ".build" / "node"

pytestmark = pytest.mark.slow


def test_the_cdk_cli_deploys_what_boto3_then_finds_unchanged(cloud: TestAccount, tmp_path: Path) -> None:
    assembly = write_small_assembly(tmp_path)

    with_cdk = deploy_with_cdk(cloud.state, cloud.running, assembly, os.environ, cdk_directory=CDK_DIRECTORY)
    again = deploy(cloud.running, assembly)

    assert [stack.name for stack in with_cdk] == [STATE_STACK, COMPUTE_STACK]
    assert {stack.outcome for stack in again} == {"unchanged"}
    assert with_cdk[1].outputs == again[1].outputs


def _diff(account: TestAccount, assembly: Path) -> "subprocess.CompletedProcess[str]":
    return run_cdk(
        account.state,
        account.running,
        assembly,
        os.environ,
        "diff",
        "--fail",
        "--no-color",
        cdk_directory=CDK_DIRECTORY,
    )


def test_cdk_diff_after_no_change_is_empty(deployed: TestAccount) -> None:
    found = _diff(deployed, synthesized())

    assert found.returncode == 0, found.stdout + found.stderr
    assert "Number of stacks with differences: 0" in found.stderr + found.stdout


def test_cdk_diff_shows_a_changed_job_definition_launch_template_and_function(
    deployed: TestAccount, tmp_path: Path
) -> None:
    found = _diff(deployed, later_version(synthesized(), tmp_path / "later"))

    text = found.stdout + found.stderr
    assert found.returncode == 1, text
    assert all(
        f"[~] AWS::{kind}" in text for kind in ("Batch::JobDefinition", "EC2::LaunchTemplate", "Lambda::Function")
    )


def test_two_syntheses_of_the_same_sources_are_the_same_to_the_byte(tmp_path: Path) -> None:
    first = synthesized()
    second = synthesized_by("app.py", out=tmp_path / "again", context={}, sources=SOURCES)

    assert _contents(second) == _contents(first)


def _contents(assembly: Path) -> dict[str, bytes]:
    """Every file that is deployed, by name: not the construct tree and where each construct was made in the code."""
    return {
        path.relative_to(assembly).as_posix(): path.read_bytes()
        for path in assembly.rglob("*")
        if path.is_file() and path.name != "tree.json" and not path.name.endswith(".metadata.json")
    }
