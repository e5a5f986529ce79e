"""Background work that runs only when a test says so."""

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from spotproof.concurrency import Waiter


class HeldSpawner:
    """Collects the work instead of starting it."""

    def __init__(self) -> None:
        self.work: dict[str, Callable[[], None]] = {}

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        self.work[name] = work

    def flag(self) -> Waiter:
        return ImmediateFlag()

    def lock(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()


class ImmediateFlag:
    """A flag whose waits never wait."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.is_set()
