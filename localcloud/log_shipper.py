"""Container output to CloudWatch Logs."""

import logging
import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from localcloud.seams import Seams

logger = logging.getLogger(__name__)

BATCH_PERIOD_S = 0.15
LINES_MAX = 5000
_TARGET = "Logs_20140328."


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStream:
    """Where a container's output goes."""

    account: str
    region: str
    group: str
    name: str


class LogShipper:
    """Sends lines in small batches from one thread, so that a chatty container doesn't slow the account."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._lines: queue.SimpleQueue[tuple[LogStream, int, str]] = queue.SimpleQueue()
        self._made: set[LogStream] = set()
        threading.Thread(target=self._run, name="log-shipper", daemon=True).start()

    def ship(self, stream: LogStream, line: str) -> None:
        """Queue one line, stamped with the time of now."""
        self._lines.put((stream, round(time.time() * 1000), line))

    def open(self, stream: LogStream) -> None:
        """Make the stream exist although nothing was written yet, as the awslogs driver does."""
        self._lines.put((stream, 0, ""))

    def _run(self) -> None:
        while True:
            first = self._lines.get()
            time.sleep(BATCH_PERIOD_S)
            batches: dict[LogStream, list[dict[str, object]]] = defaultdict(list)
            for stream, stamp, line in [first, *self._drain()]:
                batches[stream] += [{"timestamp": stamp, "message": line}] if line else []
            for stream, events in batches.items():
                self._put(stream, events)

    def _drain(self) -> list[tuple[LogStream, int, str]]:
        found: list[tuple[LogStream, int, str]] = []
        while len(found) < LINES_MAX:
            try:
                found.append(self._lines.get_nowait())
            except queue.Empty:
                break
        return found

    def _put(self, stream: LogStream, events: list[dict[str, object]]) -> None:
        names = {"logGroupName": stream.group, "logStreamName": stream.name}
        with self._seams.scope(stream.account, stream.region):
            if stream not in self._made:
                # The group may exist already; only the default group is made by Batch itself.
                self._seams.call_json("logs", _TARGET + "CreateLogGroup", {"logGroupName": stream.group})
                self._seams.call_json("logs", _TARGET + "CreateLogStream", names)
                self._made.add(stream)
            if not events:
                return
            status, answer = self._seams.call_json("logs", _TARGET + "PutLogEvents", {**names, "logEvents": events})
            if status >= 300:
                logger.error("container output lost for %s: %s", stream, answer)
