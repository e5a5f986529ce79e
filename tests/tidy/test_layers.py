"""Imports point down only."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.mark.slow
def test_every_import_contract_is_kept() -> None:
    result = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    for package in (
        "spotproof",
        "lambdas",
        "batch_jobs",
        "stacks",
        "spotproof_cli",
        "localcloud",
        "demo",
        "simulation",
    ):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "spotproof" / "leases" / "model.py").open("a") as module:
        module.write("\nimport spotproof.commits  # points up\n")

    result = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "spotproof.leases.model -> spotproof.commits" in result.stdout
