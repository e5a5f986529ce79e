"""What a run costs now, and what one more on-demand worker would: for budgets and caps."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from spotproof.clock import Clock, to_epoch_ms
from spotproof.commits.worked_sessions import worked_sessions
from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import InstancePrice
from spotproof.costs.running import running_cost
from spotproof.leases.model import Run, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """US dollars; None where nobody asked, because the run has no limit that needs it."""

    spent_usd: float | None = None
    usd_per_hour: float | None = None
    on_demand_usd_per_hour: float | None = None  # of one more worker


class Till:
    """Counts a run's money only if one of its options needs it: prices take requests to EC2, one a pool in 10 minutes."""

    def __init__(self, *, book: PriceBook, list_prices: Sequence[InstancePrice], clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._usd_per_vcpu = float(statistics.median(each.usd_per_hour / each.vcpus for each in list_prices))

    def count(self, run: Run, sessions: Sequence[Session], *, vcpus: float) -> Money:
        """`vcpus`: of one worker, as it was submitted."""
        if run.budget_usd is None and run.options.usd_per_hour_max is None:
            return Money()
        now = self._clock.now()
        worked = worked_sessions(sessions, now_ms=to_epoch_ms(now))
        cost = running_cost(worked, run_id=run.run_id, book=self._book, now=now)
        return Money(
            spent_usd=float(cost.usd),
            usd_per_hour=float(cost.usd_per_hour),
            on_demand_usd_per_hour=self._on_demand_rate(sessions, vcpus),
        )

    def _on_demand_rate(self, sessions: Sequence[Session], vcpus: float) -> float:
        """The median of the run's own hosts' list prices for a worker's share; of all listed types before it has any."""
        rates = [
            float(price.usd_per_hour / price.vcpus) * (session.host.vcpus or vcpus)
            for session in sessions
            if (price := self._book.size_of(session.host.instance_type)) is not None
        ]
        return statistics.median(rates) if rates else self._usd_per_vcpu * vcpus
