"""Background work: the one place that starts threads and makes locks."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Waiter(Protocol):
    """A flag that can be waited for."""

    def set(self) -> None: ...

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most `timeout` seconds; True if it is set."""
        ...


class Spawner(Protocol):
    """Starts background work. The simulator starts cooperative tasks instead of threads."""

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        """Run `work` concurrently; it must end by itself when its flag is set."""
        ...

    def flag(self) -> Waiter:
        """A new flag, not set."""
        ...

    def lock(self) -> AbstractContextManager[Any]:
        """A new mutual exclusion lock."""
        ...


class ThreadSpawner:
    """Daemon threads: a dying worker never waits for them."""

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def flag(self) -> Waiter:
        return threading.Event()

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()


class InlineSpawner:
    """Runs background work at once, in the caller: for models and tests whose clock stands still meanwhile."""

    def spawn(self, work: Callable[[], None], *, name: str) -> None:  # noqa: ARG002 - part of the protocol
        work()

    def flag(self) -> Waiter:
        return threading.Event()

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()


def run_all(spawner: Spawner, jobs: Sequence[Callable[[], None]], *, width: int, name: str) -> None:
    """Run every job, at most `width` at once, one of the lanes being the caller's own; return when all have ended.

    Raises:
        Exception: the first that a job raised, once the others have ended; jobs that had not begun are left out.
    """
    lanes = Lanes(spawner, jobs)
    for number in range(1, min(width, len(jobs))):
        spawner.spawn(lanes.work, name=f"{name}-{number}")
    lanes.work()
    lanes.join()


class Lanes:
    """A queue of jobs and the lanes that empty it."""

    def __init__(self, spawner: Spawner, jobs: Sequence[Callable[[], None]]) -> None:
        self._waiting = iter(jobs)
        self._unfinished = len(jobs)
        self._lock = spawner.lock()
        self._idle = spawner.flag()
        self._errors: list[Exception] = []
        if not jobs:
            self._idle.set()

    def work(self) -> None:
        """Take jobs until there are none, or one has failed."""
        while True:
            with self._lock:
                job = next(self._waiting, None)
            if job is None:
                return
            try:
                if not self._errors:
                    job()
            except Exception as error:
                self._errors.append(error)
            finally:
                with self._lock:
                    self._unfinished -= 1
                    last = self._unfinished == 0
                if last:
                    self._idle.set()

    def join(self) -> None:
        """Wait for the other lanes; raises the first error of any."""
        self._idle.wait()
        if self._errors:
            raise self._errors[0]
