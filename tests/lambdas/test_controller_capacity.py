"""The controller steers capacity: on-demand workers come, go, and are accounted for; budgets pause runs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lambdas import controller, wiring
from spotproof import contract, events
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.live_jobs import CANCELLED_BY_US
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.queue_blocks import QueueBlock, QueueBlocks
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import HistoryEntry, Ledger, Run, RunId, RunOptions, RunState, Session, StopKind
from tests.fakes.leases import HOUR, a_run, leased
from tests.lambdas.batch_world import CAPACITY, BatchWorld, RecordingBus
from tests.lambdas.conftest import Account

Metrics = Callable[[], dict[str, float]]


def tick(account: Account) -> Any:
    return controller.handler({}, account.context)


def waiting_run(account: Account, batch: BatchWorld, *, workers: int = 4, **options: Any) -> tuple[Run, str]:
    """A run of six shards whose first worker planned it and vanished; its Spot workers wait for hosts."""
    job_id = batch.add("starved", workers={"RUNNABLE": workers})
    account.store.cancel_run(account.run.run_id, reason="another test's")
    run = a_run(
        run_id=RunId("starved"), stripes=2, batch_job_id=f"{job_id}:0", batch_queue="spot-queue",
        options=RunOptions(**options), created_at=to_epoch_ms(account.clock.now()),
    )  # fmt: skip
    return account.store.create_run(run), job_id


def on_demand_worker(account: Account, run: Run, job_id: str, name: str = "rescuer") -> Session:
    return account.worker(name, run=run, lifecycle="on-demand", batch_job_id=job_id, instance_id=f"i-0{len(name):016}")


def beat(account: Account, *sessions: Session) -> None:
    """The workers go on living."""
    for session in sessions:
        stored = account.session(session)
        until = to_epoch_ms(account.clock.now()) + HOUR
        account.store.heartbeat(stored, seq=stored.seq + 1, until=until, ledger=Ledger())


def history(account: Account, run: Run) -> list[HistoryEntry]:
    """What was decided about the run, without why its workers wait."""
    return [entry for entry in account.store.history(run.run_id) if not entry.kind.startswith("waiting")]


def block_queue(account: Account, job_id: str) -> None:
    shared = wiring.wire()
    records = Records(dynamodb=account.dynamodb, table_name="table", retrier=shared.retrier)
    since = to_epoch_ms(account.clock.now())
    QueueBlocks(records).note(QueueBlock(queue="spot-queue", since=since, job_id=job_id, reason=CAPACITY))


def test_a_shard_that_lost_too_many_workers_is_counted_as_quarantined_at_once(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, job_id = waiting_run(account, batch, losses_max=1)
    leased(account.store, run, account.worker("first", run=run, batch_job_id=f"{job_id}:0"), 0)
    account.clock.advance(2 * 3600)
    metrics()

    tick(account)

    assert metrics()[events.METRIC_SHARDS_QUARANTINED] == 1


# --- coming ------------------------------------------------------------------------------------------------------


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


# --- what is seen of all runs ------------------------------------------------------------------------------------


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


# --- going -------------------------------------------------------------------------------------------------------


def rescued_run(account: Account, batch: BatchWorld) -> tuple[Run, str, str, Session]:
    """Two Spot workers wait; two on-demand workers were added, and one of them lives."""
    run, spot_job = waiting_run(account, batch, workers=2)
    account.clock.advance(601)
    assert tick(account)["on_demand_added"] == 2
    [added] = set(batch.jobs) - {spot_job}
    batch.become(added, RUNNING=1, RUNNABLE=1)
    return run, spot_job, added, on_demand_worker(account, run, f"{added}:0")


def test_when_spot_is_back_waiting_jobs_are_cancelled_and_workers_retire_after_their_shard(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, spot_job, added, rescuer = rescued_run(account, batch)
    batch.become(spot_job, RUNNING=2)
    back = [account.worker(f"back-{n}", run=run, batch_job_id=f"{spot_job}:{n}") for n in range(2)]
    account.clock.advance(60)
    metrics()

    assert tick(account)["on_demand_retired"] == 2
    assert metrics()[events.METRIC_ON_DEMAND_RETIRED] == 2

    assert batch.cancelled == [(added, f"{CANCELLED_BY_US}{history(account, run)[-1].reason}")]
    stop = account.session(rescuer).stop
    assert stop is not None
    assert stop.kind is StopKind.RETIRED
    assert all(account.session(each).stop is None for each in back)
    assert history(account, run)[-1].kind == "on-demand retired"
    batch.become(added, RUNNING=1)
    account.clock.advance(60)
    assert tick(account)["on_demand_retired"] == 0  # one that is told to go is not told again


def test_with_spot_partly_back_the_surplus_goes_and_the_rest_when_no_cause_has_held_for_half_the_threshold(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, spot_job, added, rescuer = rescued_run(account, batch)
    batch.become(added, RUNNING=2)
    other = on_demand_worker(account, run, f"{added}:1", "another")
    batch.become(spot_job, RUNNING=1, RUNNABLE=1)
    back = account.worker("back", run=run, batch_job_id=f"{spot_job}:0")

    account.clock.advance(60)
    assert tick(account)["on_demand_retired"] == 1
    batch.become(added, RUNNING=2)
    account.clock.advance(239)
    assert tick(account)["on_demand_retired"] == 0
    account.clock.advance(1)

    assert tick(account)["on_demand_retired"] == 1
    assert account.session(back).stop is None
    assert all(account.session(each).stop is not None for each in (rescuer, other))


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


def test_on_demand_workers_that_a_person_submitted_are_never_retired(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    run, spot_job = waiting_run(account, batch, workers=2)
    theirs = batch.add("starved", queue="on-demand-queue", workers={"RUNNING": 2, "RUNNABLE": 1})
    own = [on_demand_worker(account, run, f"{theirs}:{n}", f"own-{'x' * n}") for n in range(2)]
    batch.become(spot_job, RUNNING=2)
    for number in range(2):
        account.worker(f"spot-{number}", run=run, batch_job_id=f"{spot_job}:{number}")
    account.clock.advance(3000)
    beat(account, *own)

    assert tick(account)["on_demand_retired"] == 0
    assert batch.cancelled == []


def test_while_spot_workers_live_in_a_pool_that_loses_hosts_nobody_is_retired(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    run, spot_job, _, _ = rescued_run(account, batch)
    batch.become(spot_job, RUNNING=2)
    for number in range(2):
        account.worker(f"back-{number}", run=run, batch_job_id=f"{spot_job}:{number}")
    records = Records(dynamodb=account.dynamodb, table_name="table", retrier=wiring.wire().retrier)
    for number in range(3):
        lost = Interruption(at=to_epoch_ms(account.clock.now()) + number, instance_id=f"i-{number:017x}")
        PoolRecords(records).note_interruption("m6i.large/us-east-1a", lost, BreakerSettings())
    account.clock.advance(60)
    metrics()

    done = tick(account)

    assert (done["on_demand_retired"], done["pools_open"]) == (0, 1)
    assert metrics()[events.METRIC_POOLS_OPEN] == 1


# --- budgets -----------------------------------------------------------------------------------------------------


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


# --- before there is a run ---------------------------------------------------------------------------------------


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


# --- words -------------------------------------------------------------------------------------------------------


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
