"""A blocked queue: remembered, a run that nobody could plan is begun, a misconfiguration explained."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lambdas import queue_blocked
from spotproof import events
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsAccessError, AwsUnavailableError
from spotproof.leases.model import RunId
from tests.lambdas.batch_world import CAPACITY, BatchWorld
from tests.lambdas.conftest import Account

Metrics = Callable[[], dict[str, float]]
TOO_BIG = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement is higher than that of any type"


def blocked(account: Account, job_id: str, *, queue: str = "spot-queue", reason: str = CAPACITY) -> dict[str, Any]:
    event = account.event("batch_job_queue_blocked.docs")
    arn = f"arn:aws:batch:us-east-1:123456789012:job-queue/{queue}"
    event["detail"] |= {"jobId": job_id, "jobQueue": arn, "statusReason": reason}
    return event


def waiting(batch: BatchWorld, run: str = "unborn", **more: Any) -> str:
    """A job at the head of its queue, of which Batch shows why it waits."""
    return batch.add(run, **{"statusReason": CAPACITY, **more})


def report(account: Account, event: dict[str, Any]) -> Any:
    return queue_blocked.handler(event, account.context)


def block_of(queue: str = "spot-queue") -> Any:
    return queue_blocked.warm().blocks.read(queue)


def test_a_run_that_nobody_could_plan_begins_on_demand_at_once_and_once(
    account: Account, batch: BatchWorld, metrics: Metrics
) -> None:
    job_id = waiting(batch, workers={"RUNNABLE": 3})
    event = blocked(account, job_id)

    assert report(account, event) == {"noted": 1, "begun": 1}
    emitted = metrics()
    assert (emitted[events.METRIC_QUEUES_BLOCKED], emitted[events.METRIC_ON_DEMAND_ADDED]) == (1, 1)
    assert report(account, event) == {"noted": 0, "begun": 0}
    account.clock.advance(600)
    assert report(account, blocked(account, job_id)) == {"noted": 0, "begun": 0}

    [job] = batch.submitted
    assert (job["jobQueue"], job["parameters"]["run"]) == ("on-demand-queue", "unborn")
    kinds = [entry.kind for entry in account.store.history(RunId("unborn"))]
    assert kinds.count("on-demand added") == 1
    assert block_of().for_capacity


def test_a_child_of_an_array_names_its_run_too(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, workers={"RUNNABLE": 2})
    batch.jobs[f"{job_id}:1"] = batch.jobs[job_id] | {"jobId": f"{job_id}:1", "status": "RUNNABLE"}

    assert report(account, blocked(account, f"{job_id}:1")) == {"noted": 1, "begun": 1}


def test_an_array_is_held_up_by_the_child_that_batch_gives_a_reason(account: Account, batch: BatchWorld) -> None:
    """An array's parent is never RUNNABLE, and only jobs that are get one."""
    job_id = batch.add("unborn", workers={"RUNNING": 1, "RUNNABLE": 2})
    child = {**batch.jobs[job_id], "arrayProperties": {"index": 0}}
    for index, (status, reason) in enumerate([("RUNNING", ""), ("RUNNABLE", CAPACITY), ("RUNNABLE", "")]):
        named = {"jobId": f"{job_id}:{index}", "arrayProperties": {"index": index}}
        batch.jobs[f"{job_id}:{index}"] = {**child, **named, "status": status, "statusReason": reason}

    assert report(account, blocked(account, job_id))["noted"] == 1
    assert block_of().for_capacity


def test_a_run_that_has_begun_is_left_to_the_controller(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, account.run.run_id, workers={"RUNNABLE": 3})

    assert report(account, blocked(account, job_id)) == {"noted": 1, "begun": 0}
    assert batch.submitted == []


def test_a_run_whose_first_worker_is_starting_will_be_planned_by_it(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, workers={"RUNNABLE": 2, "STARTING": 1})

    assert report(account, blocked(account, job_id)) == {"noted": 1, "begun": 0}


@pytest.mark.parametrize("options", ["on_demand_share_max=0", "on_demand_workers_max=0"])
def test_a_run_that_may_not_have_on_demand_workers_gets_none(account: Account, batch: BatchWorld, options: str) -> None:
    job_id = waiting(batch, options=options)

    assert report(account, blocked(account, job_id)) == {"noted": 1, "begun": 0}


