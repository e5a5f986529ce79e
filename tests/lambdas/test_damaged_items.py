"""A damaged item of the table is told in every round, and stops nothing but what it is about."""

from typing import Any

import pytest

from lambdas import controller
from lambdas.controlling.stuck import STUCK_EVERY_MS
from spotproof import contract, events
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Ledger, RunId
from tests.fakes.leases import a_run
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account
from tests.lambdas.waiting_runs import Metrics, tick, waiting_run

POOL = "m6i.large/us-east-1a"
DAMAGED: list[dict[str, Any]] = [
    {"interruptions": {"S": "two"}, "version": {"N": "1"}},
    {"opened_at": {"S": "noon"}, "version": {"N": "1"}},
    {"interruptions": {"L": []}},  # of no version
]


def put(account: Account, partition: str, sort: str, **content: Any) -> None:
    account.dynamodb.put_item(TableName="table", Item={"pk": {"S": partition}, "sk": {"S": sort}, **content})


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(each)["error"] for each in caplog.records if each.msg == events.CONTROLLER_FAILED]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize(("partition", "sort"), [(contract.POOLS_PK, POOL), (contract.QUEUES_PK, "spot-queue")])
def test_a_damaged_pool_or_queue_is_told_and_runs_get_their_workers_all_the_same(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, caplog: pytest.LogCaptureFixture,
    partition: str, sort: str, content: dict[str, Any],
) -> None:  # fmt: skip
    waiting_run(account, batch, fallback_after_s=300)
    put(account, partition, sort, **content)
    account.clock.advance(301)

    assert tick(account)["on_demand_added"] == 4
    assert metrics()[events.METRIC_CONTROLLER_FAILURES] == 1
    [told] = failures(caplog)
    assert f"the item of {sort!r} is damaged" in told


def test_a_damaged_run_whose_workers_wait_stops_no_other(
    account: Account, bus: RecordingBus, batch: BatchWorld, caplog: pytest.LogCaptureFixture
) -> None:
    put(account, contract.run_pk("broken"), contract.RUN_SK, state={"S": "RUNNING"})
    batch.add("broken", workers={"RUNNABLE": 2})
    account.clock.advance(1)
    batch.add("unplanned", workers={"RUNNABLE": 2})
    account.clock.advance(601)

    assert tick(account)["on_demand_added"] == 1
    assert [job["parameters"]["run"] for job in batch.submitted] == ["unplanned"]
    assert any(told.startswith("broken: ") for told in failures(caplog))


def abandoned(account: Account, batch: BatchWorld, run_id: str) -> None:
    """A run that nobody works on, whose only worker came from Batch and is gone."""
    job_id = batch.add(run_id, status="FAILED")
    run = account.store.create_run(a_run(run_id=RunId(run_id), batch_job_id=job_id))
    worker = account.worker(f"of-{run_id}", run=run, batch_job_id=job_id)
    account.store.end_session(worker, ledger=Ledger())


@pytest.mark.parametrize(
    ("sort", "content"),
    [
        ("HOLD", {"since": {"S": "noon"}, "reason": {"S": "cancelled"}}),
        ("HOLD", {"reason": {"S": "cancelled"}}),
        ("KEY#stuck", {"job_queue": {"S": "on-demand-queue"}, "workers": {"N": "-4"}}),
        ("KEY#stuck", {"claimant": {"N": "7"}}),
        ("KEY#stuck", {"job_id": {"L": []}, "job_queue": {"S": "spot-queue"}}),
        ("KEY#stuck", {"claimant": {"S": "x"}, "until": {"N": "1.5"}, "job_queue": {"S": "spot-queue"}}),
        ("COUNT#stuck", {"count": {"S": "twenty"}}),
    ],
)
@pytest.mark.parametrize("order", [("broken", "sound"), ("sound", "broken")])
def test_a_damaged_hold_marker_or_counter_of_one_run_leaves_the_others_their_workers(
    account: Account, bus: RecordingBus, batch: BatchWorld, caplog: pytest.LogCaptureFixture,
    sort: str, content: dict[str, Any], order: tuple[str, str],
) -> None:  # fmt: skip
    account.store.cancel_run(account.run.run_id, reason="another test's")
    for run_id in order:
        abandoned(account, batch, run_id)
    slot = to_epoch_ms(account.clock.now()) // STUCK_EVERY_MS
    put(account, contract.topups_pk("broken"), sort.replace("KEY#stuck", f"KEY#stuck-{slot}"), **content)
    for number in range(3):  # its pool is left alone, so the markers are read
        at = to_epoch_ms(account.clock.now()) - number
        host = Interruption(at=at, instance_id=f"i-{number:017}")
        controller.warm().stuck.router.pools.note_interruption(POOL, host, BreakerSettings())

    tick(account)

    assert [job["parameters"]["run"] for job in batch.submitted] == ["sound"]
    [told] = failures(caplog)
    assert told.startswith("broken: ")
