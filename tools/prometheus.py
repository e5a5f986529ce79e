"""Prometheus and promtool for tests, unpacked from the Debian package into .build: nothing is installed, no root needed."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DIRECTORY: Final = ROOT / ".build" / "prometheus"
PACKAGE: Final = "prometheus"
NEEDED: Final = ("apt-get", "dpkg-deb")  # on every Debian and Ubuntu
TIMEOUT_S: Final = 240.0


class PrometheusMissingError(Exception):
    """There is no Prometheus and none can be had; the text is one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """Where the programs are."""

    server: Path
    promtool: Path


def installed() -> Prometheus | None:
    """Those of an earlier fetch, or of this system; None if there are none."""
    for directory in (DIRECTORY / "root" / "usr" / "bin", *_on_path()):
        found = Prometheus(server=directory / "prometheus", promtool=directory / "promtool")
        if found.server.is_file() and found.promtool.is_file():
            return found
    return None


def is_debian() -> bool:
    """Whether this system's packages are Debian's or Ubuntu's."""
    return platform.system() == "Linux" and all(shutil.which(name) for name in NEEDED)


def fetch() -> Prometheus:
    """The programs, downloaded if need be.

    apt checks the package's SHA-256 against the package list, and the list against the distribution's keys. Where this
    system has no lists, or may not be written to, apt keeps its own below .build.

    Raises:
        PrometheusMissingError: this is no Debian, or the package can't be downloaded or unpacked.
    """
    found = installed()
    if found is not None:
        return found
    if not is_debian():
        raise PrometheusMissingError("no Prometheus on the PATH, and no Debian to take one from: install prometheus")
    downloads = DIRECTORY / "download"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    package = _download(downloads)
    shutil.rmtree(DIRECTORY / "apt", ignore_errors=True)
    unpacked = DIRECTORY / "root"
    shutil.rmtree(unpacked, ignore_errors=True)
    _run(["dpkg-deb", "--extract", str(package), str(unpacked)])
    shutil.rmtree(downloads)
    found = installed()
    if found is None:
        raise PrometheusMissingError(f"the package {package.name} holds no prometheus and promtool")
    return found


def _download(downloads: Path) -> Path:
    """The package file: by the system's lists, or else by lists of our own."""
    try:
        _run(["apt-get", "download", PACKAGE], cwd=downloads)
    except PrometheusMissingError:
        own = _own_lists(DIRECTORY / "apt")
        _run(["apt-get", *own, "update"])
        _run(["apt-get", *own, "download", PACKAGE], cwd=downloads)
    return next(iter(downloads.glob("*.deb")))


def _own_lists(directory: Path) -> list[str]:
    """Options that keep everything apt writes below the directory."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "state" / "status").touch()
    settings = {
        "Dir::State": directory / "state",
        "Dir::State::status": directory / "state" / "status",
        "Dir::Cache": directory / "cache",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise PrometheusMissingError(f"{' '.join(command)}: nothing after {TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        raise PrometheusMissingError(f"{' '.join(command)}: {said[-1]}")


def _on_path() -> list[Path]:
    found = shutil.which("prometheus")
    return [Path(found).parent] if found else []


def main() -> int:
    """`python -m tools.prometheus`: fetch it, and say where it is."""
    try:
        found = fetch()
    except PrometheusMissingError as error:
        print(f"prometheus: {error}", file=sys.stderr)
        return 1
    print(found.server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
