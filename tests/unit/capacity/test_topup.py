"""Topping up workers: one job per reason, through duplicates, crashes, lost replies and caps."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from spotproof import contract
from spotproof.capacity import topup as topup_module
from spotproof.capacity.submitted_workers import SubmittedWorkers
from spotproof.capacity.topup import (
    TopUpKind,
    TopUpRequest,
    TopUpResult,
    WorkerTopUp,
    worker_parameters,
)
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsAccessError, AwsUnavailableError, ItemError
from spotproof.retries import Retrier, RetryPolicy
from tests.fakes.clock import FakeClock
from tests.fakes.ids import CountingIds
from tests.fakes.table import create_table
from tests.unit.capacity.batch_double import FakeBatch

TABLE = "table"


class LosingReplies:
    """Passes calls on to DynamoDB; the first reply of each operation in `lost` is lost."""

    def __init__(self, inner: Any, lost: set[str]) -> None:
        self.inner = inner
        self.lost = lost

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)

        def passing(**parameters: Any) -> Any:
            answer = call(**parameters)
            if name in self.lost:
                self.lost.discard(name)
                raise EndpointConnectionError(endpoint_url="http://dynamodb")
            return answer

        return passing


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_table(client, TABLE)
        yield client


def topup(dynamodb: Any, batch: FakeBatch, clock: FakeClock, ids: CountingIds | None = None) -> WorkerTopUp:
    retrier = Retrier(clock=clock, rng=random.Random(1), policy=RetryPolicy(patience_s=10))
    return WorkerTopUp(
        dynamodb=dynamodb, batch=cast(Any, batch), table_name=TABLE, clock=clock, ids=ids or CountingIds(),
        retrier=retrier,
    )  # fmt: skip


def request(
    *, key: str = "job:7", run_id: str = "run", kind: TopUpKind = TopUpKind.REPLACEMENT, **changes: Any
) -> TopUpRequest:
    plain = TopUpRequest(
        run_id=run_id, key=key, kind=kind, job_queue="spot", job_definition="spotproof-x:3",
        parameters={"run": run_id, "input": "s3://b/i"}, base_name="delays worker",
    )  # fmt: skip
    return replace(plain, **changes)


def test_one_reason_gives_one_worker_however_often_it_is_reported(dynamodb: Any, clock: FakeClock) -> None:
    batch = FakeBatch()

    outcomes = [topup(dynamodb, batch, clock).submit_once(request()) for _ in range(3)]
    clock.advance(6 * 3600)  # a replay from a dead-letter queue
    outcomes.append(topup(dynamodb, batch, clock).submit_once(request()))

    assert [outcome.result for outcome in outcomes] == ["submitted", "already", "already", "already"]
    assert {outcome.job_id for outcome in outcomes} == {"job-1"}
    assert len(batch.jobs) == 1
    assert batch.jobs[0]["jobDefinition"] == "spotproof-x:3"
    assert batch.jobs[0]["parameters"] == {"run": "run", "input": "s3://b/i"}


def test_different_reasons_and_runs_give_different_workers(dynamodb: Any, clock: FakeClock) -> None:
    batch = FakeBatch()

    for asked in (request(), request(key="job:8"), request(run_id="other")):
        assert topup(dynamodb, batch, clock).submit_once(asked).result is TopUpResult.SUBMITTED

    assert len({job["jobName"] for job in batch.jobs}) == 3


@pytest.mark.parametrize(("fault", "jobs_before"), [("crash", 1), ("refused", 0)])
def test_a_crash_between_claim_and_record_is_finished_by_the_retry(
    dynamodb: Any, clock: FakeClock, fault: str, jobs_before: int
) -> None:
    batch, ids = FakeBatch([fault]), CountingIds()
    with pytest.raises((KeyboardInterrupt, AwsAccessError)):
        topup(dynamodb, batch, clock, ids).submit_once(request())
    assert len(batch.jobs) == jobs_before
    assert topup(dynamodb, batch, clock, ids).submit_once(request()).result is TopUpResult.IN_FLIGHT

    clock.advance(60)  # Lambda's first retry
    outcome = topup(dynamodb, batch, clock, ids).submit_once(request())

    assert outcome.result is TopUpResult.SUBMITTED
    assert len(batch.jobs) == 1
    assert topup(dynamodb, batch, clock, ids).submit_once(request()).result is TopUpResult.ALREADY


@pytest.mark.parametrize("fault", ["crash", "refused"])
def test_the_retry_after_a_crash_stays_with_the_queue_that_was_chosen_first(
    dynamodb: Any, clock: FakeClock, fault: str
) -> None:
    batch, ids = FakeBatch([fault]), CountingIds()
    with pytest.raises((KeyboardInterrupt, AwsAccessError)):
        topup(dynamodb, batch, clock, ids).submit_once(request(job_queue="on-demand"))

    clock.advance(60)
    topup(dynamodb, batch, clock, ids).submit_once(request(job_queue="spot"))

    assert [job["jobQueue"] for job in batch.jobs] == ["on-demand"]


@pytest.mark.parametrize("plan", [["after"], ["before"], ["before", "after"], ["after", None]])
def test_a_submission_whose_fate_is_unknown_is_looked_for_before_another(
    dynamodb: Any, clock: FakeClock, plan: list[str | None]
) -> None:
    batch = FakeBatch(plan)

    assert topup(dynamodb, batch, clock).submit_once(request()).result is TopUpResult.SUBMITTED

    assert len(batch.jobs) == 1


def test_a_batch_that_stays_down_is_an_error_that_a_later_delivery_heals(dynamodb: Any, clock: FakeClock) -> None:
    batch, ids = FakeBatch(["before"] * 3), CountingIds()
    with pytest.raises(AwsUnavailableError, match="submitting worker"):
        topup(dynamodb, batch, clock, ids).submit_once(request())

    clock.advance(60)

    assert topup(dynamodb, batch, clock, ids).submit_once(request()).result is TopUpResult.SUBMITTED
    assert len(batch.jobs) == 1


@pytest.mark.parametrize("operation", ["transact_write_items", "update_item"])
def test_a_lost_reply_of_the_table_is_recognised(dynamodb: Any, clock: FakeClock, operation: str) -> None:
    batch = FakeBatch()
    losing = LosingReplies(dynamodb, {operation})

    assert topup(losing, batch, clock).submit_once(request()).result is TopUpResult.SUBMITTED

    assert len(batch.jobs) == 1
    assert topup(dynamodb, batch, clock).submit_once(request()).result is TopUpResult.ALREADY


def test_a_run_gets_no_more_workers_than_its_cap_and_each_kind_has_its_own(
    dynamodb: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topup_module, "CAPS", {TopUpKind.REPLACEMENT: 2, TopUpKind.STUCK: 1})
    batch = FakeBatch()
    ask = topup(dynamodb, batch, clock).submit_once

    replaced = [ask(request(key=f"job:{n}")).result for n in range(4)]
    stuck = ask(request(key="stuck-1", kind=TopUpKind.STUCK)).result

    assert replaced == ["submitted", "submitted", "capped", "capped"]
    assert stuck == "submitted"
    assert len(batch.jobs) == 3
    assert ask(request(key="job:0")).result is TopUpResult.ALREADY


def test_job_names_suit_batch_whatever_the_base(dynamodb: Any, clock: FakeClock) -> None:
    long = TopUpRequest(
        run_id="r", key="k", kind=TopUpKind.STUCK, job_queue="q", job_definition="d", parameters={},
        base_name="ä/" + "x" * 300,
    )  # fmt: skip

    assert len(long.job_name) <= 128
    assert long.job_name.replace("-", "").replace("_", "").isascii()
    assert long.job_name.replace("-", "").replace("_", "").isalnum()


def test_another_worker_of_an_auto_run_is_told_the_run(dynamodb: Any, clock: FakeClock) -> None:
    assert worker_parameters({"run": "auto", "input": "i"}, run_id="abc") == {"run": "abc", "input": "i"}


def test_a_hold_is_read_back_and_the_newest_counts(dynamodb: Any, clock: FakeClock) -> None:
    asking = topup(dynamodb, FakeBatch(), clock)
    assert asking.held("run") is None

    asking.hold("run", reason="first")
    clock.advance(5)
    asking.hold("run", reason="second")

    held = asking.held("run")
    assert held is not None
    assert (held.reason, held.since) == ("second", round(clock.now().timestamp() * 1000))


def test_many_workers_for_one_reason_are_one_array_with_the_runs_tags(dynamodb: Any, clock: FakeClock) -> None:
    batch = FakeBatch()
    asked = request(kind=TopUpKind.FALLBACK, workers=7, tags={"team": "x"}, memory_mib=4096)

    topup(dynamodb, batch, clock).submit_once(asked)
    topup(dynamodb, batch, clock).submit_once(replace(asked, key="other", workers=1, tags={}, memory_mib=None))

    array, single = batch.jobs
    assert (array["arrayProperties"], array["tags"]) == ({"size": 7}, {"team": "x"})
    assert array["containerOverrides"] == {
        "resourceRequirements": [{"type": "MEMORY", "value": "4096"}],
        "environment": [{"name": "SPOTPROOF_MEMORY_MIB", "value": "4096"}],
    }
    assert not {"arrayProperties", "tags", "containerOverrides"} & set(single)


def test_two_controllers_at_the_turn_of_a_minute_add_workers_once(dynamodb: Any, clock: FakeClock) -> None:
    """Different keys: the second controller's list of jobs does not show the first one's yet."""
    batch = FakeBatch()
    spaced = replace(request(kind=TopUpKind.FALLBACK, key="fallback-1"), spacing_s=90)

    first = topup(dynamodb, batch, clock).submit_once(spaced)
    clock.advance(1)
    second = topup(dynamodb, batch, clock).submit_once(replace(spaced, key="fallback-2"))
    clock.advance(90)
    third = topup(dynamodb, batch, clock).submit_once(replace(spaced, key="fallback-3"))

    assert [each.result for each in (first, second, third)] == [
        TopUpResult.SUBMITTED, TopUpResult.TOO_SOON, TopUpResult.SUBMITTED,
    ]  # fmt: skip
    assert "90 s" in second.reason
    assert len(batch.jobs) == 2


def test_replacements_need_no_pause_between_them(dynamodb: Any, clock: FakeClock) -> None:
    batch = FakeBatch()

    for number in range(3):
        assert topup(dynamodb, batch, clock).submit_once(request(key=f"job:{number}")).result is TopUpResult.SUBMITTED


def test_what_was_submitted_for_a_run_can_be_told_apart_by_queue(dynamodb: Any, clock: FakeClock) -> None:
    batch = FakeBatch()
    topup(dynamodb, batch, clock).submit_once(request())
    topup(dynamodb, batch, clock).submit_once(request(key="f", kind=TopUpKind.FALLBACK, job_queue="on-demand"))
    topup(dynamodb, batch, clock).submit_once(request(key="f", run_id="another"))

    found = {each.job_id: each.job_queue for each in topup(dynamodb, batch, clock).submitted("run")}

    assert found == {"job-1": "spot", "job-2": "on-demand"}


def test_what_is_about_to_be_submitted_is_told_too_with_how_many_and_since_when(
    dynamodb: Any, clock: FakeClock
) -> None:
    at = to_epoch_ms(clock.now())
    with pytest.raises(AwsAccessError):
        topup(dynamodb, FakeBatch(plan=["refused"]), clock).submit_once(
            request(key="f", workers=3, job_queue="on-demand")
        )

    [claimed] = topup(dynamodb, FakeBatch(), clock).submitted("run")

    assert claimed == SubmittedWorkers(key="f", job_id=None, job_queue="on-demand", workers=3, claimed_at=at)


@pytest.mark.parametrize("change", ["SET workers = :odd", "SET claimed_at = :odd", "SET job_queue = :odd"])
def test_a_marker_that_was_edited_by_hand_is_told_in_one_line(dynamodb: Any, clock: FakeClock, change: str) -> None:
    topup(dynamodb, FakeBatch(), clock).submit_once(request())
    key = {"pk": {"S": contract.topups_pk("run")}, "sk": {"S": f"KEY#{request().key}"}}
    dynamodb.update_item(
        TableName=TABLE, Key=key, UpdateExpression=change, ExpressionAttributeValues={":odd": {"BOOL": True}}
    )

    with pytest.raises(ItemError, match=f"KEY#{request().key} is damaged"):
        list(topup(dynamodb, FakeBatch(), clock).submitted("run"))


def test_a_marker_of_a_version_that_noted_no_time_is_one_old_worker(dynamodb: Any, clock: FakeClock) -> None:
    topup(dynamodb, FakeBatch(), clock).submit_once(request())
    key = {"pk": {"S": contract.topups_pk("run")}, "sk": {"S": f"KEY#{request().key}"}}
    dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE workers, claimed_at")

    [found] = topup(dynamodb, FakeBatch(), clock).submitted("run")

    assert found == SubmittedWorkers(key=request().key, job_id="job-1", job_queue="spot", workers=1, claimed_at=0)
