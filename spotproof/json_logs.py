"""Structured logs: one JSON object a line, the event's name in `event`, everything else as fields."""

import json
import logging
from typing import Any, Final

from spotproof.clock import from_epoch_ms
from spotproof.metrics import WorkerMetrics

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Renders a record as one line; fields given as `extra=` become keys, `bound` fields are on every line.

    With `metrics`, lines of events that measure something are in the embedded metric format too.
    """

    def __init__(self, bound: dict[str, Any], metrics: WorkerMetrics | None = None) -> None:
        super().__init__()
        self.bound = bound
        self._metrics = metrics

    def format(self, record: logging.LogRecord) -> str:
        at_ms, event = round(record.created * 1000), record.getMessage()
        line: dict[str, Any] = {
            "ts": from_epoch_ms(at_ms).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": event,
            "logger": record.name,
            **self.bound,
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if self._metrics is not None:
            line |= self._metrics.members(event, line, at_ms=at_ms)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str, bound: dict[str, Any], metrics: WorkerMetrics | None = None) -> JsonFormatter:
    """Send the product's log events to standard output as JSON lines.

    Args:
        level: a logging level name such as INFO; above it, the metrics of its events are silent too.
        bound: fields of every line; the returned formatter's `bound` may be extended later.
        metrics: what lines carry for CloudWatch to measure; None: nothing.

    Raises:
        ValueError: if `level` is not a level name.
    """
    formatter = JsonFormatter(bound, metrics)
    handler = logging.StreamHandler(_Stdout())
    handler.setFormatter(formatter)
    root = logging.getLogger("spotproof")
    root.handlers = [handler]
    root.propagate = False
    root.setLevel(level)
    return formatter


class _Stdout:
    """Whatever sys.stdout is when a line is written: user code may replace it."""

    def write(self, text: str) -> int:
        import sys

        return sys.stdout.write(text)

    def flush(self) -> None:
        import sys

        sys.stdout.flush()
