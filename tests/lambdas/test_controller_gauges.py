"""The controller measures all runs at one moment, and says why their workers wait."""

from typing import Any

import pytest

from spotproof import events
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import RunId
from tests.fakes.leases import a_run, leased
from tests.lambdas.batch_world import CAPACITY, BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import Metrics, beat, tick, waiting_run


def test_the_work_and_the_workers_of_all_runs_are_measured_each_round(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, job_id = waiting_run(account, batch, fallback_after_s=3600)
    worker = account.worker("first", run=run, batch_job_id=f"{job_id}:0")
    account.store.take_ticket(run, run.stripe_of(0))
    leased(account.store, run, worker, 0)
    account.clock.advance(300)
    beat(account, worker)
    metrics()

    tick(account)

    emitted = metrics()
    assert emitted[events.METRIC_RUNS_ACTIVE] == 1
    assert (emitted[events.METRIC_SHARDS_LEASED], emitted[events.METRIC_SHARDS_DONE]) == (1, 0)
    assert emitted[events.METRIC_SHARDS_CLAIMABLE] == 5
    assert (emitted[events.METRIC_SPOT_WORKERS], emitted[events.METRIC_ON_DEMAND_WORKERS]) == (1, 0)
    assert emitted[events.METRIC_OLDEST_CLAIMABLE_S] == 0  # a worker takes one after the other


def test_the_longest_wait_is_that_of_the_run_on_which_nobody_works(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    waiting_run(account, batch, fallback_after_s=3600)
    account.clock.advance(900)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_OLDEST_CLAIMABLE_S] == 900


@pytest.mark.parametrize(("queue", "reason"), [("spot-queue", CAPACITY), ("on-demand-queue", "")])
def test_a_run_that_nobody_has_begun_waits_since_it_was_submitted(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, queue: str, reason: str
) -> None:
    account.store.cancel_run(account.run.run_id, reason="another test's")
    batch.add("unborn", queue=queue, workers={"RUNNABLE": 3}, options="on_demand_share_max=0", statusReason=reason)
    account.clock.advance(400)
    batch.add("later", workers={"RUNNABLE": 3}, options="on_demand_share_max=0")
    account.clock.advance(500)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_OLDEST_CLAIMABLE_S] == 900


@pytest.mark.parametrize("workers", [{"RUNNABLE": 2, "STARTING": 1}, {"RUNNABLE": 2, "RUNNING": 1}])
def test_a_run_of_which_one_worker_has_started_is_about_to_begin(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, workers: dict[str, int]
) -> None:
    account.store.cancel_run(account.run.run_id, reason="another test's")
    batch.add("unborn", workers=workers, options="on_demand_share_max=0")
    account.clock.advance(900)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_OLDEST_CLAIMABLE_S] == 0


def test_a_run_that_was_paused_before_its_workers_left_the_queue_waits_for_a_person(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, _ = waiting_run(account, batch, fallback_after_s=3600)
    account.store.pause_run(run.run_id, reason="enough")
    account.clock.advance(900)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_OLDEST_CLAIMABLE_S] == 0


def test_a_run_that_nobody_may_add_workers_to_is_measured_too(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    account.worker("by-hand", batch_job_id="")
    metrics()

    tick(account)

    emitted = metrics()
    assert (emitted[events.METRIC_RUNS_ACTIVE], emitted[events.METRIC_SHARDS_CLAIMABLE]) == (1, account.run.shards)
    assert emitted[events.METRIC_SPOT_WORKERS] == 1


def test_without_a_look_at_batch_nothing_is_said_about_the_runs(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise AwsUnavailableError("Batch does not answer")

    monkeypatch.setattr("lambdas.controlling.look.Lookout.look", refuse)
    metrics()

    tick(account)

    emitted = metrics()
    assert emitted[events.METRIC_CONTROLLER_FAILURES] == 1
    assert events.METRIC_SHARDS_CLAIMABLE not in emitted  # nought would say that all is done


def test_a_shard_that_lost_too_many_workers_is_counted_as_quarantined_at_once(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, job_id = waiting_run(account, batch, losses_max=1)
    leased(account.store, run, account.worker("first", run=run, batch_job_id=f"{job_id}:0"), 0)
    account.clock.advance(2 * 3600)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_SHARDS_QUARANTINED] == 1


def test_workers_that_wait_are_explained_in_the_log_and_once_in_the_history(
    account: Account, bus: RecordingBus, batch: BatchWorld, caplog: pytest.LogCaptureFixture
) -> None:
    run, job_id = waiting_run(account, batch, on_demand_share_max=0.0)
    batch.jobs[job_id]["statusReason"] = CAPACITY
    account.clock.advance(100)

    for _ in range(3):
        tick(account)
        account.clock.advance(60)

    said = [vars(record) for record in caplog.records if record.msg == events.WORKERS_WAITING]
    assert [(each["kind"], each["run_id"]) for each in said] == [("no_capacity", run.run_id)] * 3
    [entry] = [entry for entry in account.store.history(run.run_id) if entry.kind.startswith("waiting")]
    assert entry.facts["advice"]


@pytest.mark.parametrize(
    ("reason", "stuck"),
    [("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - The job is too big", 3), (CAPACITY, 0)],
)
def test_workers_that_only_a_person_can_help_are_counted_also_of_a_run_that_nobody_began(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, reason: str, stuck: int
) -> None:
    job_id = batch.add("unborn", workers={"RUNNABLE": 3}, options="on_demand_share_max=0")
    batch.jobs[job_id]["statusReason"] = reason
    account.clock.advance(100)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_WORKERS_STUCK] == stuck


def test_a_round_asks_batch_as_often_whatever_the_number_of_runs(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    for number in range(5):
        job_id = batch.add(f"run-{number}", workers={"RUNNING": 1})
        run = account.store.create_run(a_run(run_id=RunId(f"run-{number}"), batch_job_id=f"{job_id}:0"))
        account.worker(f"w{number}", run=run, batch_job_id=f"{job_id}:0")
    account.store.cancel_run(account.run.run_id, reason="enough")
    tick(account)
    batch.calls.clear()
    account.clock.advance(60)

    tick(account)

    assert batch.calls == {"list_jobs": 10, "describe_jobs": 1, "get_job_queue_snapshot": 2}
