"""What the Router asks of the table, and how little of it a pool needs that loses no hosts."""

from dataclasses import replace

import pytest

from lambdas import controller
from lambdas.controlling.routing import Router
from spotproof import contract
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.routing import RouteDecision
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Run, Session
from tests.lambdas.batch_world import BatchWorld
from tests.lambdas.conftest import Account

POOL = "m6i.large/us-east-1a"
JOB = "job-0:1"


class CountingHeadroom:
    """Room for one more; counts how often the caps are asked about, each time at the price of all markers."""

    def __init__(self, router: Router) -> None:
        self.asked = 0
        self._headroom = router.headroom

    def of(self, run: Run, sessions: list[Session], *, ended: str, vcpus: float, workers: int) -> object:
        self.asked += 1
        return self._headroom.of(run, sessions, ended=ended, vcpus=vcpus, workers=workers)


@pytest.fixture
def router(account: Account, batch: BatchWorld) -> Router:
    return controller.warm().stuck.router


def storm(account: Account, router: Router) -> None:
    for number in range(3):
        at = to_epoch_ms(account.clock.now()) + number
        router.pools.note_interruption(POOL, Interruption(at=at, instance_id=f"i-{number:017}"), BreakerSettings())


def routed(account: Account, router: Router) -> tuple[RouteDecision, int]:
    counting = CountingHeadroom(router)
    decision = replace(router, headroom=counting).route(account.run, batch_job_id=JOB, vcpus=1.0, workers=4)  # type: ignore[arg-type]
    return decision, counting.asked


def test_caps_are_asked_about_only_where_on_demand_is_a_choice(account: Account, router: Router) -> None:
    unknown, asked_of_unknown = routed(account, router)
    account.worker(batch_job_id=JOB)
    closed, asked_of_closed = routed(account, router)
    storm(account, router)
    opened, asked_of_open = routed(account, router)
    account.clock.advance(BreakerSettings().recovery_s + 1)
    probing, asked_of_probe = routed(account, router)
    after, asked_after = routed(account, router)

    assert (asked_of_unknown, asked_of_closed, asked_of_open, asked_of_probe, asked_after) == (0, 0, 1, 0, 1)
    assert [each.on_demand for each in (unknown, closed, opened, probing, after)] == [False, False, True, False, True]
    assert probing.probes
    assert not after.probes


def test_a_pool_with_a_damaged_record_counts_as_closed_and_the_decision_says_so(
    account: Account, router: Router
) -> None:
    account.worker(batch_job_id=JOB)
    account.dynamodb.put_item(
        TableName="table", Item={"pk": {"S": contract.POOLS_PK}, "sk": {"S": POOL}, "opened_at": {"S": "noon"}}
    )

    decision, asked = routed(account, router)

    assert (decision.on_demand, decision.probes, asked) == (False, False, 0)
    assert f"the item of '{POOL}' is damaged" in decision.reason
