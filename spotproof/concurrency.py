"""Background work: the one place that starts threads and makes locks."""

import _thread
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Protocol

from spotproof.errors import SpotproofError

START_S: Final = 10.0  # for a new thread to begin; it takes well under a millisecond


class NoThreadError(SpotproofError):
    """The system gives no further thread: too many of them, or no memory. The work was not begun."""


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
        """Run `work` concurrently; it must end by itself when its flag is set.

        Raises:
            NoThreadError: nothing can run concurrently now; `work` has not begun and never will.
        """
        ...

    def flag(self) -> Waiter:
        """A new flag, not set."""
        ...

    def lock(self) -> AbstractContextManager[Any]:
        """A new mutual exclusion lock."""
        ...


class ThreadSpawner:
    """Threads that a dying worker never waits for.

    Not `threading.Thread`: its `start` waits for the new thread without a limit, and a thread that finds no memory for
    its first call ends before it says that it began. A worker that waits there for ever holds its shard for as long.
    """

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        launch = _Launch(work, name)
        try:
            _thread.start_new_thread(launch.run, ())
        except (RuntimeError, MemoryError) as error:
            raise NoThreadError(f"thread {name} can't be had: {error}") from error
        if not launch.has_begun_within(START_S):
            raise NoThreadError(f"thread {name} can't be had: it did not begin within {START_S:g} s")

    def flag(self) -> Waiter:
        return threading.Event()

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()


class _Launch:
    """Work that either begins on its thread in time, or is given up by the one who waits for that: never both.

    Bare locks, because they need no memory.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._name = name
        self._decision = _thread.allocate_lock()  # taken by whoever decides what becomes of the work, and kept
        self._begun = _thread.allocate_lock()
        self._begun.acquire()

    def run(self) -> None:
        if self._decision.acquire(blocking=False):
            self._begun.release()
            with suppress(MemoryError):
                threading.current_thread().name = self._name
            self._work()

    def has_begun_within(self, limit_s: float) -> bool:
        return self._begun.acquire(timeout=limit_s) or not self._decision.acquire(blocking=False)


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
    with suppress(NoThreadError):  # fewer lanes take longer
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
