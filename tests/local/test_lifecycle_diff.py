"""`cdk diff` by the real CDK CLI: nothing after no change, each changed thing after a change."""

import os
import subprocess
from pathlib import Path

import pytest

from localcloud.deploy import run_cdk
from tests.local.account import TestAccount
from tests.local.later_version import later_version
from tests.local.synthesis import ROOT, SOURCES, synthesized, synthesized_by

CDK_DIRECTORY = ROOT / ".build" / "node"

pytestmark = pytest.mark.slow


def _diff(account: TestAccount, assembly: Path) -> "subprocess.CompletedProcess[str]":
    return run_cdk(
        account.state, account.running, assembly, os.environ, "diff", "--fail", "--no-color",
        cdk_directory=CDK_DIRECTORY,
    )  # fmt: skip


def test_a_diff_after_no_change_is_empty(deployed: TestAccount) -> None:
    found = _diff(deployed, synthesized())

    assert found.returncode == 0, found.stdout + found.stderr
    assert "Number of stacks with differences: 0" in found.stderr + found.stdout


def test_a_diff_shows_a_changed_job_definition_launch_template_and_function(
    deployed: TestAccount, tmp_path: Path
) -> None:
    found = _diff(deployed, later_version(synthesized(), tmp_path / "later"))

    text = found.stdout + found.stderr
    assert found.returncode == 1, text
    assert all(
        f"[~] AWS::{kind}" in text for kind in ("Batch::JobDefinition", "EC2::LaunchTemplate", "Lambda::Function")
    )


def test_two_syntheses_of_the_same_sources_are_the_same_to_the_byte(tmp_path: Path) -> None:
    first = _contents(synthesized())  # beside what earlier syntheses left there
    second = _contents(synthesized_by("app.py", out=tmp_path / "again", context={}, sources=SOURCES))

    assert {name: first.get(name) for name in second} == second


def _contents(assembly: Path) -> dict[str, bytes]:
    """Every file that is deployed, by name: not the construct tree and where each construct was made in the code."""
    return {
        path.relative_to(assembly).as_posix(): path.read_bytes()
        for path in assembly.rglob("*")
        if path.is_file() and path.name != "tree.json" and not path.name.endswith(".metadata.json")
    }
