"""Background work: the one place that starts threads and makes locks."""

import threading
from collections.abc import Callable
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
