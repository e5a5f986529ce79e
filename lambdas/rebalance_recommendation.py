"""A rebalance recommendation: a hint to save and to take no new lease for a while; nothing is taken away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import AwsError
from spotproof.interruptions.eventbridge import Rebalance, parse_rebalance
from spotproof.interruptions.stop_file import StopFile, StopFileWrite, StopFileWriter, rebalance_file
from spotproof.leases.model import RunOptions
from spotproof.leases.requeue import Requeuer, Takings
from spotproof.leases.store import LeaseStore

SERVICE = "rebalance_recommendation"
HINT = timedelta(seconds=RunOptions().hint_s)  # the recommendation is right about once in three times: it expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Hinted:
    """What a recommendation led to. Both None: not a host of ours, or too late."""

    file: StopFileWrite | None
    takings: Takings | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HintFlow:
    """Stop file of the soft kind, then the hint on the host's sessions."""

    store: LeaseStore
    requeuer: Requeuer
    stop_files: StopFileWriter
    clock: Clock

    def hint(self, stop: StopFile) -> Hinted:
        """Tell the workers on the instance; a notice that stands is left alone.

        Raises:
            AwsError: the file or the hints could not be written; both were tried. Doing it again is safe.
        """
        if not stop.live(self.clock.now()):
            return Hinted(file=None, takings=None, reason="too late: the recommendation has expired")
        if not self.store.sessions_on_instance(stop.instance_id):
            return Hinted(file=None, takings=None, reason="no worker of ours registered on the host")
        written: StopFileWrite | None = None
        failure: AwsError | None = None
        try:
            written = self.stop_files.write(stop)
        except AwsError as error:  # the sessions must be told all the same
            failure = error
        takings = self.requeuer.hint_instance(stop.instance_id, to_epoch_ms(stop.expires_at))
        if failure is not None:
            raise failure
        return Hinted(file=written, takings=takings, reason="")


def build(wiring: Wiring) -> HintFlow:
    return HintFlow(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        stop_files=StopFileWriter(
            client=wiring.clients.s3, bucket=wiring.settings.work_bucket, clock=wiring.clock, retrier=wiring.retrier
        ),
        clock=wiring.clock,
    )


def hint_of(rebalance: Rebalance, *, now: datetime) -> StopFile:
    return rebalance_file(
        instance_id=rebalance.instance_id,
        event_id=rebalance.event_id,
        event_time=rebalance.time,
        written_at=now,
        hint=HINT,
    )


def handle(
    wiring: Wiring, flow: HintFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    rebalance = accept(parse_rebalance, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if rebalance is None:
        return {"rejected": 1}
    telemetry.count(events.METRIC_REBALANCE_RECOMMENDATIONS)
    wiring.begin()
    hinted = flow.hint(hint_of(rebalance, now=wiring.clock.now()))
    if hinted.takings is None:
        telemetry.info(events.EVENT_IGNORED, instance_id=rebalance.instance_id, reason=hinted.reason)
        return {"ignored": 1}
    if hinted.file is not None and hinted.file.written:
        telemetry.count(events.METRIC_STOP_FILES_WRITTEN)
        telemetry.info(events.STOP_FILE_WRITTEN, instance_id=rebalance.instance_id, kind="rebalance")
    return {"sessions": hinted.takings.sessions}


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> HintFlow:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
