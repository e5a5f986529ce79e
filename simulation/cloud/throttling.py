"""Times in which the function service takes no work, each of one kind and for one function."""

import random
from enum import Enum
from typing import Final

from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from simulation.kernel.trace import Trace

THROTTLED: Final = "L3"
_DOUBLINGS: Final = 7  # of five seconds: up to eleven minutes


class Shortage(Enum):
    """What is short."""

    REQUESTS = "refuses to queue events"
    CONCURRENCY = "queues events and begins none"
    RESERVED = "has a reserved concurrency of 0"  # by an operator: events are given up at once


class Throttling:
    """L3, drawn whenever an event comes in."""

    def __init__(self, *, scheduler: Scheduler, trace: Trace, rng: random.Random, faults: FaultBook) -> None:
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._shortages: dict[str, tuple[Shortage, int]] = {}  # by function: what, until when

    def draw(self, service: str) -> None:
        """Maybe begin a shortage."""
        if not self._faults.strikes(THROTTLED, service):
            return
        kind = list(Shortage)[self._rng.randrange(len(Shortage))]
        seconds = (5 << self._rng.randrange(_DOUBLINGS)) * (1 + self._rng.random())
        self._shortages[service] = kind, self._scheduler.now + microseconds(seconds)
        self._trace.note(self._scheduler.now, service, kind.value, f"for {seconds:.0f} s")

    def now(self, service: str) -> Shortage | None:
        """What the function is short of at this moment."""
        kind, until = self._shortages.get(service, (None, 0))
        return kind if until > self._scheduler.now else None
