"""Lease store on one DynamoDB table, with conditional writes."""

from spotproof.clock import Clock
from spotproof.concurrency import ThreadSpawner
from spotproof.leases.table import Table, TableClient, Usage, UsageMeter
from spotproof.leases.transitions.claims import ClaimTransitions
from spotproof.leases.transitions.completion import CompletionReadings
from spotproof.leases.transitions.history import HistoryTransitions
from spotproof.leases.transitions.leased import LeasedTransitions
from spotproof.leases.transitions.runs import RunTransitions
from spotproof.leases.transitions.sessions import SessionTransitions
from spotproof.leases.transitions.takings import TakingTransitions
from spotproof.retries import Retrier


class DynamoDBLeaseStore(
    RunTransitions,
    SessionTransitions,
    ClaimTransitions,
    LeasedTransitions,
    TakingTransitions,
    CompletionReadings,
    HistoryTransitions,
):
    """Implements spotproof.leases.store.LeaseStore; safe to share between threads if `retrier` is."""

    def __init__(self, client: TableClient, table_name: str, clock: Clock, retrier: Retrier) -> None:
        """`client`: botocore's DynamoDB client, without retries of its own, or an in-memory table."""
        meter = UsageMeter(lock=ThreadSpawner().lock())
        super().__init__(table=Table(client=client, name=table_name, retrier=retrier, meter=meter), clock=clock)

    def usage(self) -> Usage:
        """Requests and units so far, for the cost line."""
        return self._table.meter.usage()
