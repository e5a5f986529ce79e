"""The controller begins runs that no Spot worker came to plan."""

import pytest

from spotproof.leases.model import RunId
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import tick


def test_workers_that_wait_before_anybody_planned_the_run_get_one_on_demand_worker(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    batch.add("unborn", workers={"RUNNABLE": 3}, options="fallback_after_s=120")
    account.clock.advance(119)
    tick(account)
    assert batch.submitted == []
    account.clock.advance(1)

    assert tick(account)["on_demand_added"] == 1
    for _ in range(5):
        account.clock.advance(300)
        tick(account)

    [job] = [job for job in batch.submitted if job["parameters"]["run"] == "unborn"]
    assert job["jobQueue"] == "on-demand-queue"
    assert "arrayProperties" not in job
    [entry] = [entry for entry in account.store.history(RunId("unborn")) if entry.kind == "on-demand added"]
    assert "nobody has planned the run" in entry.reason


def test_a_first_worker_that_died_before_it_planned_has_a_successor_after_ten_minutes(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    """Spot was gone for good, and nobody else would have begun the run (seeds 1906, 3324, 3398 of the simulation)."""
    spot = batch.add("unborn", workers={"RUNNABLE": 3}, options="fallback_after_s=120")
    account.clock.advance(120)
    assert tick(account)["on_demand_added"] == 1
    (first,) = batch.jobs.keys() - {spot}
    batch.jobs[first]["status"] = "FAILED"

    account.clock.advance(240)
    too_early = tick(account)["on_demand_added"]
    account.clock.advance(240)
    again = tick(account)["on_demand_added"]
    account.clock.advance(60)
    no_third = tick(account)["on_demand_added"]

    assert (too_early, again, no_third) == (0, 1, 0)
    assert [job["parameters"]["run"] for job in batch.submitted] == ["unborn", "unborn"]


@pytest.mark.parametrize(
    ("workers", "options"),
    [
        ({"RUNNABLE": 3}, "on_demand_share_max=0"),
        ({"RUNNABLE": 3}, "ttl_s=never"),  # a worker will say so
        ({"RUNNABLE": 2, "STARTING": 1}, "auto"),  # it is about to plan
    ],
)
def test_otherwise_nobody_begins_it(
    account: Account, bus: RecordingBus, batch: BatchWorld, workers: dict[str, int], options: str
) -> None:
    batch.add("unborn", workers=workers, options=options)
    account.clock.advance(3600)

    assert tick(account)["on_demand_added"] == 0
