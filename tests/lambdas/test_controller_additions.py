"""The controller adds on-demand workers to a run that Spot leaves waiting."""

from dataclasses import replace
from typing import Any

import pytest

from lambdas import controller, wiring
from spotproof import events
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import RunId
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import Metrics, beat, block_queue, history, on_demand_worker, tick, waiting_run


def test_a_run_that_waits_for_spot_gets_on_demand_workers_at_the_threshold_once(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, _ = waiting_run(account, batch, fallback_after_s=300)
    account.clock.advance(299)
    assert tick(account)["on_demand_added"] == 0
    account.clock.advance(1)
    metrics()

    assert tick(account)["on_demand_added"] == 4
    assert metrics()[events.METRIC_ON_DEMAND_ADDED] == 4

    [job] = batch.submitted
    assert (job["jobQueue"], job["arrayProperties"]) == ("on-demand-queue", {"size": 4})
    assert job["parameters"]["run"] == "starved"
    assert job["tags"] == {"team": "delays"}
    for _ in range(10):
        account.clock.advance(60)
        assert tick(account)["on_demand_added"] == 0
    [entry] = history(account, run)
    assert (entry.kind, entry.facts["workers"], entry.facts["cause"]) == ("on-demand added", "4", "waited")
    assert "threshold 300 s" in entry.reason


def test_two_controllers_at_once_add_the_workers_once(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    run, _ = waiting_run(account, batch, fallback_after_s=300)
    account.clock.advance(301)
    stale = dict(batch.jobs)
    tick(account)
    batch.jobs = stale  # Batch does not list the new job yet
    other = controller.build(wiring.wire())

    account.clock.advance(5)
    other.tend_all(deadline=account.clock.monotonic() + 60, telemetry=controller.powertools)

    assert len(batch.submitted) == 1
    assert len(history(account, run)) == 1


def test_a_shard_that_was_interrupted_too_often_gets_its_on_demand_worker_without_waiting(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, job_id = waiting_run(account, batch, workers=1, on_demand_after=1)
    batch.become(job_id, RUNNING=1)
    worker = account.worker(run=run, batch_job_id=f"{job_id}:0")
    account.store.take_ticket(run, 0)
    account.store.hold(worker, 0, seq=1, until=worker.until)
    lease = account.store.claim_fresh(run, 0, worker)
    assert lease is not None
    account.store.release(lease, interrupted=True)

    assert tick(account)["on_demand_added"] == 1
    assert history(account, run)[0].facts["cause"] == "interrupted"


def test_a_blocked_queue_counts_until_its_job_has_started(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, job_id = waiting_run(account, batch)
    block_queue(account, job_id)

    assert tick(account)["on_demand_added"] == 4
    assert history(account, run)[0].facts["cause"] == "blocked"

    again, other_job = waiting_run(account, batch)
    assert again == run
    batch.become(job_id, RUNNING=4)
    batch.jobs[job_id]["status"] = "RUNNING"
    batch.submitted.clear()
    batch.jobs = {job_id: batch.jobs[job_id], other_job: batch.jobs[other_job]}
    account.clock.advance(120)
    assert tick(account)["on_demand_added"] == 0


def test_a_deadline_that_is_near_buys_workers(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    run, job_id = waiting_run(account, batch, workers=4, deadline_s=400.0)
    batch.become(job_id, RUNNING=1, RUNNABLE=3)
    worker = account.worker(run=run, batch_job_id=f"{job_id}:0")
    account.store.take_ticket(run, 0)
    account.store.hold(worker, 0, seq=1, until=worker.until)
    account.store.claim_fresh(run, 0, worker)
    account.clock.advance(200)

    assert tick(account)["on_demand_added"] > 0
    assert history(account, run)[0].facts["cause"] == "deadline"


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"on_demand_share_max": 0.5}, 2),
        ({"on_demand_workers_max": 1}, 1),
        ({"on_demand_share_max": 0.0}, 0),
        ({"on_demand_workers_max": 0}, 0),
        ({"usd_per_hour_max": 0.0001}, 0),
    ],
)
def test_the_runs_caps_hold_and_are_in_its_history(
    account: Account, bus: RecordingBus, batch: BatchWorld, options: dict[str, Any], added: int
) -> None:
    run, _ = waiting_run(account, batch, **options)
    account.clock.advance(601)

    assert tick(account)["on_demand_added"] == added
    for _ in range(3):
        account.clock.advance(60)
        tick(account)

    [entry] = history(account, run)  # said once, not each minute
    assert entry.kind == ("on-demand added" if added else "on-demand capped")
    assert next(iter(options)) in entry.reason


def test_a_run_submitted_to_on_demand_is_left_as_it_is(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    run, job_id = waiting_run(account, batch)
    batch.jobs[job_id]["jobQueue"] = batch.jobs[job_id]["jobQueue"].replace("spot-queue", "on-demand-queue")
    account.clock.advance(3600)

    assert tick(account)["on_demand_added"] == 0
    assert history(account, run) == []


def test_an_addition_whose_answer_was_lost_is_in_the_history_all_the_same(
    account: Account, bus: RecordingBus, batch: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = waiting_run(account, batch)
    account.clock.advance(601)
    topup = controller.warm().stuck.topup
    real = topup.submit_once

    def losing(request: Any) -> Any:
        real(request)
        raise AwsUnavailableError("the answer was lost")

    monkeypatch.setattr(topup, "submit_once", losing)
    assert tick(account)["failures"] == 1
    assert history(account, run) == []
    monkeypatch.setattr(topup, "submit_once", real)
    account.clock.advance(60)
    tick(account)

    [entry] = history(account, run)
    assert (entry.kind, entry.facts["workers"]) == ("on-demand added", "4")
    assert entry.at == to_epoch_ms(account.clock.now()) - 60_000
    assert len(batch.submitted) == 1


def test_a_run_that_an_on_demand_worker_planned_still_knows_its_spot_workers(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, spot_job = waiting_run(account, batch, workers=3)
    planner = batch.add("starved", queue="on-demand-queue", status="RUNNING")
    planned = account.store.create_run(
        replace(run, run_id=RunId("by-rescuer"), batch_job_id=planner, batch_queue="on-demand-queue")
    )
    for job_id in (spot_job, planner):
        batch.jobs[job_id]["parameters"]["run"] = "by-rescuer"
    rescuer = on_demand_worker(account, planned, planner)
    block_queue(account, spot_job)
    beat(account, rescuer)

    assert tick(account)["on_demand_added"] == 2  # three places, one of them filled
