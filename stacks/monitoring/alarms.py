"""The alarms as facts: what is wrong, by which number, and from when on. What to do then is in docs/operating.md."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof import events

COMPOSITE: Final = "Attention"
COMPOSITE_SAYS: Final = "Spotproof needs a person: at least one of its alarms is on."


class Queue(StrEnum):
    """Where events end that nobody could handle."""

    FAILED = "failed"  # a function failed to the end
    UNDELIVERED = "undelivered"  # EventBridge could not hand it over


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """One alarm: on when `periods` periods in a row breach. Without data it is off, unless `silence_breaches`."""

    name: str  # short; a part of the alarm's name, so an external contract
    says: str
    metric: str = ""  # of ours, of the whole stack
    queue: Queue | None = None  # its visible messages, instead of a metric of ours
    statistic: str = "Sum"
    threshold: float = 1.0  # reached or passed; with `below`, fallen below
    below: bool = False
    period_s: int = 60
    periods: int = 1
    silence_breaches: bool = False


ALARMS: Final = (
    AlarmSpec(
        name="ControllerSilent",
        says="The controller has not run for five minutes: nothing is rescued, no worker replaced, no run finished.",
        metric=events.METRIC_CONTROLLER_HEARTBEAT,
        below=True,
        periods=5,
        silence_breaches=True,
    ),
    AlarmSpec(
        name="ControllerFails",
        says="The controller could not tend a run, or could not look at Batch.",
        metric=events.METRIC_CONTROLLER_FAILURES,
    ),
    AlarmSpec(
        name="EventsFailed",
        says="A function failed on an event until nobody tried any more; the event is in the queue of failed events.",
        queue=Queue.FAILED,
        statistic="Maximum",
    ),
    AlarmSpec(
        name="EventsUndelivered",
        says="EventBridge could not hand an event to its function; it is in the queue of undelivered events.",
        queue=Queue.UNDELIVERED,
        statistic="Maximum",
    ),
    AlarmSpec(
        name="EventsRejected",
        says="An event was malformed, or pretended to be one of ours; it changed nothing.",
        metric=events.METRIC_EVENTS_REJECTED,
        period_s=300,
    ),
    AlarmSpec(
        name="NoticesSlow",
        says="From a Spot notice to the stop file it takes more than 10 of the 120 seconds that a worker has.",
        metric=events.METRIC_STOP_FILE_LATENCY_MS,
        statistic="p99",
        threshold=10_000,
        period_s=300,
    ),
    AlarmSpec(
        name="ShardsWait",
        says="A shard has waited for a worker, or a run to begin, for fifteen minutes: longer than the fallback's usual patience.",
        metric=events.METRIC_OLDEST_CLAIMABLE_S,
        statistic="Maximum",
        threshold=900,
        periods=3,
    ),
    AlarmSpec(
        name="WorkersStuck",
        says="Workers can't start, and it does not pass by itself: a quota, a size, a role, or an environment that is off.",
        metric=events.METRIC_WORKERS_STUCK,
        statistic="Maximum",
        periods=3,
    ),
    AlarmSpec(
        name="ShardsQuarantined",
        says="A shard failed, or lost its workers, too often and is left out: its run's output will lack it.",
        metric=events.METRIC_SHARDS_QUARANTINED,
        period_s=300,
    ),
    AlarmSpec(
        name="WorkersFail",
        says="A worker ended for a reason that nobody but a person mends: its image, input, settings, size or time-out.",
        metric=events.METRIC_WORKERS_FAILED,
        period_s=300,
    ),
    AlarmSpec(
        name="CheckpointsFail",
        says="Checkpoints could not be saved: an interruption now costs more than one interval of work.",
        metric=events.METRIC_CHECKPOINT_FAILURES,
        threshold=3,
        period_s=1800,  # one worker alone tries again after at most six minutes
    ),
    AlarmSpec(
        name="CheckpointsSlow",
        says="Saving takes more than a minute, half of the time between a Spot notice and the end.",
        metric=events.METRIC_CHECKPOINT_MS,
        statistic="p95",
        threshold=60_000,
        period_s=900,  # at least one save of ten minutes in each
        periods=2,
    ),
    AlarmSpec(
        name="RunPaused",
        says="A run has cost its budget and stands still until somebody resumes it with another one or cancels it.",
        metric=events.METRIC_RUNS_PAUSED,
        period_s=300,
    ),
)


def alarm_name(prefix: str, name: str) -> str:
    """The name of a deployed alarm; `prefix`: of the stacks."""
    return f"{prefix}-{name}"
