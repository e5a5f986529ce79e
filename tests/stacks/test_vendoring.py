"""Installing locked wheels for the machine that will run them."""

import os
import stat
from pathlib import Path

import pytest

from spotproof.errors import ConfigurationError
from stacks import vendoring
from stacks.vendoring import Platform

LINUX = Platform(python="3.12", tag="manylinux_2_28_x86_64")
GRAVITON = Platform(python="3.12", tag="manylinux_2_34_aarch64")
HOST = Platform(python="3.12", tag=vendoring.HOST)

FAKE_UV = """#!/bin/sh
[ "$1" = --version ] && exit {version_exit}
echo "$@" > {record}
echo "line one" >&2
echo "error: package not found" >&2
exit {exit}
"""


def fake_uv(directory: Path, monkeypatch: pytest.MonkeyPatch, *, exit_code: int = 0, version_exit: int = 0) -> Path:
    """A program called uv, alone on the path; returns the file with the arguments it got."""
    record = directory / "arguments"
    program = directory / "uv"
    program.write_text(FAKE_UV.format(record=record, exit=exit_code, version_exit=version_exit))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/bin")
    return record


def test_uv_installs_hashed_wheels_for_the_workers_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = fake_uv(tmp_path, monkeypatch)

    vendoring.install(Path("lock.txt"), tmp_path / "target", LINUX)

    arguments = record.read_text()
    assert f"--target {tmp_path / 'target'} --require-hashes --no-deps --only-binary :all: -r lock.txt" in arguments
    assert "--python-platform x86_64-manylinux_2_28 --python-version 3.12" in arguments


def test_uv_installs_for_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = fake_uv(tmp_path, monkeypatch)

    vendoring.install(Path("lock.txt"), tmp_path / "target", GRAVITON)

    assert "--python-platform aarch64-manylinux_2_34 --python-version 3.12" in record.read_text()


def test_a_host_bundle_is_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = fake_uv(tmp_path, monkeypatch)

    vendoring.install(Path("lock.txt"), tmp_path / "target", HOST)

    assert "--python-platform" not in record.read_text()


def test_a_failure_is_one_line_with_what_the_installer_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_uv(tmp_path, monkeypatch, exit_code=1)

    with pytest.raises(ConfigurationError) as caught:
        vendoring.install(Path("lock.txt"), tmp_path / "target", LINUX)

    assert str(caught.value) == (
        "cannot install lock.txt for manylinux_2_28_x86_64 and Python 3.12: line one / error: package not found"
    )


@pytest.mark.parametrize("broken", [True, False])
def test_pip_does_it_where_uv_is_missing_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    if broken:
        fake_uv(tmp_path, monkeypatch, version_exit=127)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    lock = tmp_path / "lock.txt"
    lock.write_text("not-hashed==1\n")

    with pytest.raises(ConfigurationError, match=r"(?i)hash"):  # pip's own refusal: no network is needed for it
        vendoring.install(lock, tmp_path / "target", LINUX)


@pytest.mark.parametrize(("worker", "machine"), [(LINUX, "x86_64"), (GRAVITON, "aarch64")])
def test_pip_takes_wheels_of_older_systems_too(worker: Platform, machine: str) -> None:
    command = vendoring._pip_command(Path("lock.txt"), Path("target"), worker)

    assert "--require-hashes" in command
    assert "--only-binary=:all:" in command
    platforms = [command[at + 1] for at, word in enumerate(command) if word == "--platform"]
    assert platforms[0] == worker.tag
    assert f"manylinux_2_17_{machine}" in platforms
    assert platforms[-1] == f"manylinux2014_{machine}"
