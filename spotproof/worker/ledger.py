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
        self._open: list[tuple[Spent, float, float]] = []  # kind, start, booked until then; from the outside in

    @contextmanager
    def span(self, kind: Spent) -> Iterator[None]:
        inside_before = self._total_s()
        started = self._clock.monotonic()
        self._open.append((kind, started, inside_before))
        try:
            yield
        finally:
            self._open.pop()
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
        """Of this kind so far, spans that go on included: a safe point may lie inside the function's work."""
        now, booked_s, inner_s, found_s = self._clock.monotonic(), self._total_s(), 0.0, self._totals_s[kind]
        for each, started, booked_before_s in reversed(self._open):
            own_s = now - started - (booked_s - booked_before_s) - inner_s
            inner_s += own_s
            found_s += own_s if each is kind else 0.0
        return found_s

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
