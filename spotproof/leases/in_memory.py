"""Lease store on a table in this process: the same statements, for tests and simulations."""

from typing import Final

from spotproof.clock import Clock
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.retries import Retrier

IN_MEMORY_TABLE: Final = "in-memory"


class InMemoryLeaseStore(DynamoDBLeaseStore):
    """Implements spotproof.leases.store.LeaseStore; stores that share a table see each other's writes."""

    def __init__(self, *, clock: Clock, retrier: Retrier, table: InMemoryTable | None = None) -> None:
        table = table or InMemoryTable(IN_MEMORY_TABLE)
        super().__init__(table, table.name, clock, retrier)
