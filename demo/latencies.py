"""How fast each channel told the workers, from the moment the notice was given."""

from collections.abc import Mapping, Sequence
from typing import Final

from demo.hits import Hit
from demo.schedule import Kind
from spotproof import events
from spotproof_cli.game_day.log_entries import LogEntry

STOP_FILE_WRITTEN: Final = "stop-file in S3"


def channel_latencies(hits: Sequence[Hit], entries: Sequence[LogEntry]) -> Mapping[str, Sequence[float]]:
    """Seconds from each notice to each worker seeing it, by channel (imds, stop-file, session …).

    STOP_FILE_WRITTEN is when the stop file could be seen: a worker that another channel told first does not look again.
    """
    found: dict[str, list[float]] = {}
    notices = {hit.instance_id: hit.at for hit in hits if hit.step.kind is Kind.NOTICE}
    for entry in entries:
        given_at = notices.get(str(entry.fields.get("instance_id", "")))
        if given_at is None or entry.at < given_at:
            continue
        if entry.event == events.STOP_SEEN:
            found.setdefault(str(entry.fields.get("signal", "?")), []).append(entry.at - given_at)
        elif entry.event == events.STOP_FILE_WRITTEN and entry.fields.get("kind") == "notice":
            found.setdefault(STOP_FILE_WRITTEN, []).append(entry.at - given_at)
    return found