def test_a_misconfiguration_is_explained_and_nothing_is_bought_or_cancelled(
    account: Account, batch: BatchWorld
) -> None:
    job_id = waiting(batch, statusReason=TOO_BIG)

    assert report(account, blocked(account, job_id, reason=TOO_BIG)) == {"noted": 1, "begun": 0}

    assert (batch.submitted, batch.cancelled) == ([], [])
    assert not block_of().for_capacity
    [entry] = account.store.history(RunId("unborn"))
    assert entry.kind == "waiting: too_big"
    assert entry.facts["advice"]


def test_the_on_demand_queue_may_be_blocked_too_but_helps_itself(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, queue="on-demand-queue")

    assert report(account, blocked(account, job_id, queue="on-demand-queue")) == {"noted": 1, "begun": 0}
    assert block_of("on-demand-queue").for_capacity
    assert block_of() is None


def test_an_event_that_comes_when_the_job_has_started_means_nothing(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, status="RUNNING")

    assert report(account, blocked(account, job_id)) == {"noted": 0, "begun": 0}
    assert block_of() is None


@pytest.mark.parametrize(
    ("told", "shown"), [(CAPACITY, ""), (TOO_BIG, ""), (CAPACITY, "Host EC2 (instance i-1) terminated.")]
)
def test_a_block_that_batch_does_not_show_yet_is_repeated_by_lambda_and_not_lost(
    account: Account, batch: BatchWorld, told: str, shown: str
) -> None:
    job_id = waiting(batch, statusReason=shown)
    event = blocked(account, job_id, reason=told)
    with pytest.raises(AwsUnavailableError, match="not what the event says"):
        report(account, event)
    batch.jobs[job_id]["statusReason"] = told
    account.clock.advance(60)

    assert report(account, event)["noted"] == 1


def test_a_forged_block_of_a_job_that_just_waits_is_dropped_and_buys_nothing(
    account: Account, batch: BatchWorld
) -> None:
    job_id = waiting(batch, statusReason="")
    event, before = blocked(account, job_id), account.items()
    with pytest.raises(AwsUnavailableError):
        report(account, event)
    account.clock.advance(180)

    assert report(account, event) == {"noted": 0, "begun": 0}
    assert (account.items(), batch.submitted) == (before, [])


@pytest.mark.parametrize("told", [CAPACITY, TOO_BIG])
def test_batchs_words_count_and_not_the_events(account: Account, batch: BatchWorld, told: str) -> None:
    job_id = waiting(batch, statusReason=TOO_BIG if told == CAPACITY else CAPACITY)
    account.clock.advance(600)
    event = blocked(account, job_id, reason=told) | {"time": (account.clock.now() - timedelta(minutes=5)).isoformat()}

    answer = report(account, event)

    assert answer == ({"noted": 0, "begun": 0} if told == CAPACITY else {"noted": 1, "begun": 1})
    assert len(batch.submitted) == (0 if told == CAPACITY else 1)


def test_a_job_of_another_queue_blocks_nothing(account: Account, batch: BatchWorld) -> None:
    job_id = waiting(batch, queue="on-demand-queue")

    assert report(account, blocked(account, job_id)) == {"noted": 0, "begun": 0}
    assert block_of() is None


def test_a_block_of_tomorrow_is_one_of_now_so_the_next_one_is_heard(account: Account, batch: BatchWorld) -> None:
    job_id, now = waiting(batch), account.clock.now()
    report(account, blocked(account, job_id) | {"time": (now + timedelta(hours=20)).isoformat()})

    assert block_of().since == to_epoch_ms(now)


def test_another_queue_is_not_our_business(account: Account, batch: BatchWorld) -> None:
    before = account.items()

    assert report(account, account.event("batch_job_queue_blocked.docs")) == {"ignored": 1}
    assert account.items() == before


def test_a_forged_event_is_rejected(account: Account, batch: BatchWorld) -> None:
    event = blocked(account, "job-1") | {"account": "999999999999"}

    assert report(account, event) == {"rejected": 1}


def test_what_fails_is_repeated_by_lambda(account: Account, batch: BatchWorld) -> None:
    event = blocked(account, waiting(batch))
    batch.refuse = "AccessDeniedException"
    with pytest.raises(AwsAccessError):
        report(account, event)
    batch.refuse = ""

    assert report(account, event) == {"noted": 1, "begun": 1}
