"""A lease store whose caller dies at the n-th call: before the request leaves, or after it took effect."""

from typing import Any

from spotproof.leases.store import LeaseStore


class Crash(BaseException):
    """The process ends here; nothing may catch it."""


class CrashingStore:
    """Passes calls on until call number `at` (from 1)."""

    def __init__(self, store: LeaseStore, *, at: int, after_effect: bool) -> None:
        self._store = store
        self._at = at
        self._after_effect = after_effect
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls != self._at:
                return method(*args, **kwargs)
            if self._after_effect:
                method(*args, **kwargs)
            raise Crash

        return call
