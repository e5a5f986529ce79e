"""A spot interruption warning: tell the host's workers, and promise their shards to others at the reclaim time."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from lambdas.telemetry import Context, accept, adopt_library_logs, count, latency_ms, make_logger, make_metrics
from lambdas.wiring import wire
from spotproof import events
from spotproof.clock import Clock, SystemClock, to_epoch_ms
from spotproof.errors import AwsError
from spotproof.interruptions.eventbridge import SpotWarning, parse_spot_warning
from spotproof.interruptions.stop_file import StopFile, StopFileWrite, StopFileWriter, notice_file
from spotproof.leases.requeue import Requeuer, Takings
from spotproof.leases.store import LeaseStore

SERVICE = "spot_interruption"
logger = make_logger(SERVICE)
metrics = make_metrics(SERVICE)
clock = SystemClock()


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


@cache
def build() -> WarningFlow:
    wiring = wire()
    adopt_library_logs(logger)
    return WarningFlow(
        store=wiring.store,
        requeuer=Requeuer(wiring.store),
        stop_files=StopFileWriter(
            client=wiring.clients.s3, bucket=wiring.settings.work_bucket, clock=wiring.clock, retrier=wiring.retrier
        ),
        clock=wiring.clock,
    )


def notice_of(warning: SpotWarning) -> StopFile:
    return notice_file(
        instance_id=warning.instance_id,
        event_id=warning.event_id,
        event_time=warning.time,
        written_at=clock.now(),
        lead=wire().settings.notice_lead,
    )


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    warning = accept(parse_spot_warning, event, context, now=clock.now, logger=logger, metrics=metrics)
    if warning is None:
        return {"rejected": 1}
    count(metrics, events.METRIC_INTERRUPTION_WARNINGS)
    wire().begin()
    warned = build().warn(notice_of(warning))
    if warned.takings is None:
        logger.info(events.EVENT_IGNORED, instance_id=warning.instance_id, reason=warned.reason)
        return {"ignored": 1}
    if warned.file is not None and warned.file.written:
        waited_ms = (clock.now() - warning.time).total_seconds() * 1000
        count(metrics, events.METRIC_STOP_FILES_WRITTEN)
        latency_ms(metrics, events.METRIC_STOP_FILE_LATENCY_MS, waited_ms)
        logger.info(
            events.STOP_FILE_WRITTEN, instance_id=warning.instance_id, kind="notice", latency_ms=round(waited_ms)
        )
    logger.info(
        events.SHARDS_DRAINED,
        instance_id=warning.instance_id,
        action=warning.action,
        sessions=warned.takings.sessions,
        count=warned.takings.shards,
    )
    return {"sessions": warned.takings.sessions, "drained": warned.takings.shards}
