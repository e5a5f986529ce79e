"""The deployed system on one page. Synthesising it needs no AWS account, no Docker and no look-up."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from aws_cdk import App, CfnOutput, Stack, Tags

from spotproof import contract
from spotproof.errors import SpotproofError
from stacks.budget import BudgetStack
from stacks.bundle import Bundles, build_bundles
from stacks.compliance import RulePacks
from stacks.compute import ComputeStack, check_jobs
from stacks.events import EventsStack
from stacks.game_days import STOPS_GAME_DAYS, GameDaysStack
from stacks.jobs import JOBS
from stacks.monitoring.stack import MonitoringStack
from stacks.routes import EVENT_ROUTES
from stacks.settings import DeploySettings
from stacks.state import StateStack

ROOT = Path(__file__).resolve().parent


def build(app: App, *, settings: DeploySettings, bundles: Bundles) -> None:
    """The stacks: what must not be lost, what runs, what reacts, what tells people, and what rehearses."""
    state = StateStack(app, settings=settings)
    compute = ComputeStack(app, settings=settings, state=state, jobs=JOBS, bundles=bundles, root=ROOT)
    events = EventsStack(
        app,
        settings=settings,
        state=state,
        compute=compute,
        jobs=JOBS,
        routes=EVENT_ROUTES,
        code=bundles.functions,
    )
    monitoring = MonitoringStack(app, settings=settings, state=state, compute=compute, events=events)
    GameDaysStack(app, settings=settings, stop_alarms=[monitoring.alarms[name] for name in STOPS_GAME_DAYS])
    if settings.monthly_budget_usd:
        BudgetStack(app, settings=settings)
    for stack in app.node.children:
        if isinstance(stack, Stack):
            CfnOutput(stack, contract.OUTPUT_VERSION, value=contract.VERSION)
    for name, value in settings.tags:
        Tags.of(app).add(name, value)


def cdk_flags() -> dict[str, Any]:
    """The feature flags of cdk.json, which only the CDK CLI reads by itself: `python app.py` must mean the same.

    They are those of `cdk init`, but for three. Cross-stack references are "strong" (exports): a "weak" one lets an
    output vanish under the stack that reads it, and is a newer intrinsic that not every tool knows. The default security
    group stays as it is: changing it takes a custom resource, and nothing uses it. No construct metadata is collected.
    """
    flags: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return flags


def main() -> int:
    app = App(context=cdk_flags(), outdir=os.environ.get("CDK_OUTDIR") or str(ROOT / "cdk.out"))
    try:
        region = os.environ.get("CDK_DEFAULT_REGION", "")  # from the CDK CLI, which knows it; `python app.py` does not
        settings = DeploySettings.from_context(app.node.get_all_context(), region=region)
        check_jobs(settings, JOBS, root=ROOT)
        build(
            app,
            settings=settings,
            bundles=build_bundles(
                ROOT, worker_platform=settings.worker_platform, arm64_platform=settings.arm64_platform
            ),
        )
    except SpotproofError as error:
        sys.stderr.write(f"spotproof: {error}\n")
        return 3
    packs = RulePacks(app, settings=settings)
    try:
        app.synth()
    except RuntimeError:
        if not packs.findings:
            raise
        sys.stderr.writelines(f"spotproof: {finding}\n" for finding in packs.findings)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
