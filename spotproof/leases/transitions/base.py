"""What every group of transitions works with: the table and the time."""

from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.attribute_values import Plain
from spotproof.leases.model import Ledger
from spotproof.leases.table import Table


class Transitions:
    """Base of the groups; a store is made of all of them."""

    def __init__(self, *, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def _now(self) -> int:
        return to_epoch_ms(self._clock.now())


def ledger_values(ledger: Ledger) -> dict[str, Plain]:
    return {
        ":work_ms": ledger.work_ms,
        ":checkpoint_ms": ledger.checkpoint_ms,
        ":idle_ms": ledger.idle_ms,
        ":redone_ms": ledger.redone_ms,
    }
