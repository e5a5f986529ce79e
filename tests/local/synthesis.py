"""Cloud assemblies of the product, synthesized once for each state of their sources."""

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcloud.node import find_node

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / ".build" / "local-tests.cdk.out"
KEPT_OUT = ROOT / ".build" / "local-tests-kept.cdk.out"
SOURCES = ("stacks", "lambdas", "batch_jobs", "spotproof", "app.py", "cdk.json", "requirements.txt")


def synthesized() -> Path:
    """The assembly of `app.py` as it is now."""
    return synthesized_by("app.py", out=OUT, context={}, sources=SOURCES)


def synthesized_kept() -> Path:
    """The same, as a user deploys it who says nothing else: a destroy keeps the data."""
    return synthesized_by("app.py", out=KEPT_OUT, context={"removal": "retain"}, sources=SOURCES)


def synthesized_by(*program: str, out: Path, context: Mapping[str, str], sources: Sequence[str]) -> Path:
    """The assembly that `python <program>` writes, made anew only if one of the sources has changed.

    Args:
        context: of the CDK app, besides what every local account needs.
        sources: files and directories below the repository.
    """
    digest = _digest(sources)
    stamp = out.with_suffix(".digest")
    with _alone(out.with_suffix(".lock")):
        if not (stamp.exists() and stamp.read_text() == digest and (out / "manifest.json").exists()):
            _synthesize(program, out, context)
            stamp.write_text(digest)
    return out


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _synthesize(program: Sequence[str], out: Path, context: Mapping[str, str]) -> None:
    node = find_node()
    usual = sys.platform == "linux" and platform.machine() == "x86_64"
    needed = {
        "removal": "destroy",
        "compliance": "none",  # the same resources; the rule packs have tests of their own
        "worker_platform": "manylinux_2_28_x86_64" if usual else "host",
    }
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{node.path_variable(os.environ)}",
        "JSII_NODE": str(node.program),
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps({**needed, **context}),
        "CDK_VALIDATION": "false",
    }
    result = subprocess.run(
        [sys.executable, *program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(program)} does not synthesize:\n{result.stderr[-3000:]}"


def _digest(sources: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in sources:
        top = ROOT / name
        for path in sorted(top.rglob("*.*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(ROOT).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
