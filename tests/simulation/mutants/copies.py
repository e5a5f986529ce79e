"""Copies of the code under test: one that is compiled once, and from it one for every mutant."""

import compileall
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[3]
PACKAGES: Final = ("spotproof", "lambdas", "batch_jobs", "stacks", "simulation")  # what a simulated world imports


class PatchRefusedError(Exception):
    """The patch does not fit the code any more."""


def copy_code(target: Path) -> None:
    """Sources and data files as they are now, with byte code beside them."""
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=1)


def copy_of(base: Path, target: Path, diff: str) -> Path:
    """A copy of the copy with `diff` applied, if there is one.

    Raises:
        PatchRefusedError: git says why.
    """
    shutil.copytree(base, target, copy_function=os.link)  # git and Python replace files, they don't write into them
    if not diff:
        return target
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(target.parent)}  # no repository above counts
    applied = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        cwd=target,
        env=environment,
        input=diff,
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        raise PatchRefusedError(applied.stderr.strip())
    return target
