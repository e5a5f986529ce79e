"""What a run costs, from the table and the prices of now: while it goes on, and afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spotproof.clock import Clock, to_epoch_ms
from spotproof.commits.worked_sessions import neighbours, worked_sessions
from spotproof.costs.forecast import Forecast, forecast_cost
from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import EC2SpotPrices, load_on_demand_prices
from spotproof.costs.run_cost import RunCost, run_cost
from spotproof.costs.running import RunningCost, running_cost
from spotproof.costs.shard_cost import ShardCosts, ShardWork, shard_costs, work_usd
from spotproof.leases.model import Run, Shard, ShardState

if TYPE_CHECKING:
    from spotproof.leases.store import LeaseStore
    from spotproof_cli.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class CostView:
    """One reading of a run's cost."""

    cost: RunCost
    running: RunningCost
    shards: ShardCosts  # the finished ones whose workers told what they took
    forecast: Forecast | None  # None when the run has ended, or before anything is known


class CostReader:
    """Reads what runs cost; prices are asked for once."""

    def __init__(self, *, store: "LeaseStore", book: PriceBook, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._clock = clock

    def view(self, run: Run) -> CostView:
        """The run's cost now; reads every session and every shard's row.

        Raises:
            AwsError: the table refused or stayed unavailable. Prices that can't be had are estimates instead.
        """
        now = self._clock.now()
        own = list(self._store.sessions(run))
        sessions = worked_sessions([*own, *neighbours(self._store, run, own)], now_ms=to_epoch_ms(now))
        rows = list(self._store.shards(run))
        cost = run_cost(sessions, run_id=run.run_id, book=self._book)
        shards = shard_costs(_works(rows), cost)
        return CostView(
            cost=cost,
            running=running_cost(sessions, run_id=run.run_id, book=self._book, now=now),
            shards=shards,
            forecast=None if run.state.ended else _forecast(run, rows, cost, shards),
        )

    def running(self, run: Run) -> RunningCost:
        """What the run's budget is compared with, counted as the controller does: without other runs on the hosts."""
        now = self._clock.now()
        sessions = worked_sessions(self._store.sessions(run), now_ms=to_epoch_ms(now))
        return running_cost(sessions, run_id=run.run_id, book=self._book, now=now)


def cost_reader(deployment: "Deployment", clock: Clock) -> CostReader:
    """A reader of the deployment's runs."""
    spot = EC2SpotPrices(client=deployment.clients.ec2, retrier=deployment.retrier)
    book = PriceBook(on_demand=load_on_demand_prices(), spot=spot)
    return CostReader(store=deployment.store, book=book, clock=clock)


def _works(rows: Iterable[Shard]) -> list[ShardWork]:
    return [
        ShardWork(
            index=row.index,
            session_id=row.usage.session,
            worked_ms=row.usage.worked_ms,
            earlier_ms=row.earlier_ms,
        )
        for row in rows
        if row.state is ShardState.DONE and row.usage is not None
    ]


def _forecast(run: Run, rows: Sequence[Shard], cost: RunCost, shards: ShardCosts) -> Forecast | None:
    return forecast_cost(
        spent_usd=cost.total_usd,
        work_usd=work_usd(cost),
        finished_usd=[each.usd for each in shards.shards],
        shards_left=run.shards - sum(row.state.final for row in rows),
    )
