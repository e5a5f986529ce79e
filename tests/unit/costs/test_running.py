"""What a run has cost so far and costs an hour now: what budgets and caps are compared with."""

from decimal import Decimal

from spotproof.costs.running import RunningCost, running_cost
from spotproof.costs.worked_session import WorkedSession
from tests.unit.costs.builders import T0, Market, a_book, minutes, step, worked


def running(*sessions: WorkedSession, market: Market | None = None, run_id: str = "r") -> RunningCost:
    book = a_book(market or Market(step("0.04"), step("0.06", since=30)))
    return running_cost(sessions, run_id=run_id, book=book, now=T0 + minutes(60))


def test_a_host_counts_from_its_launch_with_what_nobody_uses_of_it_at_the_price_of_now() -> None:
    found = running(worked(since=10, until=60, alive=True))

    assert (found.usd, found.usd_per_hour) == (Decimal("0.05"), Decimal("0.06"))


def test_hosts_without_a_live_worker_have_a_past_and_no_rate() -> None:
    found = running(worked("a", until=30), worked("b", until=60, instance_id="i-2", alive=True, lifecycle="on-demand"))

    assert (found.usd, found.usd_per_hour) == (Decimal("0.02") + Decimal("0.096"), Decimal("0.096"))


def test_another_runs_worker_on_the_host_takes_its_part() -> None:
    sessions = [worked("a", until=60, alive=True), worked("b", until=60, alive=True, run_id="other")]

    assert running(*sessions) == running(*sessions, run_id="other")
    assert running(*sessions).usd == Decimal("0.025")
    assert running(*sessions).usd_per_hour == Decimal("0.03")


def test_a_host_counts_until_its_reclaim_makes_it_free() -> None:
    assert running(worked(until=50, alive=True)).usd > 0
    assert running(worked(until=50, reclaimed_at=T0 + minutes(52))).usd == 0


def test_a_worker_that_nothing_can_price_is_counted() -> None:
    found = running(worked(until=60, alive=True, instance_type="x9.odd"), market=Market())

    assert found == RunningCost(usd=Decimal(0), usd_per_hour=Decimal(0), unpriced_workers=1)


def test_a_run_that_has_no_worker_costs_nothing() -> None:
    assert running() == RunningCost(usd=Decimal(0), usd_per_hour=Decimal(0), unpriced_workers=0)
