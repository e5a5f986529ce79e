"""Virtual time: events in order of their moment, tasks that wait for them, one at a time."""

import heapq
from collections.abc import Callable
from typing import Any, Final

import greenlet

MICROSECONDS: Final = 1_000_000
Action = Callable[[], None]


def microseconds(seconds: float) -> int:
    """Virtual time is whole microseconds: sums of them are equal on every machine."""
    return round(seconds * MICROSECONDS)


class Task(greenlet.greenlet):
    """One thread of a simulated process."""

    def __init__(self, work: Action, *, name: str, process: Any, parent: greenlet.greenlet) -> None:
        super().__init__(work, parent)
        self.name = name
        self.process = process
        self.ticket = 0  # rises at every wait: a wake-up for an earlier wait is stale


class Scheduler:
    """The event queue. Events of one moment happen in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0  # microseconds
        self.steps = 0
        self._main = greenlet.getcurrent()
        self._queue: list[tuple[int, int, Action | None, Task | None, int]] = []
        self._planned = 0

    def at(self, moment: int, action: Action) -> None:
        """Plan `action` for `moment` (microseconds), or for now if that has passed."""
        self._planned += 1
        heapq.heappush(self._queue, (max(moment, self.now), self._planned, action, None, 0))

    def after(self, seconds: float, action: Action) -> None:
        self.at(self.now + microseconds(seconds), action)

    def wake_at(self, moment: int, task: Task, ticket: int) -> None:
        """Let `task` go on at `moment`, unless it went on before."""
        self._planned += 1
        heapq.heappush(self._queue, (max(moment, self.now), self._planned, None, task, ticket))

    def new_task(self, work: Action, *, name: str, process: Any) -> Task:
        """A task that begins at this moment, after what is planned for it already."""
        task = Task(work, name=name, process=process, parent=self._main)
        self.wake_at(self.now, task, 0)
        return task

    def switch_away(self) -> None:
        """Give up the current task until something wakes it."""
        self._main.switch()

    def run(self, *, until: int, done: Callable[[], bool]) -> bool:
        """Play events until `done` or until the queue or the time (microseconds) is used up; True if done.

        What is planned for later stays planned: it can be called again.
        """
        queue = self._queue
        while queue:
            if done():
                return True
            if queue[0][0] > until:
                return False
            moment, _, action, task, ticket = heapq.heappop(queue)
            self.now = moment
            self.steps += 1
            if action is not None:
                action()
            elif task is not None and task.ticket == ticket and not task.dead:
                frozen_until: int = task.process.frozen_until
                if frozen_until > moment:
                    self.wake_at(frozen_until, task, ticket)
                else:
                    task.switch()
        return done()
