"""Faults that last: once one begins with a call, it meets every call of its scope for a while."""

from collections.abc import Callable
from typing import Any, Final

from simulation.faults.calls import Call, CallFault
from simulation.kernel.scheduler import microseconds

SHORTEST_S: Final = 20.0
LONGEST_S: Final = 180.0
Scope = tuple[CallFault, str]


class Spells:
    """Which scopes are under a spell, and until when."""

    def __init__(self) -> None:
        self._until: dict[Scope, int] = {}  # virtual microseconds

    def begin(self, fault: CallFault, call: Call, share: float) -> None:
        """From this call on; `share` of the longest time."""
        seconds = SHORTEST_S + share * (LONGEST_S - SHORTEST_S)
        self._until[fault, _SCOPES[fault](call)] = call.process.scheduler.now + microseconds(seconds)

    def on(self, call: Call) -> CallFault | None:
        """What the call meets, if its scope is under a spell."""
        if not self._until:
            return None
        now = call.process.scheduler.now
        for fault, scope_of in _SCOPES.items():
            if self._until.get((fault, scope_of(call)), 0) > now:
                return fault
        return None


def _process(call: Call) -> str:
    return str(call.process.name)


def _service(call: Call) -> str:
    return call.service


def _folder(call: Call) -> str:
    """Bucket and first part of the key, as policies name them; empty for calls without them."""
    if call.service != "s3":
        return ""
    key: Any = call.parameters.get("Key") or call.parameters.get("Prefix") or ""
    return f"{call.parameters['Bucket']}/{str(key).partition('/')[0]}" if key else ""


_SCOPES: Final[dict[CallFault, Callable[[Call], str]]] = {
    CallFault.OUTAGE: _service,
    CallFault.SLOW: _service,
    CallFault.EXPIRED: _process,
    CallFault.SKEWED: _process,
    CallFault.DENIED: _folder,
}
