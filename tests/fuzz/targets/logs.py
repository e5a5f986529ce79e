"""Targets: log lines, which the user's code and its libraries write too."""

from typing import Final

from spotproof_cli.game_day import log_entries
from spotproof_cli.worker_logs import parse_line
from tests.fuzz.mutations import json_text_mutation
from tests.fuzz.target import Target

LINES: Final = (
    '{"ts": "2026-11-22T12:00:00.000Z", "level": "INFO", "event": "shard.committed", "shard": 7, "dur_ms": 5}',
    '{"timestamp": "2026-11-22T12:00:00+0000", "message": "shards.drained", "count": 2}',
    "plain words of the user's code",
)


def targets() -> tuple[Target, ...]:
    return (
        Target(
            name="log-line",
            surface="log lines, the prints of the user's code among them",
            seeds=LINES,
            mutate=json_text_mutation,
            attempt=_line,
            refusals=(),
        ),
    )


def _line(text: str) -> object:
    """Ours, or nobody's: never an error."""
    line = parse_line({"message": text, "timestamp": 1_795_348_800_000})
    entry = log_entries.parse_line(text, stream="s")
    if entry is not None:
        assert entry.event
    return line is None, entry is None
