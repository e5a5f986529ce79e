"""A spot interruption warning: tell the host's workers, and promise their shards to others at the reclaim time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import AwsError
from spotproof.interruptions.eventbridge import SpotWarning, parse_spot_warning
from spotproof.interruptions.stop_file import StopFile, StopFileWrite, StopFileWriter, notice_file
from spotproof.leases.requeue import Requeuer, Takings
from spotproof.leases.store import LeaseStore

SERVICE = "spot_interruption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What a warning led to. Both None: not a host of ours, or too late."""

    file: StopFileWrite | None
    takings: Takings | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningFlow:
    """Stop file first, because the worker looks at it every few seconds; then stop marks and drained shards."""

    store: LeaseStore
    requeuer: Requeuer
    stop_files: StopFileWriter
    clock: Clock

    def warn(self, stop: StopFile) -> Warned:
        """Tell the workers on the instance. Repeating it, late or out of order, weakens nothing.

        The rule that brings us here sees every spot instance of the account: one without sessions is not ours. A worker
        of ours that has not registered yet is missed here and sees the notice through its own metadata (IMDS).

        Raises:
            AwsError: the file or the marks could not be written; both were tried. Doing it again is safe.
        """
        if not stop.live(self.clock.now()):
            return Warned(file=None, takings=None, reason="too late: the host is gone or was spared")
        if not self.store.sessions_on_instance(stop.instance_id):
            return Warned(file=None, takings=None, reason="no worker of ours registered on the host")
        written, failure = self._write(stop)
        deadline = written.stored.deadline if written and written.stored.deadline else stop.deadline
        assert deadline is not None, "a notice has a deadline"
        takings = self.requeuer.drain_instance(stop.instance_id, to_epoch_ms(deadline))
        if failure is not None:
            raise failure
        return Warned(file=written, takings=takings, reason="")

    def _write(self, stop: StopFile) -> tuple[StopFileWrite | None, AwsError | None]:
        try:
            return self.stop_files.write(stop), None
        except AwsError as error:  # the shards must be drained all the same
            return None, error


def build(wiring: Wiring) -> WarningFlow:
    return WarningFlow(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        stop_files=StopFileWriter(
            client=wiring.clients.s3, bucket=wiring.settings.work_bucket, clock=wiring.clock, retrier=wiring.retrier
        ),
        clock=wiring.clock,
    )


def notice_of(warning: SpotWarning, *, now: datetime, lead: timedelta) -> StopFile:
    return notice_file(
        instance_id=warning.instance_id,
        event_id=warning.event_id,
        event_time=warning.time,
        written_at=now,
        lead=lead,
    )


def handle(
    wiring: Wiring, flow: WarningFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    warning = accept(parse_spot_warning, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if warning is None:
        return {"rejected": 1}
    telemetry.count(events.METRIC_INTERRUPTION_WARNINGS)
    wiring.begin()
    stop = notice_of(warning, now=wiring.clock.now(), lead=wiring.settings.notice_lead)
    warned = flow.warn(stop)
    if warned.takings is None:
        telemetry.info(events.EVENT_IGNORED, instance_id=warning.instance_id, reason=warned.reason)
        return {"ignored": 1}
    if warned.file is not None and warned.file.written:
        waited_ms = (wiring.clock.now() - warning.time).total_seconds() * 1000
        telemetry.count(events.METRIC_STOP_FILES_WRITTEN)
        telemetry.latency_ms(events.METRIC_STOP_FILE_LATENCY_MS, waited_ms)
        telemetry.info(
            events.STOP_FILE_WRITTEN, instance_id=warning.instance_id, kind="notice", latency_ms=round(waited_ms)
        )
    telemetry.info(
        events.SHARDS_DRAINED,
        instance_id=warning.instance_id,
        action=warning.action,
        sessions=warned.takings.sessions,
        count=warned.takings.shards,
    )
    return {"sessions": warned.takings.sessions, "drained": warned.takings.shards}


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> WarningFlow:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)
