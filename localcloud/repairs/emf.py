"""Metrics out of log lines in CloudWatch's embedded metric format."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.seams import Seams


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """One value of one metric."""

    namespace: str
    name: str
    value: float
    unit: str
    dimensions: dict[str, str]


def data_of(line: str) -> list[Datum]:
    """The metric values in a log line; a line that isn't embedded metric format has none.

    Source: CloudWatch "Embedded metric format specification": `_aws.CloudWatchMetrics[]` names the members of the
    same JSON object that are metrics and dimensions; a metric's value is a number or a list of numbers.
    """
    if '"CloudWatchMetrics"' not in line:
        return []
    try:
        document = json.loads(line)
        return [datum for directive in document["_aws"]["CloudWatchMetrics"] for datum in _of(directive, document)]
    except (ValueError, KeyError, TypeError):
        return []  # CloudWatch ignores malformed lines as well


def _of(directive: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Datum]:
    for names in directive.get("Dimensions") or [[]]:
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive["Metrics"]:
            values = document[metric["Name"]]
            for value in values if isinstance(values, list) else [values]:
                yield Datum(
                    namespace=directive["Namespace"],
                    name=metric["Name"],
                    value=float(value),
                    unit=metric.get("Unit", "None"),
                    dimensions=dimensions,
                )


def install_emf(seams: Seams) -> None:
    """Record metrics from every line that reaches CloudWatch Logs."""
    append = seams.cloudwatch_logs._append_log_events

    def append_and_measure(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        append(stream, events)
        for event in events:
            for datum in data_of(event.get("message", "")):
                seams.cloudwatch.record_metric(datum.namespace, datum.name, datum.value, datum.unit, datum.dimensions)

    seams.cloudwatch_logs._append_log_events = append_and_measure
