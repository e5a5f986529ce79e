"""Locked requirements: which files there are, how they are compiled, and whether they are in step with their inputs."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
# Each is compiled under the constraints it names with `-c`, so the order is from the bottom up.
GROUPS: Final = ("setup", "base", "node", "local", "demo", "dev", "bench", "ml", "worker", "functions")
_PLACES: Final = {
    "base": "requirements.txt",
    "worker": "batch_jobs/requirements.txt",  # travels in the worker's bundle
    "functions": "lambdas/requirements.txt",  # travels in the Lambdas' bundle
}
_EXCLUDED: Final = {"ml": "requirements-torch.txt"}  # installed before, from wherever the platform's build comes
_STAMP: Final = "# inputs-sha256: "


def lock_path(group: str, root: Path = ROOT) -> Path:
    """The lock file of a group of requirements."""
    return root / _PLACES.get(group, f"requirements-{group}.txt")


def input_path(group: str, root: Path = ROOT) -> Path:
    """What a person edits."""
    return lock_path(group, root).with_suffix(".in")


def inputs_digest(group: str, root: Path = ROOT) -> str:
    """SHA-256 over the group's input and over every lock that constrains it, hexadecimal."""
    digest = hashlib.sha256()
    source = input_path(group, root)
    digest.update(source.read_bytes())
    for line in source.read_text().splitlines():
        if line.startswith("-c "):
            digest.update((source.parent / line.removeprefix("-c ").strip()).read_bytes())
    return digest.hexdigest()


def is_in_step(group: str, root: Path = ROOT) -> bool:
    """Whether the lock was compiled from the inputs as they are now."""
    lock = lock_path(group, root)
    return lock.exists() and lock.read_text().splitlines()[0] == _STAMP + inputs_digest(group, root)


def packages(group: str, root: Path = ROOT) -> tuple[str, ...]:
    """The `name==version` pins of a lock, in its order."""
    lines = lock_path(group, root).read_text().splitlines()
    return tuple(line.split(" ")[0] for line in lines if line[:1].isalnum() and "==" in line)


def compile_lock(group: str, root: Path = ROOT) -> None:
    """Resolve the group for every Python from 3.11 on and write its lock, hashes included.

    Raises:
        subprocess.CalledProcessError: uv refused; its own text is on standard error.
    """
    lock, source = lock_path(group, root), input_path(group, root)
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--no-emit-index-url", "--output-file", str(lock.relative_to(root))]
    if group in _EXCLUDED:
        command += ["--excludes", _EXCLUDED[group]]
    subprocess.run([*command, str(source.relative_to(root))], cwd=root, check=True)
    lock.write_text(
        f"{_STAMP}{inputs_digest(group, root)}\n# Compiled by `make lock`; edit the .in file.\n" + _body(lock)
    )


def _body(lock: Path) -> str:
    lines = lock.read_text().splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[first:])


def main() -> int:
    """`python -m tools.locks`: compile every lock again."""
    for group in GROUPS:
        print(f"locking {input_path(group).relative_to(ROOT)} …", flush=True)
        compile_lock(group)
        print(f"  {len(packages(group))} packages", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
