"""The one thread that changes the fleet and the jobs: timers, and work done when something changed."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

logger = logging.getLogger(__name__)


class Timer:
    """A planned call; `cancel` makes it do nothing."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Reactor:
    """State is changed only while holding `changing()`; on leaving it, the settling work runs in the reactor's thread.

    The thread sleeps until the next timer or change, so an idle account costs no CPU.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._timers: list[tuple[float, int, Timer]] = []
        self._sequence = itertools.count()
        self._settle: list[Callable[[], None]] = []
        self._dirty = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="reactor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; planned calls are dropped."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout=5)

    def on_change(self, settle: Callable[[], None]) -> None:
        """Run `settle` in the reactor's thread after every change."""
        self._settle.append(settle)

    def changing(self) -> AbstractContextManager[Any]:
        """Hold the state; the settling work follows."""
        return _Change(self)

    def reading(self) -> AbstractContextManager[Any]:
        """Hold the state to look at it."""
        return self._condition

    def after(self, real_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` in the reactor's thread, holding the state, in `real_s` seconds."""
        timer = Timer(time.monotonic() + max(real_s, 0.0), action)
        with self._condition:
            heapq.heappush(self._timers, (timer.due, next(self._sequence), timer))
            self._condition.notify()
        return timer

    def mark_changed(self) -> None:
        with self._condition:
            self._dirty = True
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                if self._stopping:
                    return
                self._fire_due()
                while self._dirty:
                    self._dirty = False
                    for settle in self._settle:
                        _guarded(settle)
                self._condition.wait(self._until_next())

    def _fire_due(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, timer = heapq.heappop(self._timers)
            if timer.action is not None:
                _guarded(timer.action)
                self._dirty = True

    def _until_next(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None


class _Change:
    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def __enter__(self) -> None:
        self._reactor.reading().__enter__()

    def __exit__(self, *exc: Any) -> None:
        self._reactor.mark_changed()
        self._reactor.reading().__exit__(*exc)


def _guarded(action: Callable[[], None]) -> None:
    # A bug in one timer must not stop the fleet; it is in the server log and in the journal's absence of progress.
    try:
        action()
    except Exception:
        logger.exception("reactor action failed")
