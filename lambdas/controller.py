"""The scheduled controller: finds and repairs whatever an event should have caused but did not, and steers capacity."""

from functools import cache
from typing import Any

from lambdas.controlling.parts import Parts
from lambdas.controlling.round import RESERVE_S, Round
from lambdas.controlling.tending import ANNOUNCE_EVERY_S, Controller
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry
from lambdas.wiring import PATIENCE_S, Wiring, wire
from spotproof import events
from spotproof.checkpoints.garbage_sweep import Sweeper, SweepPace
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.leases.closing import StripeCloser
from spotproof.leases.requeue import Requeuer

SERVICE = "controller"


def build(wiring: Wiring, pace: SweepPace | None = None) -> Controller:
    """`pace`: how often orphans are looked for, if not as usual."""
    parts = Parts(wiring)
    return Controller(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        closer=StripeCloser(wiring.store),
        stuck=parts.stuck,
        steering=parts.steering(),
        run_events=parts.run_events,
        sweeper=Sweeper(
            store=wiring.store,
            objects=S3ObjectStore(client=wiring.clients.s3, bucket=wiring.settings.work_bucket, retrier=wiring.retrier),
            clock=wiring.clock,
            pace=pace,
        ),
        clock=wiring.clock,
        announce_every_s=ANNOUNCE_EVERY_S,
    )


def handle(
    wiring: Wiring,
    flow: Controller,
    telemetry: Telemetry,
    event: dict[str, Any],  # noqa: ARG001 - a schedule says nothing
    context: Context,
) -> dict[str, Any]:
    remaining_s = context.get_remaining_time_in_millis() / 1000
    wiring.begin(budget_s=max(PATIENCE_S / 2, remaining_s - RESERVE_S / 2))
    done = flow.tend_all(deadline=wiring.clock.monotonic() + remaining_s, telemetry=telemetry)
    _count(done, telemetry)
    facts = done.facts()
    telemetry.info(events.CONTROLLER_RAN, **facts)
    for failure in done.failures:
        telemetry.error(events.CONTROLLER_FAILED, error=failure)
    return facts


def _count(done: Round, telemetry: Telemetry) -> None:
    telemetry.count(events.METRIC_CONTROLLER_HEARTBEAT)
    if done.is_idle:
        return  # a metric is paid for in every hour in which it was written, also as a zero
    telemetry.count(events.METRIC_SESSIONS_RESCUED, done.rescued)
    telemetry.count(events.METRIC_SHARDS_REQUEUED, done.requeued)
    telemetry.count(events.METRIC_WORKERS_REPLACED, done.topped_up)
    telemetry.count(events.METRIC_ORPHANS_DELETED, done.orphans)
    telemetry.count(events.METRIC_ON_DEMAND_ADDED, done.on_demand_added)
    telemetry.count(events.METRIC_ON_DEMAND_RETIRED, done.on_demand_retired)
    telemetry.count(events.METRIC_RUNS_PAUSED, done.paused)
    telemetry.count(events.METRIC_WORKERS_WAITING, done.waiting)
    telemetry.count(events.METRIC_WORKERS_STUCK, done.stuck)
    telemetry.count(events.METRIC_POOLS_OPEN, done.pools_open)
    telemetry.count(events.METRIC_CONTROLLER_FAILURES, len(done.failures))
    telemetry.count(events.METRIC_SHARDS_QUARANTINED, done.quarantined)
    if done.looked:
        done.gauges.count(telemetry)


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> Controller:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
