"""The product's stacks with every family of hosts and shared queues: `python -m tests.local.every_family` synthesizes them."""

import os
from typing import Final

from aws_cdk import App

import app as product
from stacks.bundle import build_bundles
from stacks.compute import ComputeStack
from stacks.events import EventsStack
from stacks.jobs import JobSpec
from stacks.routes import EVENT_ROUTES
from stacks.settings import DeploySettings
from stacks.state import StateStack

MODULE: Final = "batch_jobs.examples.flight_delays"
JOBS: Final = (
    JobSpec(name="flight-delays", module=MODULE, family="fargate", memory_mib=2048),
    JobSpec(name="on-arm", module=MODULE, family="graviton"),
    JobSpec(name="on-gpu", module=MODULE, family="gpu", gpus=1, vcpus=2),
)


def main() -> None:
    app = App(context=product.cdk_flags(), outdir=os.environ["CDK_OUTDIR"])
    settings = DeploySettings.from_context(app.node.get_all_context())
    # No ARM processor here: the wheels of this machine stand in for Graviton's, whose job is deployed and not run.
    bundles = build_bundles(
        product.ROOT, worker_platform=settings.worker_platform, arm64_platform=settings.worker_platform
    )
    state = StateStack(app, settings=settings)
    compute = ComputeStack(app, settings=settings, state=state, jobs=JOBS, bundles=bundles, root=product.ROOT)
    EventsStack(
        app, settings=settings, state=state, compute=compute, jobs=JOBS, routes=EVENT_ROUTES, code=bundles.functions
    )
    app.synth()


if __name__ == "__main__":
    main()
