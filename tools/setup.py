"""Brings a working copy up: virtual environment, locked packages by group, Node and the CDK command line."""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools import locks, node_runtime

_BASE: Final = ("base",)
PURPOSES: Final[dict[str, tuple[str, ...]]] = {
    "demo": (*_BASE, "local", "demo"),
    "dev": (*_BASE, "local", "demo", "dev"),
    "bench": (*_BASE, "local", "demo", "dev", "bench"),
    "ml": ("ml",),
}
_OWN_ENVIRONMENTS: Final = {"ml": ".venv-ml"}  # gigabytes, or versions, that nobody else should install
_NETWORK_SIGNS: Final = (
    "error sending request",
    "dns error",
    "connect error",
    "failed to fetch",
    "connection refused",
    "network is unreachable",
    "name resolution",
    "newconnectionerror",
    "max retries exceeded",
    "no matching distribution found",
    "enotfound",
    "eai_again",
    "econnrefused",
    "etimedout",
)


class SetupError(Exception):
    """Set-up can't go on; the text is one line that says what to do."""


def explain(step: str, output: str, log: Path) -> str:
    """One line for a failed step: the network if its output looks like that, else where to read more."""
    lowered = output.lower()
    if any(sign in lowered for sign in _NETWORK_SIGNS):
        return (
            f"{step} could not reach the package registry; the first run needs the network (later runs do not): "
            f"check the connection or the proxy and run make again (details: {log})"
        )
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no output")
    return f"{step} failed: {last[:200]} (details: {log})"


class WorkingCopy:
    """The working copy's own environment. Every step is skipped when its stamp shows that nothing changed."""

    def __init__(self, root: Path, environment: str = ".venv") -> None:
        self.root = root
        self.venv = root / environment
        self.stamps = self.venv / ".spotproof"
        self.log = root / ".build" / "setup.log"
        self.node_dir = root / ".build" / "node"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def bring_up(self, purpose: str) -> None:
        """Install what `purpose` needs.

        Raises:
            SetupError: a step failed.
        """
        self._make_venv()
        self._install_uv()
        if purpose == "ml":
            self._install_torch()
            self._install_groups(PURPOSES[purpose], "--no-deps")  # the lock is complete but for torch
            return
        groups = list(PURPOSES[purpose])
        system_node = node_runtime.system_node()
        if system_node is None:
            groups.insert(1, "node")
        self._install_groups(groups)
        self._install_cdk(system_node)

    def _make_venv(self) -> None:
        if self.python.exists() and self._is_new_enough():
            return
        version = ".".join(map(str, sys.version_info[:3]))
        self._say(f"making {self.venv.name} with Python {version} …")
        advice = f"making {self.venv.name} (on Debian and Ubuntu: apt install python3-venv)"
        self._run(advice, [sys.executable, "-m", "venv", "--clear", str(self.venv)])

    def _is_new_enough(self) -> bool:
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        return subprocess.run([self.python, "-c", check], capture_output=True, check=False).returncode == 0

    def _install_uv(self) -> None:
        if self._is_stamped("setup"):
            return
        self._say("installing the installer (uv) …")
        lock = locks.lock_path("setup", self.root)
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._run("installing uv", [*command, "--require-hashes", "-r", str(lock)])
        self._stamp("setup")

    def _install_torch(self) -> None:
        if self._is_stamped("torch"):
            return
        self._say("installing torch …")
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._run("installing torch", [*command, "-r", str(locks.lock_path("torch", self.root))])
        self._stamp("torch")

    def _install_groups(self, groups: Sequence[str], *options: str) -> None:
        missing = [group for group in groups if not self._is_stamped(group)]
        if not missing:
            return
        count = len({name for group in missing for name in locks.packages(group, self.root)})
        self._say(f"installing {count} packages ({', '.join(missing)}) …")
        files = [part for group in missing for part in ("-r", str(locks.lock_path(group, self.root)))]
        command = [str(self.python), "-m", "uv", "pip", "install", "--python", str(self.python), "--quiet"]
        self._run("installing packages", [*command, "--require-hashes", *options, *files])
        for group in missing:
            self._stamp(group)

    def _install_cdk(self, system_node: node_runtime.Node | None) -> None:
        lock = self.root / "tools" / "node" / "package-lock.json"
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        stamp = self.node_dir / "installed.sha256"
        if stamp.exists() and stamp.read_text() == digest:
            return
        node = system_node or node_runtime.packaged_node(self._site_packages())
        if node is None:
            raise SetupError("no Node 22 or newer was found or installed: remove .venv and run make again")
        self._say("installing the CDK command line …")
        self.node_dir.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock.with_name(name), self.node_dir / name)
        command = [*node.npm_command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        self._run("installing the CDK command line", command, cwd=self.node_dir)
        stamp.write_text(digest)

    def _site_packages(self) -> Path:
        return next((self.venv / "lib").glob("python3.*/site-packages"))

    def _is_stamped(self, group: str) -> bool:
        stamp = self.stamps / group
        return stamp.exists() and stamp.read_text() == self._digest(group)

    def _stamp(self, group: str) -> None:
        self.stamps.mkdir(parents=True, exist_ok=True)
        (self.stamps / group).write_text(self._digest(group))

    def _digest(self, group: str) -> str:
        return hashlib.sha256(locks.lock_path(group, self.root).read_bytes()).hexdigest()

    def _run(self, step: str, command: Sequence[str], cwd: Path | None = None) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            command, cwd=cwd or self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}\n")
        if result.returncode != 0:
            raise SetupError(explain(step, result.stdout, self.log.relative_to(self.root)))

    def _say(self, line: str) -> None:
        print(f"set-up: {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tools.setup PURPOSE`: exit 0, or 1 with one line of advice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("purpose", choices=sorted(PURPOSES))
    purpose = parser.parse_args(arguments).purpose
    try:
        WorkingCopy(locks.ROOT, _OWN_ENVIRONMENTS.get(purpose, ".venv")).bring_up(purpose)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: stopped; run make again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
