"""Saves that take their time on a clock that only moves when somebody waits or works."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from spotproof.concurrency import Waiter
from tests.fakes.clock import FakeClock

SAVE = "checkpoint-save"


class TimedSpawner:
    """A save's background work happens at once, `save_s` seconds after it was spawned, when somebody looks.

    Lanes beside the save's own are left out: it does all jobs itself.
    """

    def __init__(self, clock: FakeClock, *, save_s: float) -> None:
        self.save_s = save_s
        self.saves: list[float] = []  # when each was spawned
        self._clock = clock
        self._pending: list[tuple[float, Callable[[], None]]] = []

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        if name == SAVE:
            self.saves.append(self._clock.monotonic())
            self._pending.append((self._clock.monotonic() + self.save_s, work))

    def flag(self) -> Waiter:
        return TimedFlag(self, self._clock)

    def lock(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def happen(self) -> None:
        """Whatever is due by now."""
        due = [each for each in self._pending if each[0] <= self._clock.monotonic()]
        self._pending = [each for each in self._pending if each not in due]
        for _, work in due:
            work()

    @property
    def next_at(self) -> float:
        """Monotonic seconds of the next event; infinite if none comes."""
        return min((at for at, _ in self._pending), default=float("inf"))


class TimedFlag:
    """Waiting for it lets time pass."""

    def __init__(self, spawner: TimedSpawner, clock: FakeClock) -> None:
        self._spawner = spawner
        self._clock = clock
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        self._spawner.happen()
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        until = float("inf") if timeout is None else self._clock.monotonic() + timeout
        while not self.is_set() and self._clock.monotonic() < until:
            step = min(until, self._spawner.next_at) - self._clock.monotonic()
            assert step != float("inf"), "waiting for good"
            self._clock.advance(step)
        return self.is_set()
