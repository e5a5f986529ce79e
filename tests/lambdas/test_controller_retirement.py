"""The controller gives on-demand workers back when Spot is there again."""

from lambdas import controller, wiring
from spotproof import events
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.live_jobs import CANCELLED_BY_US
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Run, Session, StopKind
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import Metrics, beat, history, on_demand_worker, tick, waiting_run


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
    [noted] = controller.warm().stuck.topup.submitted(run.run_id)
    assert (noted.job_id, noted.workers) == (added, 1)  # the other one does not come any more
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
