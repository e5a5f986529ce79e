"""The controller pauses runs that cost their budget."""

from lambdas import controller
from spotproof import contract, events
from spotproof.leases.model import Run, RunState, Session, StopKind
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import Metrics, beat, history, tick, waiting_run


def costly_run(account: Account, batch: BatchWorld) -> tuple[Run, str, Session]:
    """One worker has run on demand for hours; others wait."""
    run, job_id = waiting_run(account, batch, usd_max=0.05)
    batch.become(job_id, RUNNING=1, RUNNABLE=3)
    worker = account.worker(run=run, lifecycle="on-demand", batch_job_id=f"{job_id}:0")
    account.clock.advance(4 * 3600)
    beat(account, worker)
    return run, job_id, worker


def test_a_run_that_cost_its_budget_is_paused_and_everybody_is_told_once(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, job_id, worker = costly_run(account, batch)
    metrics()

    assert tick(account)["paused"] == 1
    assert metrics()[events.METRIC_RUNS_PAUSED] == 1
    account.clock.advance(60)
    assert tick(account)["paused"] == 0

    stored = account.store.get_run(run.run_id)
    assert stored is not None
    assert stored.state is RunState.PAUSED
    assert stored.reason is not None
    assert "budget of $0.05" in stored.reason
    stop = account.session(worker).stop
    assert stop is not None
    assert stop.kind is StopKind.PAUSED
    assert [job for job, _ in batch.cancelled] == [job_id]
    assert bus.runs(contract.DETAIL_RUN_PAUSED) == ["starved"]
    assert [entry.kind for entry in history(account, run)] == ["paused"]
    assert batch.submitted == []


def test_a_pause_that_the_bus_did_not_take_is_announced_later_and_holds_meanwhile(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, job_id, _ = costly_run(account, batch)
    bus.refused = contract.DETAIL_RUN_PAUSED
    assert tick(account)["failures"] == 1
    assert [job for job, _ in batch.cancelled] == [job_id]
    assert history(account, run) == []

    account.clock.advance(60)
    assert tick(account)["failures"] == 1
    bus.refused = ""
    for _ in range(3):
        account.clock.advance(60)
        assert tick(account)["failures"] == 0

    assert bus.runs(contract.DETAIL_RUN_PAUSED) == ["starved"]
    assert [entry.kind for entry in history(account, run)] == ["paused"]


def test_a_controller_that_begins_anew_does_not_announce_an_old_pause_again(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    costly_run(account, batch)
    tick(account)
    controller.warm.cache_clear()  # another execution environment

    account.clock.advance(60)
    tick(account)

    assert bus.runs(contract.DETAIL_RUN_PAUSED) == ["starved"]


def test_workers_that_come_to_a_paused_run_are_sent_away(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, _, _ = costly_run(account, batch)
    tick(account)
    late = account.worker("late", run=run)
    joined = batch.add("starved", workers={"RUNNABLE": 2})

    account.clock.advance(60)
    tick(account)

    stop = account.session(late).stop
    assert stop is not None
    assert stop.kind is StopKind.PAUSED
    assert joined in [job for job, _ in batch.cancelled]


def test_resumed_with_more_money_it_goes_on_and_is_not_paused_again(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, _, _ = costly_run(account, batch)
    tick(account)
    account.store.resume_run(run.run_id, usd_max=100.0)

    account.clock.advance(60)
    assert tick(account)["paused"] == 0
    stored = account.store.get_run(run.run_id)
    assert stored is not None
    assert stored.state is RunState.RUNNING
