"""Metrics of workers: numbers of their log events, in CloudWatch's embedded metric format on the same lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof import contract, events

STACK: Final = "Stack"
LIFECYCLE: Final = "Lifecycle"
LIFECYCLES: Final = (contract.LIFECYCLE_SPOT, contract.LIFECYCLE_ON_DEMAND)  # no others: each would be a series


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMetric:
    """One metric that a log event gives."""

    name: str
    field: str = ""  # of the event; "" = each event counts as one
    unit: str = "Count"
    by_lifecycle: bool = False  # also told apart by spot and on-demand


_WORK_LOST: Final = EventMetric(
    name=events.METRIC_WORK_LOST_MS, field="lost_ms", unit="Milliseconds", by_lifecycle=True
)
_SHARDS_FAILED: Final = EventMetric(name=events.METRIC_SHARDS_FAILED)
EVENT_METRICS: Final[Mapping[str, tuple[EventMetric, ...]]] = {
    events.SHARD_COMMITTED: (
        EventMetric(name=events.METRIC_SHARDS_COMMITTED, by_lifecycle=True),
        EventMetric(name=events.METRIC_RECORDS_COMMITTED, field="records"),
    ),
    events.SHARD_FAILED: (_SHARDS_FAILED,),
    events.SHARD_QUARANTINED: (_SHARDS_FAILED, EventMetric(name=events.METRIC_SHARDS_QUARANTINED)),
    events.SHARD_RELEASED: (
        _WORK_LOST,
        EventMetric(name=events.METRIC_NOTICE_LEFT_MS, field="left_ms", unit="Milliseconds"),
    ),
    events.LEASE_LOST: (EventMetric(name=events.METRIC_LEASES_LOST), _WORK_LOST),
    events.SHARD_RESUMED: (EventMetric(name=events.METRIC_RESUME_MS, field="duration_ms", unit="Milliseconds"),),
    events.CHECKPOINT_SAVED: (
        EventMetric(name=events.METRIC_CHECKPOINT_MS, field="duration_ms", unit="Milliseconds"),
        EventMetric(name=events.METRIC_CHECKPOINT_STALL_MS, field="stall_ms", unit="Milliseconds"),
        EventMetric(name=events.METRIC_CHECKPOINT_BYTES, field="size_bytes", unit="Bytes"),
    ),
    events.CHECKPOINT_FAILED: (EventMetric(name=events.METRIC_CHECKPOINT_FAILURES),),
}
MEMBERS: Final = frozenset(
    {"_aws", STACK, LIFECYCLE, *(metric.name for given in EVENT_METRICS.values() for metric in given)}
)  # what a line has besides its event's own fields


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMetrics:
    """What is added to a worker's log lines. Only the stack and the lifecycle are dimensions: each combination of values
    is a metric to pay for, and ids are on the line anyway, for Logs Insights to find.

    Source: CloudWatch "Embedded metric format specification".
    """

    stack: str

    def members(self, event: str, fields: Mapping[str, Any], *, at_ms: int) -> dict[str, Any]:
        """Members for the line of this event; none if it measures nothing.

        Args:
            fields: the other members of the line; `lifecycle` among them, where it is known.
            at_ms: when it happened, epoch ms.
        """
        values = {metric: _value(metric, fields) for metric in EVENT_METRICS.get(event, ())}
        given = {metric: value for metric, value in values.items() if value is not None}
        if not given:
            return {}
        lifecycle = next((each for each in LIFECYCLES if each == fields.get("lifecycle")), None)
        directives = [_directive([STACK], list(given))]
        apart = [metric for metric in given if metric.by_lifecycle and lifecycle]
        if apart:
            directives.append(_directive([STACK, LIFECYCLE], apart))
        return {
            "_aws": {"Timestamp": at_ms, "CloudWatchMetrics": directives},
            STACK: self.stack,
            **({LIFECYCLE: lifecycle} if lifecycle else {}),
            **{metric.name: value for metric, value in given.items()},
        }


def _value(metric: EventMetric, fields: Mapping[str, Any]) -> float | None:
    value = fields.get(metric.field) if metric.field else 1
    return value if isinstance(value, int | float) else None


def _directive(dimensions: list[str], metrics: list[EventMetric]) -> dict[str, Any]:
    return {
        "Namespace": contract.METRIC_NAMESPACE,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in metrics],
    }
