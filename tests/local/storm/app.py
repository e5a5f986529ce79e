"""The product's stacks with the storm's job in place of the examples: `python -m tests.local.storm.app` synthesizes them.

Its bundle has no pyarrow, which the job does not need: a worker that is killed every few seconds starts sooner without it.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from aws_cdk import App
from aws_cdk.aws_s3 import CfnBucket

import app as product
from stacks import bundle, vendoring
from stacks.bundle import Bundles, build_bundle
from stacks.compute import ComputeStack
from stacks.events import EventsStack
from stacks.jobs import JobSpec
from stacks.routes import EVENT_ROUTES
from stacks.settings import DeploySettings
from stacks.state import StateStack

JOB: Final = "tally"
# A whole host of the smallest types, so that each blow strikes one worker.
TALLY: Final = JobSpec(name=JOB, module="tests.local.storm.job.tally", vcpus=2, memory_mib=1000)
LOCK: Final = Path(".build") / "storm-requirements.txt"


def lock_without(package: str, lock: str) -> str:
    """A hashed lock file without one of its packages: its line, the hashes and the comments below it."""
    kept, skipping = [], False
    for line in lock.splitlines():
        if not line.startswith((" ", "#")):
            skipping = line.startswith(f"{package}==")
        if not skipping:
            kept.append(line)
    return "\n".join(kept) + "\n"


def build_bundles(root: Path, *, platform: str) -> Bundles:
    """The worker's bundle with the storm's job, and the functions' as they are."""
    (root / LOCK).write_text(lock_without("pyarrow", (root / bundle.WORKER.lock).read_text()))
    python = vendoring.host_python()
    worker = replace(
        bundle.WORKER,
        name="storm",
        packages=(*bundle.WORKER.packages, "tests/local/storm/job"),
        lock=LOCK.as_posix(),
    )
    return Bundles(
        worker=build_bundle(worker, root=root, platform=vendoring.Platform(python=python, tag=platform)),
        functions=build_bundle(
            bundle.FUNCTIONS, root=root, platform=vendoring.Platform(python=python, tag=vendoring.HOST)
        ),
        worker_python=python,
    )


def name_buckets(state: StateStack) -> None:
    """Names that stay: after the loss of the whole account its objects come back where the table says they are."""
    for bucket, name in ((state.data_bucket, "storm-data"), (state.work_bucket, "storm-work")):
        resource = cast(CfnBucket, bucket.node.default_child)
        resource.bucket_name = name


def main() -> None:
    app = App(context=product.cdk_flags(), outdir=os.environ["CDK_OUTDIR"])
    settings = DeploySettings.from_context(app.node.get_all_context())
    bundles = build_bundles(product.ROOT, platform=settings.worker_platform)
    state = StateStack(app, settings=settings)
    name_buckets(state)
    compute = ComputeStack(app, settings=settings, state=state, jobs=(TALLY,), bundles=bundles, root=product.ROOT)
    EventsStack(
        app,
        settings=settings,
        state=state,
        compute=compute,
        jobs=(TALLY,),
        routes=EVENT_ROUTES,
        code=bundles.functions,
    )
    app.synth()


if __name__ == "__main__":
    main()
