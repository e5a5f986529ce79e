"""A damaged item of the table is told in every round, and stops nothing but what it is about."""

from typing import Any

import pytest

from spotproof import contract, events
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
