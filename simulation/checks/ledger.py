"""Conservation: a session's work, redone work, checkpoints and idling add up to its length."""

from typing import Any

from simulation.checks.base import Check
from simulation.faults.calls import Call
from simulation.kernel.scheduler import MICROSECONDS

PARTS = (":work_ms", ":redone_ms", ":checkpoint_ms", ":idle_ms")
ROUNDING_MS = 3  # four parts, each rounded to a millisecond


class LedgerCheck(Check):
    """Compares what a worker books with the virtual time of its session, when it ends by itself."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._opened: dict[str, float] = {}  # process -> its monotonic seconds when its session was registered
        self._checked: set[str] = set()
        self.sessions = 0

    def answered_call(self, call: Call) -> None:
        """A call returned to the process that made it."""
        if call.intent == "session" and call.operation == "put_item":
            self._opened[call.process.name] = _monotonic(call.process)

    def calling(self, call: Call) -> None:
        """A call is about to be made; the first try to end a session carries the ledger of this very moment."""
        name = call.process.name
        if call.intent != "end session" or name in self._checked or name not in self._opened:
            return
        self._checked.add(name)
        self.sessions += 1
        values: dict[str, Any] = call.parameters["ExpressionAttributeValues"]
        booked_ms = sum(int(values[part]["N"]) for part in PARTS)
        lived_ms = (_monotonic(call.process) - self._opened[name]) * 1000
        close = abs(lived_ms - booked_ms) <= ROUNDING_MS
        self.report.require(close, "ledger", f"{name} lived {lived_ms:.0f} ms and booked {booked_ms} ms: {values}")
        negative = [part for part in PARTS if int(values[part]["N"]) < 0]
        self.report.require(not negative, "ledger", f"{name} booked less than nothing: {negative}")


def _monotonic(process: Any) -> float:
    return float((process.scheduler.now - process.suspended_us) / MICROSECONDS)
