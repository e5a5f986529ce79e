"""The ledger: how a worker's life was spent, in milliseconds of its own clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from spotproof.clock import Clock
from spotproof.leases.model import Ledger


class Spent(StrEnum):
    WORK = "work"
    CHECKPOINT = "checkpoint"
    IDLE = "idle"
    REDONE = "redone"


class LedgerBook:
    """Adds up spans; a span inside another one is taken out of the outer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._totals_s = dict.fromkeys(Spent, 0.0)

    @contextmanager
    def span(self, kind: Spent) -> Iterator[None]:
        inside_before = self._total_s()
        started = self._clock.monotonic()
        try:
            yield
        finally:
            inside_s = self._total_s() - inside_before
            self._totals_s[kind] += self._clock.monotonic() - started - inside_s

    def book(self, seconds: float, kind: Spent) -> None:
        """Count time that passed outside of every span."""
        self._totals_s[kind] += seconds

    def move(self, seconds: float, *, source: Spent, target: Spent) -> None:
        """Count time already booked under `source` as `target` instead, e.g. work that was lost."""
        moved = min(seconds, self._totals_s[source])
        self._totals_s[source] -= moved
        self._totals_s[target] += moved

    def seconds(self, kind: Spent) -> float:
        return self._totals_s[kind]

    def snapshot(self) -> Ledger:
        totals_ms = {kind: round(seconds * 1000) for kind, seconds in self._totals_s.items()}
        return Ledger(
            work_ms=totals_ms[Spent.WORK],
            checkpoint_ms=totals_ms[Spent.CHECKPOINT],
            idle_ms=totals_ms[Spent.IDLE],
            redone_ms=totals_ms[Spent.REDONE],
        )

    def _total_s(self) -> float:
        # REDONE only ever takes from other kinds, so the sum is the booked time.
        return sum(self._totals_s.values())
