"""What a run has cost so far, and what it costs an hour as it is now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from spotproof.costs.cost_split import ZERO
from spotproof.costs.host_bill import HostBill
from spotproof.costs.price_book import PriceBook
from spotproof.costs.price_curve import QUANTUM
from spotproof.costs.run_cost import bill_hosts, cost_of_bills, part_of_host
from spotproof.costs.worked_session import SPOT, WorkedSession


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCost:
    """US dollars: what budgets and caps are compared with. Both count what nobody used of the run's hosts."""

    usd: Decimal
    usd_per_hour: Decimal
    unpriced_workers: int  # alive, on types without a known price: in neither number


def running_cost(sessions: Iterable[WorkedSession], *, run_id: str, book: PriceBook, now: datetime) -> RunningCost:
    """The run's cost up to now, and the present rate of the hosts that have a live worker of it.

    A host that may still turn out to be free (reclaimed within its first hour) counts until it is.

    Args:
        sessions: of the run, and of other runs on the same hosts as far as they are known.
        book: keep it between calls: it asks for a pool's prices once in ten minutes.
    """
    bills = bill_hosts(sessions, book, compare=False)
    alive = [bill for bill in bills if any(each.alive and each.run_id == run_id for each in bill.life.sessions)]
    return RunningCost(
        usd=cost_of_bills(bills, run_id=run_id).total_usd,
        usd_per_hour=sum((_rate(bill, book, run_id=run_id, now=now) for bill in alive), ZERO),
        unpriced_workers=sum(
            each.alive and each.run_id == run_id for bill in alive if bill.unpriced for each in bill.life.sessions
        ),
    )


def _rate(bill: HostBill, book: PriceBook, *, run_id: str, now: datetime) -> Decimal:
    """The host's price now, by the run's part of what workers have used of it so far."""
    life = bill.life
    listed = book.on_demand(life.instance_type)
    curve = (book.spot(life.instance_type, life.zone) or listed) if life.lifecycle == SPOT else listed
    if curve is None:
        return ZERO
    part = part_of_host(bill, run_id)
    return (curve.at(now) * part.numerator / part.denominator).quantize(QUANTUM)
