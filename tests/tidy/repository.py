"""The files of this repository, as git lists them."""

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT_PACKAGES: Final = (
    "spotproof",
    "spotproof_cli",
    "lambdas",
    "batch_jobs",
    "stacks",
    "localcloud",
    "demo",
    "tools",
)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks, or would track when added, and that still exists."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


@cache
def product_modules() -> tuple[Path, ...]:
    """The Python files that people install or run, tests left out."""
    return tuple(
        path
        for path in tracked_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in (*PRODUCT_PACKAGES, "app.py")
    )


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(), filename=str(path))


def relative(path: Path) -> str:
    """The path as people name it."""
    return path.relative_to(ROOT).as_posix()
