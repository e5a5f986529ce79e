"""The product's stacks with wrapped programs as their jobs: `python -m tests.local.wrapped.app` synthesizes them."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

from aws_cdk import App

import app as product
from stacks import bundle, vendoring
from stacks.bundle import Bundles, build_bundle
from stacks.compute import ComputeStack
from stacks.events import EventsStack
from stacks.jobs import JobSpec
from stacks.routes import EVENT_ROUTES
from stacks.settings import DeploySettings
from stacks.state import StateStack
from tests.local.storm.app import LOCK, lock_without

PROGRAMS: Final = Path(".build") / "wrapped-programs"  # travels in the bundle
SOURCES: Final = Path("tests/local/wrapped/programs")
JOBS: Final = (
    JobSpec(
        name="steps",
        command=(f"{PROGRAMS}/steps", "$SPOTPROOF_INPUT", "${SPOTPROOF_OUTPUT_DIR}/steps.txt"),
        vcpus=2,  # a whole host of the smallest types: who loses the host loses one worker
        memory_mib=1000,
    ),
    JobSpec(name="ledger", command=("sh", f"$SPOTPROOF_CODE_DIR/{PROGRAMS}/ledger.sh"), vcpus=2, memory_mib=1000),
)


def make_programs(root: Path) -> None:
    """Compile the C program, copy the script."""
    (root / PROGRAMS).mkdir(parents=True, exist_ok=True)
    target = root / PROGRAMS / "steps"
    subprocess.run(["gcc", "-O2", "-o", f"{target}.new", str(root / SOURCES / "steps.c")], check=True)
    Path(f"{target}.new").replace(target)
    shutil.copyfile(root / SOURCES / "ledger.sh", root / PROGRAMS / "ledger.sh")


def build_bundles(root: Path, *, platform: str) -> Bundles:
    """The worker's bundle with the programs, and the functions' as they are."""
    (root / LOCK).write_text(lock_without("pyarrow", (root / bundle.WORKER.lock).read_text()))
    python = vendoring.host_python()
    worker = replace(
        bundle.WORKER, name="wrapped", packages=(*bundle.WORKER.packages, PROGRAMS.as_posix()), lock=LOCK.as_posix()
    )
    return Bundles(
        worker=build_bundle(worker, root=root, platform=vendoring.Platform(python=python, tag=platform)),
        functions=build_bundle(
            bundle.FUNCTIONS, root=root, platform=vendoring.Platform(python=python, tag=vendoring.HOST)
        ),
        worker_python=python,
    )


def main() -> None:
    make_programs(product.ROOT)
    app = App(context=product.cdk_flags(), outdir=os.environ["CDK_OUTDIR"])
    settings = DeploySettings.from_context(app.node.get_all_context())
    bundles = build_bundles(product.ROOT, platform=settings.worker_platform)
    state = StateStack(app, settings=settings)
    compute = ComputeStack(app, settings=settings, state=state, jobs=JOBS, bundles=bundles, root=product.ROOT)
    EventsStack(
        app, settings=settings, state=state, compute=compute, jobs=JOBS, routes=EVENT_ROUTES, code=bundles.functions
    )
    app.synth()


if __name__ == "__main__":
    main()
