"""A simulated operating-system process: its clock, its threads, its ids, and its end at any moment."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, cast

import greenlet

from simulation.kernel.scheduler import MICROSECONDS, Action, Scheduler, Task, microseconds

EPOCH: Final = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # Europe changes its clocks half an hour later
KILLED: Final = 137  # the exit code of a container whose process got SIGKILL


class ProcessKilled(BaseException):
    """The process is gone: no instruction of it runs on, and nothing it does from here on has an effect outside."""


class Process:
    """Runs `main` and what it spawns, until it returns, crashes or is killed."""

    def __init__(
        self, scheduler: Scheduler, *, name: str, kind: str, rng: random.Random, on_exit: Callable[["Process"], None]
    ) -> None:
        """`kind`: "worker", or the name of a function; `on_exit` is called once, whatever ends the process."""
        self.scheduler = scheduler
        self.name = name
        self.kind = kind
        self.alive = True
        self.exit_code: int | None = None
        self.why = ""  # it ended
        self.crash: BaseException | None = None  # what escaped a task
        self.skew_us = 0  # of its wall clock
        self.frozen_until = 0  # nothing of it runs before
        self.suspended_us = 0  # time its monotonic clock did not count
        self.started_at = scheduler.now
        self.clock = SimClock(self)
        self.spawner = SimSpawner(self)
        self.ids = SimIds(rng)
        self._on_exit = on_exit
        self._tasks: list[Task] = []

    def start(self, main: Callable[[], int]) -> None:
        """Begin now; the value of `main` is the exit code, and its end ends all other tasks."""

        def body() -> None:
            self.end(main(), "returned")

        self._add(body, name="main")

    def spawn(self, work: Action, *, name: str) -> None:
        self._add(work, name=name)

    def end(self, exit_code: int, why: str) -> None:
        """The process is over; its tasks are unwound before any later event."""
        if not self.alive:
            return
        self.alive = False
        self.exit_code, self.why = exit_code, why
        self.scheduler.at(self.scheduler.now, self._reap)

    def kill(self, why: str) -> None:
        """SIGKILL. From inside the process: does not return."""
        self.end(KILLED, why)
        if getattr(greenlet.getcurrent(), "process", None) is self:
            raise ProcessKilled

    def dissolve(self) -> None:
        """The world is over: nobody is told, and no suspended task keeps all of it in memory."""
        self.alive = False
        for task in self._tasks:
            _unwind(task)
        self._tasks.clear()

    def kill_task(self, name: str) -> bool:
        """One thread dies and the others live on; True if there was one of this name."""
        found = [task for task in self._tasks if task.name == name and not task.dead]
        for task in found:
            task.ticket += 1  # what it waits for never comes
        self._tasks = [task for task in self._tasks if task not in found]
        for task in found:
            self.scheduler.at(self.scheduler.now, lambda task=task: _unwind(task))  # type: ignore[misc]
        return bool(found)

    def freeze(self, seconds: float, *, suspend: bool = False) -> None:
        """SIGSTOP, a long pause of the runtime or, with `suspend`, of the whole machine: its monotonic clock stands."""
        until = self.scheduler.now + microseconds(seconds)
        if suspend:
            self.suspended_us += max(0, until - max(self.frozen_until, self.scheduler.now))
        self.frozen_until = max(self.frozen_until, until)
        if getattr(greenlet.getcurrent(), "process", None) is self:
            self.wait(0.0)

    def check_alive(self) -> None:
        """Raises ProcessKilled in what still unwinds after the end."""
        if not self.alive:
            raise ProcessKilled

    def wait(self, seconds: float | None) -> None:
        """Block the current task: `seconds`, or until somebody wakes it."""
        self.check_alive()
        task = cast(Task, greenlet.getcurrent())
        task.ticket += 1
        if seconds is not None:
            self.scheduler.wake_at(self.scheduler.now + max(1, microseconds(seconds)), task, task.ticket)
        self.scheduler.switch_away()
        self.check_alive()

    def hang(self) -> None:
        """Never go on: the current task waits for nothing."""
        while True:
            self.wait(None)

    def _add(self, work: Action, *, name: str) -> None:
        def body() -> None:
            try:
                work()
            except ProcessKilled:
                return
            except BaseException as error:
                self.crash = self.crash or error
                if name == "main":
                    self.end(1, f"crashed: {error!r}")

        self._tasks.append(self.scheduler.new_task(body, name=name, process=self))

    def _reap(self) -> None:
        for task in self._tasks:
            _unwind(task)
        self._tasks.clear()
        self._on_exit(self)


def _unwind(task: Task) -> None:
    """End the task wherever it stands; one that has not begun never does: nothing in it could take the exception."""
    if task.dead:
        return
    if task:
        task.throw(ProcessKilled)
    else:
        task.ticket += 1  # its first turn is stale


class SimClock:
    """spotproof.clock.Clock of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self._process.scheduler.now + self._process.skew_us)

    def monotonic(self) -> float:
        return (self._process.scheduler.now - self._process.suspended_us) / MICROSECONDS

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._process.wait(seconds)


class SimIds:
    """spotproof.ids.IdSource from the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def nonce(self) -> str:
        return f"{self._rng.getrandbits(48):012x}"


class SimSpawner:
    """spotproof.concurrency.Spawner: threads are tasks."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def spawn(self, work: Action, *, name: str) -> None:
        self._process.spawn(work, name=name)

    def flag(self) -> "SimFlag":
        return SimFlag(self._process)

    def lock(self) -> "SimLock":
        return SimLock(self._process)


class SimFlag:
    """An event that tasks of one process wait for."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._set = False
        self._waiting: list[tuple[Task, int]] = []

    def set(self) -> None:
        self._set = True
        scheduler = self._process.scheduler
        for task, ticket in self._waiting:
            scheduler.wake_at(scheduler.now, task, ticket)
        self._waiting.clear()

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        if self._set:
            self._process.check_alive()
            return True
        task = cast(Task, greenlet.getcurrent())
        self._waiting.append((task, task.ticket + 1))
        self._process.wait(timeout)
        return self._set


class SimLock:
    """A mutual exclusion lock between tasks of one process, first come first served."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._held = False
        self._waiting: list[tuple[Task, int]] = []

    def __enter__(self) -> bool:
        self._process.check_alive()
        if self._held:
            task = cast(Task, greenlet.getcurrent())
            self._waiting.append((task, task.ticket + 1))
            self._process.wait(None)  # the lock is ours when this returns
        self._held = True
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._waiting:
            task, ticket = self._waiting.pop(0)
            if task.ticket == ticket and not task.dead:
                self._process.scheduler.wake_at(self._process.scheduler.now, task, ticket)
                return
        self._held = False
