"""Structured logs: one JSON object a line, the event's name in `event`, everything else as fields."""

import json
import logging
from typing import Any, Final

from spotproof.clock import from_epoch_ms

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Renders a record as one line; fields given as `extra=` become keys, `bound` fields are on every line."""

    def __init__(self, bound: dict[str, Any]) -> None:
        super().__init__()
        self.bound = bound

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": from_epoch_ms(round(record.created * 1000)).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
            **self.bound,
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str, bound: dict[str, Any]) -> JsonFormatter:
    """Send the product's log events to standard output as JSON lines.

    Args:
        level: a logging level name such as INFO.
        bound: fields of every line; the returned formatter's `bound` may be extended later.

    Raises:
        ValueError: if `level` is not a level name.
    """
    formatter = JsonFormatter(bound)
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
