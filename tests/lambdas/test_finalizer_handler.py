"""The finalizer's handler on moto: from our event to `_SUCCESS`, an empty work bucket and a cost line."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambdas import finalizer
from spotproof import contract, events
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.clock import to_epoch_ms
from spotproof.commits.staged_file import StagedFile
from spotproof.commits.staging import stage
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.leases.closing import StripeCloser
from spotproof.leases.model import RunState
from spotproof.retries import Retrier
from tests.lambdas.conftest import ACCOUNT, Account

Metrics = Callable[[], dict[str, float]]
SUCCESS = "output/2026-11-22/_SUCCESS"


def finished_event(account: Account, run_id: str | None = None) -> dict[str, Any]:
    return {
        "id": "1",
        "source": contract.EVENT_SOURCE,
        "detail-type": contract.DETAIL_RUN_FINISHED,
        "account": ACCOUNT,
        "time": account.clock.now().isoformat(),
        "resources": [],
        "detail": json.loads(run_finished_detail(run_id or account.run.run_id)),
    }


@pytest.fixture
def finished(account: Account, retrier: Retrier) -> Account:
    """All shards committed, none published, a checkpoint left over, every stripe closed."""
    work = S3ObjectStore(client=account.s3, bucket="work", retrier=retrier)
    session = account.worker(batch_job_id="job-0:1")
    for index in range(account.run.shards):
        account.store.take_ticket(account.run, account.run.stripe_of(index))
        lease = account.lease(session, index, seq=index + 1)
        work.put(f"{contract.checkpoints_prefix(account.run.run_id, index)}000001/data", b"state")
        file = StagedFile.of_bytes(f"part-{index:08d}.json", f"{index}".encode(), records=1)
        account.store.commit(lease, stage(work, lease, [file]))
    StripeCloser(account.store).close_finished_stripes(account.run)
    account.clock.advance(600)
    return account


def finalize(account: Account, changes: dict[str, Any] | None = None) -> Any:
    account.context.remaining_s = 900
    return finalizer.handler(finished_event(account) | (changes or {}), account.context)


def keys(account: Account, bucket: str) -> list[str]:
    return [item["Key"] for item in account.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_finished_run_is_published_and_nothing_is_left_behind(finished: Account, metrics: Metrics) -> None:
    assert finalize(finished) == {"result": "finalized", "state": "COMPLETE"}

    assert keys(finished, "data") == [SUCCESS, *(f"output/2026-11-22/part-{index:08d}.json" for index in range(6))]
    assert keys(finished, "work") == []
    assert finished.stored_run().state is RunState.COMPLETE
    manifest = json.loads(finished.s3.get_object(Bucket="data", Key=SUCCESS)["Body"].read())
    assert (manifest["records"], len(manifest["shards"]), manifest["cost"]["currency"]) == (6, 6, "USD")
    assert float(manifest["cost"]["on_demand_usd"]) == pytest.approx(0.096 / 2 * 600 / 3600, abs=1e-6)
    emitted = metrics()
    assert emitted[events.METRIC_RUNS_FINISHED] == 1
    assert emitted[events.METRIC_RUN_COST_USD] > 0
    assert emitted[events.METRIC_RUN_S] == (to_epoch_ms(finished.clock.now()) - finished.run.created_at) / 1000
    assert 0 == emitted[events.METRIC_USEFUL_VCPU_S] < emitted[events.METRIC_PAID_VCPU_S]  # its workers only waited
    saved = float(manifest["cost"]["on_demand_usd"]) - float(manifest["cost"]["usd"])
    assert emitted[events.METRIC_RUN_SAVED_USD] == pytest.approx(saved, abs=1e-6)
    assert emitted[events.METRIC_EFFICIENCY] == float(manifest["cost"]["efficiency"])


def but_for_marks(items: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """The table but for what says whether the run was called clean."""
    marks = {"cleaned_at", contract.ACTIVE_INDEX.partition_key}
    return {key: {name: value for name, value in item.items() if name not in marks} for key, item in items.items()}


def test_the_event_again_and_a_replay_hours_later_change_nothing(finished: Account, metrics: Metrics) -> None:
    finalize(finished)
    before = (
        but_for_marks(finished.items()),
        keys(finished, "data"),
        finished.s3.head_object(Bucket="data", Key=SUCCESS)["ETag"],
    )
    metrics()

    assert finalize(finished)["result"] == "cleaned"
    finished.clock.advance(10 * 3600)
    assert finalize(finished)["result"] == "cleaned"

    after = (
        but_for_marks(finished.items()),
        keys(finished, "data"),
        finished.s3.head_object(Bucket="data", Key=SUCCESS)["ETag"],
    )
    assert after == before
    assert metrics()[events.METRIC_RUNS_FINISHED] == 0


def test_an_event_that_comes_too_early_does_nothing(account: Account) -> None:
    before = account.items()

    assert finalize(account) == {"result": "not-ready", "state": "RUNNING"}
    assert account.items() == before


def test_an_unknown_run_is_ignored(account: Account) -> None:
    assert finalizer.handler(finished_event(account, "nobodys"), account.context) == {"ignored": 1}


@pytest.mark.parametrize("change", [{"source": "aws.ec2"}, {"account": "999999999999"}, {"detail": {"run_id": "a/b"}}])
def test_a_forged_event_is_counted_and_dropped(finished: Account, metrics: Metrics, change: dict[str, Any]) -> None:
    assert finalize(finished, change) == {"rejected": 1}
    assert metrics() == {events.METRIC_EVENTS_REJECTED: 1}
    assert finished.stored_run().state is RunState.RUNNING


def test_with_little_time_left_it_stops_cleanly_and_the_next_event_finishes(finished: Account) -> None:
    finished.context.remaining_s = 0.0
    assert finalizer.handler(finished_event(finished), finished.context)["result"] == "out-of-time"
    assert SUCCESS not in keys(finished, "data")

    finished.clock.advance(120)

    assert finalize(finished)["result"] == "finalized"
