"""Faults of calls as the seed draws them."""

import random
from typing import Final

from simulation.faults.book import FaultBook
from simulation.faults.calls import Call, CallFault

WRITES: Final = frozenset(
    {"put_item", "update_item", "put_object", "delete_objects", "copy_object", "put_object_tagging"}
)
S3_ONLY: Final = frozenset({CallFault.SLOW_DOWN})
NOT_S3: Final = frozenset({CallFault.THROTTLED})


class DrawnFaults:
    """simulation.gate.CallFaults: at most one fault per call, by the book's rates."""

    def __init__(self, book: FaultBook, rng: random.Random) -> None:
        self._book = book
        self._rng = rng
        self._s3 = _table(book, [fault for fault in CallFault if fault not in NOT_S3])
        self._others = _table(book, [fault for fault in CallFault if fault not in S3_ONLY])
        self._down_until: dict[str, int] = {}  # service -> virtual microseconds

    def at_call(self, call: Call) -> CallFault | None:
        if self._book.at_peace:
            return None
        if call.process.scheduler.now < self._down_until.get(call.service, 0):
            return CallFault.UNREACHABLE
        table = self._s3 if call.service == "s3" else self._others
        draw = self._rng.random()
        for upto, fault in table:
            if draw < upto:
                return self._count(fault, call)
        return None

    def begin_outage(self, service: str, until: int) -> None:
        """The service answers nobody before `until` (virtual microseconds)."""
        self._down_until[service] = max(until, self._down_until.get(service, 0))

    def _count(self, fault: CallFault, call: Call) -> CallFault | None:
        if fault is CallFault.SENT_TWICE and call.operation not in WRITES:
            return None
        self._book.count(fault.value, call.site)
        return fault


def _table(book: FaultBook, faults: list[CallFault]) -> list[tuple[float, CallFault]]:
    table: list[tuple[float, CallFault]] = []
    upto = 0.0
    for fault in faults:
        rate = book.rates.get(fault.value, 0.0)
        if rate > 0:
            upto += rate
            table.append((upto, fault))
    return table
