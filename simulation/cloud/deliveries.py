"""From the bus to the functions: at least once, in any order, some day, or into the rule's dead letter queue."""

import random
from dataclasses import dataclass
from typing import Final, Protocol

from simulation.cloud.dead_letters import DeadLetterQueue, some_time_s
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from simulation.kernel.trace import Trace

DUPLICATED: Final = "E1"
LATE: Final = "E2"
OVERTAKEN: Final = "E3"
MISSING: Final = "E4"
DUPLICATE_S_MAX: Final = 300.0
OVERTAKEN_S_MAX: Final = 200.0  # more than a notice is ahead of the end
RETRY_FIRST_S: Final = 1.0
RETRY_S_MAX: Final = 300.0


class FunctionService(Protocol):
    """Where events go."""

    def accept(self, service: str, event: str) -> bool:
        """Queue an asynchronous invocation; False if the service throttles: the sender has to try again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function behind a rule, and how long a delivery is worth trying."""

    service: str
    age_us_max: int
    deliveries_max: int  # tries to hand over, after the first


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One event on its way to one target."""

    target: Target
    event: str  # JSON
    subject: str  # in words, for the trace
    began: int  # microseconds
    refused: int = 0


class Deliveries:
    """Hands events over. Faults E1 to E4 strike per event and function."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        functions: FunctionService,
    ) -> None:
        self.handed_over = 0
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._functions = functions
        self.undelivered = DeadLetterQueue(
            "undelivered", scheduler=scheduler, trace=trace, rng=rng, faults=faults, again=functions.accept
        )

    def send(self, target: Target, event: str, subject: str) -> None:
        """Deliver the event once, or as the faults have it."""
        strikes, site = self._faults.strikes, target.service
        if strikes(MISSING, site):
            self._note(f"lost on the way to {site}", subject)
            return
        delay_s = self._latency_s()
        if strikes(LATE, site):
            delay_s += some_time_s(self._rng)
        if strikes(OVERTAKEN, site):
            delay_s += OVERTAKEN_S_MAX * self._rng.random()
        self.plan(target, event, subject, delay_s)
        if strikes(DUPLICATED, site):
            self.plan(target, event, f"{subject} (again)", delay_s + DUPLICATE_S_MAX * self._rng.random())

    def plan(self, target: Target, event: str, subject: str, delay_s: float) -> None:
        """Deliver the event once, after `delay_s`."""
        began = self._scheduler.now + microseconds(delay_s)
        delivery = Delivery(target=target, event=event, subject=subject, began=began)
        self._scheduler.at(began, lambda: self._hand_over(delivery))

    def _hand_over(self, delivery: Delivery) -> None:
        target = delivery.target
        if self._functions.accept(target.service, delivery.event):
            self.handed_over += 1
            self._note(f"delivered to {target.service}", delivery.subject)
            return
        delivery.refused += 1
        delay_s = backoff_s(delivery.refused, self._rng)
        again_at = self._scheduler.now + microseconds(delay_s)
        if delivery.refused > target.deliveries_max or again_at - delivery.began > target.age_us_max:
            self.undelivered.keep(target.service, delivery.event, f"{delivery.subject}: refused {delivery.refused}x")
            return
        self._note(f"refused by {target.service}", delivery.subject)
        self._scheduler.at(again_at, lambda: self._hand_over(delivery))

    def _latency_s(self) -> float:
        draw = self._rng.random()
        return 0.1 + draw * draw

    def _note(self, what: str, subject: str) -> None:
        self._trace.note(self._scheduler.now, "bus", what, subject)


def backoff_s(tries: int, rng: random.Random) -> float:
    """Before the next try, after `tries` failed ones: doubling from one second to five minutes, at least half of it."""
    ceiling = min(RETRY_S_MAX, RETRY_FIRST_S * (1 << min(tries - 1, 10)))
    return ceiling * (0.5 + rng.random() / 2)
