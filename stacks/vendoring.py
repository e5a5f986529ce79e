"""Locked dependencies installed into a directory, without Docker: wheels only, for the machine that will run them."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spotproof.errors import ConfigurationError

HOST = "host"  # platform of this machine, for a local account that is not x86_64 Linux
INSTALL_TIMEOUT_S = 900
ERROR_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Who will run the code: a Python version such as "3.11", and a wheel platform tag or HOST."""

    python: str
    tag: str


def host_python() -> str:
    """X.Y of this interpreter."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def install(lock: Path, target: Path, platform: Platform) -> None:
    """Put the packages of a hashed lock file into `target`.

    Raises:
        ConfigurationError: if the installer fails; the text has its last lines.
    """
    command = _uv_command(lock, target, platform) if _has_uv() else _pip_command(lock, target, platform)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"installing {lock} took over {INSTALL_TIMEOUT_S} s; check the network") from None
    if done.returncode != 0:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-ERROR_LINES:])
        raise ConfigurationError(f"cannot install {lock} for {platform.tag} and Python {platform.python}: {said}")


def _has_uv() -> bool:
    """Whether a uv that works is on the path; a version manager's shim may be there without one behind it."""
    found = shutil.which("uv")
    return bool(found) and subprocess.run([str(found), "--version"], capture_output=True, check=False).returncode == 0


def _uv_command(lock: Path, target: Path, platform: Platform) -> list[str]:
    command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)]
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)]
    if platform.tag != HOST:
        libc, minor, machine = _parts(platform.tag)
        command += ["--python-platform", f"{machine}-{libc}_{minor}", "--python-version", platform.python]
    return command


def _pip_command(lock: Path, target: Path, platform: Platform) -> list[str]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target)]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(lock)]
    if platform.tag != HOST:
        for tag in _older_tags(platform.tag):
            command += ["--platform", tag]
        command += ["--implementation", "cp", "--python-version", platform.python]
    return command


def _older_tags(tag: str) -> list[str]:
    """The tag and those of older systems, whose wheels run too; pip takes each literally."""
    libc, minor, machine = _parts(tag)
    return [f"{libc}_{older}_{machine}" for older in range(minor, 16, -1)] + [f"manylinux2014_{machine}"]


def _parts(tag: str) -> tuple[str, int, str]:
    """A tag such as manylinux_2_28_aarch64 as C library and its major version, minor version, processor (PEP 600)."""
    name, major, minor, machine = tag.split("_", 3)
    return f"{name}_{major}", int(minor), machine


# What no worker or function imports. pyarrow's own clients of S3, GCS, Azure, HDFS and Flight are most of its size;
# zstandard comes with two backends, of which CPython takes the other.
# libarrow_python is there three times, because a wheel holds no symbolic links; the one that is linked to stays.
UNUSED = (
    "bin",
    ".lock",  # uv's
    "**/__pycache__",
    "*.dist-info/RECORD",  # names the installer and its files: not the same on every machine
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_*.json",
    "pyarrow/tests",
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/src",
    "pyarrow/**/*.pxd",
    "pyarrow/**/*.pxi",
    "pyarrow/**/*.pyx",
    "pyarrow/_flight.*",
    "pyarrow/_s3fs.*",
    "pyarrow/_gcsfs.*",
    "pyarrow/_azurefs.*",
    "pyarrow/_hdfs.*",
    "pyarrow/_orc.*",
    "pyarrow/_dataset_orc.*",
    "pyarrow/_substrait.*",
    "pyarrow/_parquet_encryption.*",
    "pyarrow/_dataset_parquet_encryption.*",
    "pyarrow/_pyarrow_cpp_tests.*",
    "pyarrow/libarrow_flight.*",
    "pyarrow/libarrow_s3.*",
    "pyarrow/libarrow_python_flight.*",
    "pyarrow/libarrow_python_parquet_encryption.*",
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*.*",
    "numpy/**/tests",
    "numpy/**/*.a",
    "numpy/_core/include",
    "numpy/distutils",
    "numpy/f2py",
    "zstandard/_cffi.*",
    "zstandard/backend_cffi.py",
)


def trim(target: Path, *, aws_services: Sequence[str]) -> None:
    """Remove what is never used: see UNUSED, and botocore's models of other AWS services."""
    for pattern in UNUSED:
        for path in sorted(target.glob(pattern)):
            _remove(path)
    models = target / "botocore" / "data"
    for path in sorted(models.iterdir()) if models.is_dir() else ():
        if path.is_dir() and path.name not in aws_services:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
