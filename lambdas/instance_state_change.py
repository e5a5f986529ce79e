"""An instance stops or terminates: its workers are gone, so what they leased is claimable now."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from lambdas.controlling.pool_notes import PoolNotes, pool_notes_of
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.clock import Clock, to_epoch_ms
from spotproof.interruptions.eventbridge import InstanceState, InstanceStateChange, parse_instance_state
from spotproof.leases.requeue import Requeuer, Taken, Takings
from spotproof.leases.store import LeaseStore

SERVICE = "instance_state_change"
# A stopped instance can run again under its id: an old event must not take leases from its new workers.
RETURN_MEMORY: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What a state change led to; `takings` is None if it was none of our business."""

    takings: Takings | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneFlow:
    """Fences the instance's sessions and requeues what they held; then tells the breaker of its pool, if EC2 confirms."""

    store: LeaseStore
    requeuer: Requeuer
    pool_notes: PoolNotes
    clock: Clock

    def take(self, change: InstanceStateChange, telemetry: Telemetry) -> Gone:
        """Requeue what the instance's workers held. Repeating it changes nothing.

        At "shutting-down" a worker may run on for half a minute: fencing it is safe, its late writes are refused.

        Raises:
            AwsError: the table refused or stayed unavailable; doing it again is safe.
        """
        if not change.state.gone:
            return Gone(takings=None, reason=f"state {change.state}")
        if change.state.may_return and self.clock.now() - change.time > RETURN_MEMORY:
            return Gone(takings=None, reason="too late: the instance may be running again")
        takings = self.requeuer.requeue_instance(change.instance_id)
        if not takings.takings:
            return Gone(takings=None, reason="no worker of ours with a run that goes on")
        keys = self.store.sessions_on_instance(change.instance_id)
        at = to_epoch_ms(min(change.time, self.clock.now()))
        self.pool_notes.ended(change.instance_id, keys, at=at, telemetry=telemetry)
        return Gone(takings=takings, reason="")


def build(wiring: Wiring) -> GoneFlow:
    return GoneFlow(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        pool_notes=pool_notes_of(wiring),
        clock=wiring.clock,
    )


def handle(
    wiring: Wiring, flow: GoneFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    change = accept(parse_instance_state, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if change is None:
        return {"rejected": 1}
    wiring.begin()
    gone = flow.take(change, telemetry)
    ended = change.state in (InstanceState.TERMINATED, InstanceState.STOPPED)  # each end comes as two events
    ours = gone.takings is not None and gone.takings.sessions > 0
    telemetry.count(events.METRIC_INSTANCES_TERMINATED, 1 if ours and ended else 0)
    if gone.takings is None:
        telemetry.info(events.EVENT_IGNORED, instance_id=change.instance_id, state=change.state, reason=gone.reason)
        return {"ignored": 1}
    telemetry.count(events.METRIC_SHARDS_REQUEUED, gone.takings.shards)
    telemetry.count(events.METRIC_SHARDS_QUARANTINED, gone.takings.count(Taken.QUARANTINED))
    telemetry.info(
        events.SHARDS_REQUEUED,
        instance_id=change.instance_id,
        state=change.state,
        sessions=gone.takings.sessions,
        count=gone.takings.shards,
    )
    return {"sessions": gone.takings.sessions, "requeued": gone.takings.shards}


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> GoneFlow:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
