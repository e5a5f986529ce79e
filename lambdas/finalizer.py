"""A run is finished: publish, write `_SUCCESS`, end it, clean up, say what it cost."""

from functools import cache
from typing import Any, Final

from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import PATIENCE_S, Wiring, wire
from spotproof import events
from spotproof.checkpoints.garbage_deletion import BulkDeletion
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.commits.buckets import DEFAULT_SIZES, PartSizes, S3OutputBuckets
from spotproof.commits.cleanup import RunCleanup, S3DoneTags
from spotproof.commits.finalizer import Finalized, Finalizer, FinalizeResult
from spotproof.costs.prices import EC2SpotPrices, load_on_demand_prices
from spotproof.errors import RunNotFoundError
from spotproof.interruptions.eventbridge import parse_run_finished
from spotproof.leases.model import RunId

SERVICE = "finalizer"
RESERVE_S: Final = 20.0  # of the invocation's time: to write the manifest, end the run and clean up


def build(wiring: Wiring, in_parts: PartSizes = DEFAULT_SIZES) -> Finalizer:
    """`in_parts`: from which size on files are copied in parts."""
    work_bucket = wiring.settings.work_bucket
    buckets = S3OutputBuckets(client=wiring.clients.s3, work_bucket=work_bucket, retrier=wiring.retrier, sizes=in_parts)
    work = S3ObjectStore(client=wiring.clients.s3, bucket=work_bucket, retrier=wiring.retrier)
    cleanup = RunCleanup(
        deletion=BulkDeletion(objects=work, spawner=wiring.spawner, clock=wiring.clock),
        tags=S3DoneTags(client=wiring.clients.s3, bucket=work_bucket, retrier=wiring.retrier),
        spawner=wiring.spawner,
        clock=wiring.clock,
    )
    return Finalizer(
        store=wiring.store,
        buckets=buckets,
        cleanup=cleanup,
        on_demand=load_on_demand_prices(),
        spot=EC2SpotPrices(client=wiring.clients.ec2, retrier=wiring.retrier),
        clock=wiring.clock,
    )


def handle(
    wiring: Wiring, flow: Finalizer, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    finished = accept(parse_run_finished, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if finished is None:
        return {"rejected": 1}
    remaining_s = context.get_remaining_time_in_millis() / 1000
    wiring.begin(budget_s=max(PATIENCE_S / 2, remaining_s - RESERVE_S / 2))
    deadline = wiring.clock.monotonic() + max(remaining_s / 2, remaining_s - RESERVE_S)
    try:
        done = flow.finalize(RunId(finished.run_id), finalizer=context.aws_request_id, deadline=deadline)
    except RunNotFoundError as error:
        telemetry.count(events.METRIC_RUNS_FINISHED, 0)
        telemetry.info(events.EVENT_IGNORED, run_id=finished.run_id, reason=str(error))
        return {"ignored": 1}
    ended = done.result is FinalizeResult.FINALIZED
    telemetry.count(events.METRIC_RUNS_FINISHED, 1 if ended else 0)
    if ended:
        _measure(done, telemetry)
    telemetry.info(
        events.RUN_FINISHED,
        run_id=finished.run_id,
        result=done.result,
        state=done.state,
        quarantined=done.quarantined,
        reason=done.reason,
    )
    return {"result": done.result, "state": done.state}


def _measure(done: Finalized, telemetry: Telemetry) -> None:
    telemetry.seconds(events.METRIC_RUN_S, done.duration_s)
    if done.cost is None:
        return
    telemetry.number(events.METRIC_RUN_COST_USD, float(done.cost.total_usd))
    telemetry.number(events.METRIC_RUN_SAVED_USD, float(done.cost.saved_usd))
    telemetry.seconds(events.METRIC_USEFUL_VCPU_S, float(done.cost.useful_vcpu_s))
    telemetry.seconds(events.METRIC_PAID_VCPU_S, float(done.cost.paid_vcpu_s))
    if done.cost.efficiency is not None:
        telemetry.number(events.METRIC_EFFICIENCY, float(done.cost.efficiency))


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> Finalizer:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
