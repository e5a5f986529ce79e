"""Budgets: a run is paused only when it has cost what it may cost."""

from decimal import Decimal
from typing import Final

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import run_from_item
from simulation.kernel.scheduler import MICROSECONDS
from spotproof import contract
from spotproof.costs.prices import load_on_demand_prices
from spotproof.leases.model import RunState

BY: Final = frozenset({"controller"})  # people pause runs for reasons of their own
MINIMUM_S: Final = 60.0  # EC2 bills so much of every instance
UNKNOWN_END_S: Final = 600.0  # what vanished is taken to have lived until somebody saw that it had not


class BudgetCheck(Check):
    """Compares with the most that the run can have cost: all of every host's life, at the on-demand price."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._prices = load_on_demand_prices()
        self.paused = 0

    def wrote(self, write: TableWrite) -> None:
        if write.new is None or write.old is None or write.sort != contract.RUN_SK or write.call is None:
            return
        before, after = run_from_item(write.old), run_from_item(write.new)
        if before.state is RunState.PAUSED or after.state is not RunState.PAUSED or write.call.process.kind not in BY:
            return
        self.paused += 1
        budget, most = before.budget_usd, self._most_usd()
        words = f"the run was paused at ${budget}, and has cost ${most:.5f} at most: {after.reason}"
        self.report.require(budget is not None and most >= Decimal(str(budget)), "budget", words)

    def _most_usd(self) -> Decimal:
        """US dollars."""
        usd = Decimal(0)
        slack_s = UNKNOWN_END_S + 2 * self.world.skew_max_ms / 1000
        for instance in self.world.fleet.instances.values():
            ended = instance.ended_at if instance.ended_at is not None else self.report.now
            lived_s = max(MINIMUM_S, (ended - instance.launched_at) / MICROSECONDS) + slack_s
            usd += self._prices[instance.type].usd_per_hour * Decimal(lived_s) / 3600
        return usd
