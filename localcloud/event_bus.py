"""Events of AWS services onto the account's default bus, in order, from one thread."""

import json
import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any

from localcloud.seams import Seams

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One event as a service publishes it."""

    account: str
    region: str
    source: str
    detail_type: str
    detail: dict[str, Any]
    resources: tuple[str, ...]


class EventBus:
    """Queues events, because rules and targets must not run while the fleet's state is held."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._waiting: queue.SimpleQueue[ServiceEvent] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="event-bus", daemon=True).start()

    def publish(self, event: ServiceEvent) -> None:
        """Hand over an event; its detail must not be changed afterwards."""
        self._waiting.put(event)

    def _run(self) -> None:
        while True:
            event = self._waiting.get()
            try:
                self._put(event)
            except Exception:
                # The bus must outlive one bad event; EC2's events are best effort on AWS as well.
                logger.exception("event %s was lost", event.detail_type)

    def _put(self, event: ServiceEvent) -> None:
        entry = {
            "Source": event.source,
            "DetailType": event.detail_type,
            "Detail": json.dumps(event.detail),
            "Resources": list(event.resources),
        }
        with self._seams.scope(event.account, event.region):
            self._seams.eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
