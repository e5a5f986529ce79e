"""Bundles: what is in them, what makes a new one, and what is reused."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from spotproof.errors import ConfigurationError
from stacks import bundle, vendoring
from stacks.bundle import Bundle, BundleSpec, build_bundle
from stacks.vendoring import Platform

SPEC = BundleSpec(name="worker", packages=("library", "jobs"), lock="jobs/requirements.txt", aws_services=("s3",))
LINUX = Platform(python="3.12", tag="manylinux_2_28_x86_64")


class FakeInstaller:
    """Stands for pip: writes what a wheel would, and remembers that it was asked."""

    def __init__(self) -> None:
        self.calls: list[Platform] = []
        self.failure: Exception | None = None

    def __call__(self, lock: Path, target: Path, platform: Platform) -> None:
        self.calls.append(platform)
        if self.failure:
            raise self.failure
        for name in (
            "vendored/__init__.py",
            "vendored/__pycache__/a.pyc",
            "bin/tool",
            "vendored-1.dist-info/RECORD",
            "vendored-1.dist-info/METADATA",
            "botocore/data/s3/service.json",
            "botocore/data/ec2/service.json",
            "botocore/data/partitions.json",
            "pyarrow/lib.so",
            "pyarrow/tests/test_all.py",
            "pyarrow/_flight.cpython.so",
        ):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> FakeInstaller:
    fake = FakeInstaller()
    monkeypatch.setattr(vendoring, "install", fake)
    return fake


def make_repository(root: Path, *, reverse: bool = False) -> Path:
    files = {
        "library/__init__.py": "",
        "library/prices.json": "{}",
        "library/__pycache__/x.pyc": "compiled",
        "library/.hidden": "secret",
        "jobs/requirements.in": "vendored",
        "jobs/requirements.txt": "vendored==1",
        "jobs/mine.py": "print('mine')",
        "elsewhere/not_mine.py": "",
    }
    for name, text in sorted(files.items(), reverse=reverse):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def build(root: Path, platform: Platform = LINUX) -> Bundle:
    return build_bundle(SPEC, root=root, platform=platform)


def names(made: Bundle) -> set[str]:
    with zipfile.ZipFile(made.path) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def test_a_bundle_has_our_sources_and_the_trimmed_dependencies(root: Path, installer: FakeInstaller) -> None:
    assert names(build(root)) == {
        "library/__init__.py",
        "library/prices.json",
        "jobs/mine.py",
        "vendored/__init__.py",
        "vendored-1.dist-info/METADATA",
        "botocore/data/s3/service.json",
        "botocore/data/partitions.json",
        "pyarrow/lib.so",
    }


def test_the_second_build_does_nothing(root: Path, installer: FakeInstaller) -> None:
    first = build(root)
    written = first.path.read_bytes()

    assert build(root) == first
    assert first.path.read_bytes() == written
    assert len(installer.calls) == 1


def test_a_changed_source_makes_a_new_bundle_without_installing_again(root: Path, installer: FakeInstaller) -> None:
    before = build(root)
    (root / "jobs/mine.py").write_text("print('changed')")

    after = build(root)

    assert after.digest != before.digest
    assert zipfile.ZipFile(after.path).read("jobs/mine.py") == b"print('changed')"
    assert len(installer.calls) == 1


def test_a_renamed_source_makes_a_new_bundle(root: Path, installer: FakeInstaller) -> None:
    before = build(root)
    (root / "jobs/mine.py").rename(root / "jobs/yours.py")

    assert build(root).digest != before.digest


def test_a_changed_lock_is_installed(root: Path, installer: FakeInstaller) -> None:
    before = build(root)
    (root / "jobs/requirements.txt").write_text("vendored==2")

    assert build(root).digest != before.digest
    assert len(installer.calls) == 2


def test_each_python_and_platform_gets_its_own_dependencies(root: Path, installer: FakeInstaller) -> None:
    others = (LINUX, Platform(python="3.13", tag=LINUX.tag), Platform(python="3.12", tag=vendoring.HOST))

    assert len({build(root, other).digest for other in others}) == 3
    assert installer.calls == list(others)


def test_the_same_inputs_give_the_same_bytes_anywhere(tmp_path: Path, installer: FakeInstaller) -> None:
    here = build(make_repository(tmp_path / "here"))
    there_root = make_repository(tmp_path / "there", reverse=True)
    os.utime(there_root / "jobs/mine.py", (1, 1))
    os.chmod(there_root / "jobs/mine.py", 0o600)
    there = build(there_root)

    assert there.digest == here.digest
    assert there.path.read_bytes() == here.path.read_bytes()


def test_any_user_of_the_container_may_read_the_files(root: Path, installer: FakeInstaller) -> None:
    os.chmod(root / "jobs/mine.py", 0o600)

    with zipfile.ZipFile(build(root).path) as archive:
        assert {entry.external_attr >> 16 & 0o777 for entry in archive.infolist()} == {0o644}


def test_old_bundles_are_forgotten_and_dependencies_are_not(root: Path, installer: FakeInstaller) -> None:
    made = []
    for number in range(bundle.KEPT_PER_NAME + 3):
        (root / "jobs/mine.py").write_text(str(number))
        made.append(build(root).path)
        os.utime(made[-1], (number, number))

    build(root)

    left = sorted((root / bundle.CACHE).glob("worker-*.zip"))
    assert len([path for path in left if "-vendored-" in path.name]) == 1
    assert [path in left for path in made] == [False] * 3 + [True] * bundle.KEPT_PER_NAME


def test_a_failed_installation_leaves_nothing_behind(root: Path, installer: FakeInstaller) -> None:
    installer.failure = ConfigurationError("no network")
    with pytest.raises(ConfigurationError):
        build(root)
    assert list((root / bundle.CACHE).iterdir()) == []

    installer.failure = None
    assert "vendored/__init__.py" in names(build(root))


def test_half_a_bundle_is_never_seen(root: Path, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    build(root)
    (root / "jobs/mine.py").write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "_append", full_disk)
        with pytest.raises(OSError, match="No space"):
            build(root)

    assert not list((root / bundle.CACHE).glob("*.part"))
    assert "jobs/mine.py" in names(build(root))


def test_progress_is_told_once(root: Path, installer: FakeInstaller, capsys: pytest.CaptureFixture[str]) -> None:
    build(root)
    build(root)

    assert capsys.readouterr().err.splitlines() == ["spotproof: installing the worker bundle's dependencies (once) ..."]


def test_byte_code_is_shipped_where_the_same_python_runs_it_and_is_used_whatever_the_file_times(
    root: Path, installer: FakeInstaller, tmp_path: Path
) -> None:
    (root / "library/answer.py").write_text("VALUE = 42\n")
    made = build_bundle(replace(SPEC, compiled=True), root=root, platform=LINUX)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(unpacked)
    # If the byte code were not used, the import would find the broken source.
    (unpacked / "library/answer.py").write_text("this is no Python")

    done = subprocess.run(
        [sys.executable, "-B", "-c", "import library.answer; print(library.answer.VALUE)"],
        cwd=unpacked,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("42\n", "")
