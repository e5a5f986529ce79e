"""What live runs cost, all of their hosts billed at once: each host's cost is divided among the runs it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spotproof.costs.host_bill import HostBill
from spotproof.costs.price_book import PriceBook
from spotproof.costs.run_cost import RunCost, bill_hosts, cost_of_bills
from spotproof.costs.worked_session import WorkedSession
from spotproof.leases.model import RunId
from spotproof_cli.exporter.worked import UNKNOWN

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBill:
    """A run's cost, and how it came about."""

    cost: RunCost
    by_lifecycle: Mapping[str, Decimal]  # adds up to cost.total_usd


def bills_of_runs(lives: Mapping[RunId, Sequence[WorkedSession]], *, book: PriceBook) -> dict[RunId, RunBill]:
    """The bill of each run, from the lives of its workers. A price that can't be had is an estimate, never an error."""
    bills = bill_hosts([life for of_run in lives.values() for life in of_run], book)
    by_lifecycle: dict[str, list[HostBill]] = {}
    for bill in bills:
        by_lifecycle.setdefault(bill.life.lifecycle or UNKNOWN, []).append(bill)
    return {
        run_id: RunBill(
            cost=cost_of_bills(bills, run_id=run_id),
            by_lifecycle={
                lifecycle: cost_of_bills(part, run_id=run_id).total_usd for lifecycle, part in by_lifecycle.items()
            },
        )
        for run_id in lives
    }
