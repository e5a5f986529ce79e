"""Queues of events that were given up, and operators who send them again hours later."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace

REDRIVEN: Final = "L5"
_DOUBLINGS: Final = 9  # of a minute: up to eight and a half hours


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event nobody will try to deliver any more."""

    service: str  # the function it was for
    event: str  # JSON
    reason: str
    moment: int  # microseconds


def some_time_s(rng: random.Random) -> float:
    """A minute to some hours, as likely in every doubling."""
    return (60 << rng.randrange(_DOUBLINGS)) * (1 + rng.random())


class DeadLetterQueue:
    """Keeps events; L5 sends one again. `again` takes a function's name and the event."""

    def __init__(
        self,
        name: str,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        again: Callable[[str, str], object],
    ) -> None:
        self.letters: list[DeadLetter] = []
        self._name = name
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._again = again

    def keep(self, service: str, event: str, reason: str) -> None:
        """Give up an event."""
        self._trace.note(self._scheduler.now, self._name, f"dead letter for {service}", reason)
        letter = DeadLetter(service=service, event=event, reason=reason, moment=self._scheduler.now)
        self.letters.append(letter)
        if self._faults.strikes(REDRIVEN, service):
            self._scheduler.after(some_time_s(self._rng), lambda: self._redrive(letter))

    def _redrive(self, letter: DeadLetter) -> None:
        if letter not in self.letters:
            return
        self.letters.remove(letter)
        self._trace.note(self._scheduler.now, self._name, f"redriven to {letter.service}")
        self._again(letter.service, letter.event)
