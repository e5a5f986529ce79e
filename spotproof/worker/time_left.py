"""How long a stop leaves, and until when anything may be done."""

import math
from typing import Final

from spotproof.checkpoints.budget import reserve_s
from spotproof.clock import Clock
from spotproof.interruptions.model import Signal
from spotproof.retries import Retrier

SOONER_S: Final = 0.5  # a deadline that moves by less is the same one, told by another channel


class TimeLeft:
    """One lease's. The first look at a stop fixes the reserve; an earlier deadline fixes it anew."""

    def __init__(self, *, clock: Clock, retrier: Retrier) -> None:
        """`retrier`: of the writes; none of its retries begins after the deadline."""
        self._clock = clock
        self._retrier = retrier
        self.deadline: float | None = (
            None  # monotonic seconds, the reserve taken off; None: no stop with a deadline yet
        )
        self.reserve_s = 0.0  # kept for handing the shard back

    def look(self, stop: Signal) -> float:
        """Seconds until the host's end; infinite where the stop names none."""
        if stop.deadline is None:
            return math.inf
        left_s = (stop.deadline - self._clock.now()).total_seconds()
        end = self._clock.monotonic() + left_s
        if self.deadline is None or end < self.deadline + self.reserve_s - SOONER_S:
            self.reserve_s = reserve_s(left_s)
            self.deadline = end - self.reserve_s
            self._retrier.deadline = self.deadline
        return left_s

    def until_deadline_s(self) -> float | None:
        """Seconds until nothing new should be begun; None without a deadline."""
        return None if self.deadline is None else self.deadline - self._clock.monotonic()
