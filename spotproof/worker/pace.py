"""How fast a shard goes: the way from one safe point to the next, and the work that is left."""

from collections import deque
from typing import Final

from spotproof.clock import Clock
from spotproof.worker.ledger import LedgerBook, Spent

STEPS_KEPT: Final = 32


def remaining_s(*, worked_s: float, fraction_before: float, fraction_now: float) -> float | None:
    """Seconds of work left, if the rest goes like the part done by this worker; None while nothing is known."""
    done = fraction_now - fraction_before
    if done <= 0 or worked_s <= 0:
        return None
    return worked_s * (1.0 - fraction_now) / done


class Pace:
    """One lease's. Told of every safe point as it begins and ends."""

    def __init__(self, *, ledger: LedgerBook, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._left_at: float | None = None  # monotonic, the end of the last safe point
        self._steps: deque[float] = deque(maxlen=STEPS_KEPT)
        self._fraction_at_start: float | None = None  # at the first safe point, as is _work_at_start_s
        self._work_at_start_s = 0.0
        self._fraction = 0.0

    def arrive(self, fraction_done: float) -> None:
        """A safe point begins. The first sets where this worker's own pace is measured from: a resumed shard does not
        start at 0."""
        if self._left_at is not None:
            self._steps.append(self._clock.monotonic() - self._left_at)
        if self._fraction_at_start is None:
            self._fraction_at_start = fraction_done
            self._work_at_start_s = self._ledger.seconds(Spent.WORK)
        self._fraction = fraction_done

    def leave(self) -> None:
        """The safe point ends, the job goes on."""
        self._left_at = self._clock.monotonic()

    @property
    def step_s(self) -> float | None:
        """The longest way to the next safe point lately; None before the second."""
        return max(self._steps, default=None)

    @property
    def remaining_s(self) -> float | None:
        """Estimated seconds of work left in the shard; None while nothing is known."""
        if self._fraction_at_start is None:
            return None
        return remaining_s(
            worked_s=self._ledger.seconds(Spent.WORK) - self._work_at_start_s,
            fraction_before=self._fraction_at_start,
            fraction_now=self._fraction,
        )
