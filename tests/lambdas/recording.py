"""Telemetry that remembers."""

from dataclasses import dataclass, field


@dataclass
class RecordingTelemetry:
    """What a function said and counted."""

    said: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)  # level, event, fields
    metrics: dict[str, float] = field(default_factory=dict)

    def info(self, event: str, /, **fields: object) -> None:
        self.said.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.said.append(("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.said.append(("error", event, fields))

    def count(self, metric: str, value: int = 1) -> None:
        self._add(metric, value)

    def latency_ms(self, metric: str, value: float) -> None:
        self._add(metric, value)

    def seconds(self, metric: str, value: float) -> None:
        self._add(metric, value)

    def number(self, metric: str, value: float) -> None:
        self._add(metric, value)

    def _add(self, metric: str, value: float) -> None:
        self.metrics[metric] = self.metrics.get(metric, 0) + value
