"""Ends of workers' Batch jobs, from recorded payloads to classification and top-ups."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from lambdas import job_state_change, wiring
from spotproof import contract, events
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.live_jobs import CANCELLED_BY_US
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError, ConfigurationError
from spotproof.leases.model import Ledger, RunId, RunOptions, RunState
from tests.fakes.leases import a_run
from tests.lambdas.conftest import ENVIRONMENT, Account
from tests.unit.capacity.batch_double import FakeBatch

EXHAUSTED = "batch_job_state_change.array_child_failed_attempts_exhausted.synth"
JOB_ID = "4c7599ae-0a82-49aa-ba5a-4727fcce14a8:7"
Metrics = Callable[[], dict[str, float]]


class ShowingBatch(FakeBatch):
    """Shows jobs as `shown` has them, by id: what its events tell, unless a test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, dict[str, Any]] = {}
        self.described = 0

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        self.described += 1
        return {"jobs": [self.shown[job_id] for job_id in jobs if job_id in self.shown]}


@pytest.fixture
def batch(account: Account) -> ShowingBatch:
    double = ShowingBatch()
    vars(wiring.wire().clients).update(batch=double)
    return double


def job_event(account: Account, name: str = EXHAUSTED, **detail: Any) -> dict[str, Any]:
    event = account.event(name)
    parameters = {"run": account.run.run_id, "input": "s3://b/in/", "shard_by": "time:1d"}
    event["detail"] |= {"parameters": parameters, **detail}
    return event


def report(account: Account, event: dict[str, Any]) -> Any:
    """An honest event: it tells what Batch shows."""
    batch = vars(wiring.wire().clients).get("batch")
    if isinstance(batch, ShowingBatch):
        batch.shown[event["detail"]["jobId"]] = event["detail"]
    return forge(account, event)


def forge(account: Account, event: dict[str, Any]) -> Any:
    """The event alone, whatever Batch shows."""
    return job_state_change.handler(event, account.context)


def test_a_worker_that_used_up_its_attempts_on_reclaimed_hosts_is_replaced_once(
    account: Account, batch: ShowingBatch, metrics: Metrics
) -> None:
    event = job_event(account)

    first = report(account, event)
    emitted = metrics()
    assert (emitted[events.METRIC_WORKERS_REPLACED], emitted[events.METRIC_WORKERS_FAILED]) == (1, 0)
    account.clock.advance(6 * 3600)
    again = report(account, event)

    assert first == {"classified": "host-reclaimed", "topup": "submitted"}
    assert again == {"classified": "host-reclaimed", "topup": "already"}
    [job] = batch.jobs
    assert job["jobQueue"] == "arn:aws:batch:us-east-1:123456789012:job-queue/spot-queue"
    assert job["jobDefinition"].endswith(":job-definition/first-run-job-definition:1")
    assert job["parameters"] == {"run": account.run.run_id, "input": "s3://b/in/", "shard_by": "time:1d"}
    assert job["jobName"].startswith("shard-worker-r")
    assert metrics()[events.METRIC_WORKERS_REPLACED] == 0


def test_a_worker_that_let_go_in_time_every_time_is_replaced_too(account: Account, batch: ShowingBatch) -> None:
    attempt = {"container": {"exitCode": 75}, "statusReason": "Essential container in task exited"}

    answer = report(account, job_event(account, attempts=[attempt], statusReason=attempt["statusReason"]))

    assert answer == {"classified": "interrupted", "topup": "submitted"}


def test_a_worker_that_failed_by_its_own_fault_is_classified_and_not_replaced(
    account: Account, batch: ShowingBatch, metrics: Metrics
) -> None:
    answer = report(account, job_event(account, "batch_job_state_change.failed_app_error.synth"))

    assert answer == {"classified": "unknown"}
    assert metrics()[events.METRIC_WORKERS_FAILED] == 1
    assert batch.jobs == []


OOM = "batch_job_state_change.failed_oom.synth"


def needing(memory_mib: int) -> dict[str, Any]:
    return {"resourceRequirements": [{"type": "MEMORY", "value": str(memory_mib)}, {"type": "VCPU", "value": "1"}]}


def test_a_worker_that_ran_out_of_memory_is_replaced_by_a_bigger_one_once(
    account: Account, batch: ShowingBatch
) -> None:
    event = job_event(account, OOM, container=needing(2048))

    assert report(account, event) == {"classified": "out-of-memory", "topup": "submitted"}
    assert report(account, event) == {"classified": "out-of-memory", "topup": "already"}

    [job] = batch.jobs
    assert job["containerOverrides"]["resourceRequirements"] == [{"type": "MEMORY", "value": "4096"}]
    [entry] = account.store.history(account.run.run_id)
    assert entry.kind == "worker replaced"
    assert "2048 MiB was not enough" in entry.reason


@pytest.mark.parametrize("container", [needing(int(ENVIRONMENT[contract.ENV_MEMORY_MAX])), {}])
def test_where_more_memory_is_not_to_be_had_the_run_is_held_and_told_why(
    account: Account, batch: ShowingBatch, container: dict[str, Any]
) -> None:
    assert report(account, job_event(account, OOM, container=container)) == {"classified": "out-of-memory"}

    assert batch.jobs == []
    held = job_state_change.warm().replacements.topup.held(account.run.run_id)
    assert held is not None
    assert "out of memory" in held.reason
    [entry] = account.store.history(account.run.run_id)
    assert entry.kind == "worker not replaced"


def test_what_a_function_cancelled_is_nobodys_will_and_holds_nothing(account: Account, batch: ShowingBatch) -> None:
    event = job_event(account, isCancelled=True, attempts=[], statusReason=f"{CANCELLED_BY_US}the run is paused")

    assert report(account, event) == {"ignored": 1}
    assert job_state_change.warm().replacements.topup.held(account.run.run_id) is None


def storm(account: Account, *, count: int = 3, first: int = 0) -> None:
    """Its pool has lost so many hosts just now, numbered from `first`."""
    pools = PoolRecords(Records(dynamodb=account.dynamodb, table_name="table", retrier=wiring.wire().retrier))
    for number in range(count):
        at = to_epoch_ms(account.clock.now()) + number
        interruption = Interruption(at=at, instance_id=f"i-{first + number:017}")
        pools.note_interruption("m6i.large/us-east-1a", interruption, BreakerSettings())


def queue_of(job: dict[str, Any]) -> str:
    return str(job["jobQueue"]).rpartition("/")[2]


def test_an_on_demand_worker_of_ours_is_the_controllers_to_follow(account: Account, batch: ShowingBatch) -> None:
    """Replaced here and added there it would be one more than the caps allow (seed 2418 of the simulation)."""
    account.worker(batch_job_id=JOB_ID)
    storm(account)
    report(account, job_event(account))
    [ours] = batch.jobs
    assert queue_of(ours) == "on-demand-queue"
    on_demand = "arn:aws:batch:us-east-1:123456789012:job-queue/on-demand-queue"

    killed = report(
        account,
        job_event(account, jobId="of-ours", jobName=ours["jobName"], jobQueue=on_demand, arrayProperties={}),
    )
    of_a_person = report(account, job_event(account, jobId="another-one", jobQueue=on_demand, arrayProperties={}))

    assert "topup" not in killed
    assert of_a_person["topup"] == "submitted"
    assert len(batch.jobs) == 2


def test_past_a_pool_that_loses_hosts_the_replacement_goes_to_on_demand(account: Account, batch: ShowingBatch) -> None:
    account.worker(batch_job_id=JOB_ID)
    storm(account)

    assert report(account, job_event(account))["topup"] == "submitted"

    assert queue_of(batch.jobs[0]) == "on-demand-queue"
    [entry] = account.store.history(account.run.run_id)
    assert "on demand: pool m6i.large/us-east-1a" in entry.reason


def test_after_the_recovery_one_replacement_probes_spot_and_the_others_do_not(
    account: Account, batch: ShowingBatch
) -> None:
    for child in range(3):
        account.worker(f"w{child}", batch_job_id=f"{JOB_ID[:-1]}{child}")
    storm(account)
    account.clock.advance(1900)

    for child in range(3):
        report(account, job_event(account, jobId=f"{JOB_ID[:-1]}{child}"))

    assert [queue_of(job) for job in batch.jobs] == ["spot-queue", "on-demand-queue", "on-demand-queue"]


@pytest.mark.parametrize(
    ("options", "hosts_lost", "pool_known"),
    [
        (RunOptions(), 2, True),  # no burst
        (RunOptions(), 3, False),  # nobody knows where it ran
        (RunOptions(on_demand_share_max=0.0), 3, True),
        (RunOptions(on_demand_workers_max=0), 3, True),
    ],
)
def test_otherwise_it_goes_to_spot_as_before(
    account: Account, batch: ShowingBatch, options: RunOptions, hosts_lost: int, pool_known: bool
) -> None:
    run = account.store.create_run(a_run(run_id=RunId("other"), options=options))
    account.worker(run=run, batch_job_id=JOB_ID if pool_known else "another")
    storm(account, count=hosts_lost)

    report(account, job_event(account, parameters={"run": "other", "input": "s3://b/in/"}))

    assert queue_of(batch.jobs[0]) == "spot-queue"


def test_an_on_demand_worker_that_still_comes_counts_against_the_cap_until_it_has_come_and_gone(
    account: Account, batch: ShowingBatch
) -> None:
    options = RunOptions(on_demand_workers_max=1)
    run = account.store.create_run(a_run(run_id=RunId("other"), options=options))
    for child in range(4):
        account.worker(f"w{child}", run=run, batch_job_id=f"{JOB_ID[:-1]}{child}")

    def replaced_in(child: int) -> str:
        storm(account)
        parameters = {"run": "other", "input": "s3://b/in/"}
        report(account, job_event(account, jobId=f"{JOB_ID[:-1]}{child}", parameters=parameters))
        return queue_of(batch.jobs[-1])

    assert replaced_in(0) == "on-demand-queue"
    account.clock.advance(16)
    assert replaced_in(1) == "spot-queue"  # nobody has heard of the first one yet
    came = account.worker("came", run=run, batch_job_id="job-1", lifecycle="on-demand")
    assert replaced_in(2) == "spot-queue"  # it is there
    account.store.end_session(came, ledger=Ledger())
    assert replaced_in(3) == "on-demand-queue"


@pytest.mark.parametrize(("taken", "replaced"), [(False, ["4096"]), (True, [])])
def test_an_on_demand_worker_that_ran_out_of_memory_is_replaced_unless_another_one_has_its_place_under_the_cap(
    account: Account, batch: ShowingBatch, taken: bool, replaced: list[str]
) -> None:
    run = account.store.create_run(a_run(run_id=RunId("other"), options=RunOptions(on_demand_workers_max=1)))
    account.worker("ours", run=run, batch_job_id="of-ours", lifecycle="on-demand")
    if taken:
        account.worker("another", run=run, batch_job_id="of-the-controller", lifecycle="on-demand")
    event = job_event(
        account, OOM, jobId="of-ours", jobName="w-f0123456789ab", arrayProperties={}, container=needing(2048),
        jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/on-demand-queue", parameters={"run": "other"},
    )  # fmt: skip

    report(account, event)
    again = report(account, event)

    asked = [job["containerOverrides"]["resourceRequirements"][0]["value"] for job in batch.jobs]
    assert asked == replaced
    assert again.get("topup") == (None if taken else "already")


def test_what_the_worker_that_ran_out_of_memory_cost_does_not_keep_its_successor_away(
    account: Account, batch: ShowingBatch
) -> None:
    options = RunOptions(usd_per_hour_max=0.12)  # one m6i.large on demand: $0.096
    run = account.store.create_run(a_run(run_id=RunId("other"), options=options))
    account.worker("ours", run=run, batch_job_id="of-ours", lifecycle="on-demand")  # killed: it never said so
    event = job_event(
        account, OOM, jobId="of-ours", jobName="w-f0123456789ab", arrayProperties={}, container=needing(2048),
        jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/on-demand-queue", parameters={"run": "other"},
    )  # fmt: skip

    assert report(account, event)["topup"] == "submitted"


def test_a_worker_that_has_not_come_for_an_hour_does_not_count_any_more(account: Account, batch: ShowingBatch) -> None:
    options = RunOptions(on_demand_workers_max=1)
    run = account.store.create_run(a_run(run_id=RunId("other"), options=options))
    for child in range(2):
        account.worker(f"w{child}", run=run, batch_job_id=f"{JOB_ID[:-1]}{child}")
        storm(account, first=10 * child)
        parameters = {"run": "other", "input": "s3://b/in/"}
        report(account, job_event(account, jobId=f"{JOB_ID[:-1]}{child}", parameters=parameters))
        account.clock.advance(3601)

    assert [queue_of(job) for job in batch.jobs] == ["on-demand-queue", "on-demand-queue"]


@pytest.mark.parametrize(
    "name",
    [
        "batch_job_state_change.array_parent_pending.synth",
        "batch_job_state_change.array_child_succeeded_after_reclaim.synth",
        "batch_job_state_change.array_child_retrying_after_reclaim.synth",
        "batch_job_state_change.runnable.docs",
    ],
)
def test_parents_successes_and_retries_mean_nothing(account: Account, batch: ShowingBatch, name: str) -> None:
    before = account.items()

    assert report(account, job_event(account, name)) == {"ignored": 1}

    assert account.items() == before
    assert account.stored_run().state is RunState.RUNNING


def test_a_failed_parent_means_nothing_either(account: Account, batch: ShowingBatch) -> None:
    event = job_event(account, "batch_job_state_change.array_parent_pending.synth", status="FAILED")

    assert report(account, event) == {"ignored": 1}


def test_a_job_of_somebody_elses_queue_is_ignored(account: Account, batch: ShowingBatch) -> None:
    event = job_event(account, jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/theirs")

    assert report(account, event) == {"ignored": 1}
    assert batch.jobs == []


@pytest.mark.parametrize("run", ["not-planned-yet", "auto"])
def test_a_worker_that_was_interrupted_before_it_planned_its_run_is_replaced(
    account: Account, batch: ShowingBatch, run: str
) -> None:
    answer = report(account, job_event(account, parameters={"run": run, "input": "s3://bucket/in/"}))

    assert answer == {"classified": "host-reclaimed", "topup": "submitted"}
    assert batch.jobs[0]["parameters"]["input"] == "s3://bucket/in/"


def test_a_worker_of_an_impossible_run_is_classified_only(account: Account, batch: ShowingBatch) -> None:
    assert report(account, job_event(account, parameters={"run": "../etc"})) == {"classified": "host-reclaimed"}
    assert batch.jobs == []


def test_a_worker_of_a_cancelled_or_finished_run_is_not_replaced(account: Account, batch: ShowingBatch) -> None:
    account.store.cancel_run(account.run.run_id, reason="enough")

    assert report(account, job_event(account)) == {"classified": "host-reclaimed"}
    assert batch.jobs == []


def test_with_every_stripe_closed_no_worker_is_needed(account: Account, batch: ShowingBatch) -> None:
    for stripe in range(account.run.stripes):
        account.store.close_stripe(account.run.run_id, stripe)

    assert report(account, job_event(account)) == {"classified": "host-reclaimed"}
    assert batch.jobs == []


@pytest.mark.parametrize(("flag", "kind"), [("isTerminated", "terminated"), ("isCancelled", "cancelled")])
def test_a_persons_will_is_noted_and_nothing_is_replaced(
    account: Account, batch: ShowingBatch, flag: str, kind: str
) -> None:
    said: dict[str, Any] = {"statusReason": "enough of this", flag: True}

    answer = report(account, job_event(account, **said))

    assert answer == {"classified": kind}
    assert batch.jobs == []
    held = job_state_change.warm().replacements.topup.held(account.run.run_id)
    assert held is not None
    assert "enough of this" in held.reason


def test_a_failure_midway_is_completed_by_the_retry_without_a_second_worker(
    account: Account, batch: ShowingBatch
) -> None:
    topup = job_state_change.warm().replacements.topup
    real, event = topup._dynamodb, job_event(account)

    class NoRecord:
        def __getattr__(self, name: str) -> Any:
            if name == "update_item":
                return self._down
            return getattr(real, name)

        def _down(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="http://dynamodb")

    topup._dynamodb = NoRecord()  # type: ignore[assignment]
    with pytest.raises(AwsUnavailableError):
        report(account, event)
    topup._dynamodb = real
    account.clock.advance(60)

    assert report(account, event)["topup"] == "submitted"
    assert len(batch.jobs) == 1


@pytest.mark.parametrize("change", [{"source": "my.app"}, {"account": "999999999999"}, {"detail": {"jobId": "x"}}])
def test_a_forged_or_malformed_event_is_counted_and_dropped(
    account: Account, batch: ShowingBatch, metrics: Metrics, change: dict[str, Any]
) -> None:
    assert report(account, job_event(account) | change) == {"rejected": 1}
    assert metrics() == {events.METRIC_EVENTS_REJECTED: 1}


def test_what_batch_says_counts_and_not_what_the_event_says(account: Account, batch: ShowingBatch) -> None:
    """A forged end of a real failure can't choose the run, the queue, the memory or who ended it."""
    real = job_event(account)["detail"]
    lie: dict[str, Any] = {
        "parameters": {"run": "somebody-elses", "input": "s3://evil/in/"},
        "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/on-demand-queue",
        "isTerminated": True,
        "container": needing(16_384),
    }
    batch.shown[JOB_ID] = real

    assert forge(account, job_event(account, **lie)) == {"classified": "host-reclaimed", "topup": "submitted"}

    [job] = batch.jobs
    assert (queue_of(job), job["parameters"]["run"]) == ("spot-queue", account.run.run_id)
    assert "16384" not in str(job)
    assert job_state_change.warm().replacements.topup.held(account.run.run_id) is None


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (None, "Batch knows no such job"),
        ({"status": "SUCCEEDED"}, "job is SUCCEEDED"),
        ({"jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/theirs"}, "job of another queue"),
        ({"arrayProperties": {"size": 2}}, "parent of an array"),
        ({"statusReason": f"{CANCELLED_BY_US}the run is paused"}, "cancelled by a function of ours"),
    ],
)
@pytest.mark.parametrize("flag", ["isTerminated", "isCancelled", "none"])
def test_an_end_that_batch_does_not_confirm_is_ignored_and_said(
    account: Account,
    batch: ShowingBatch,
    caplog: pytest.LogCaptureFixture,
    shown: dict[str, Any] | None,
    reason: str,
    flag: str,
) -> None:
    told: dict[str, Any] = {} if flag == "none" else {flag: True}
    event = job_event(account, **told)
    if shown is not None:
        batch.shown[JOB_ID] = job_event(account)["detail"] | shown
    before = account.items()

    assert forge(account, event) == {"ignored": 1}

    assert (account.items(), batch.jobs) == (before, [])
    [said] = [vars(each) for each in caplog.records if each.msg == events.EVENT_IGNORED]
    assert said["reason"].startswith(reason)


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"])
def test_an_event_that_comes_before_batch_shows_the_end_is_repeated_by_lambda_and_not_lost(
    account: Account, batch: ShowingBatch, status: str
) -> None:
    event, before = job_event(account), account.items()
    batch.shown[JOB_ID] = event["detail"] | {"status": status}

    with pytest.raises(AwsUnavailableError, match=f"job is {status}"):
        forge(account, event)
    assert (account.items(), batch.jobs) == (before, [])
    batch.shown[JOB_ID] = event["detail"]
    account.clock.advance(60)

    assert forge(account, event)["topup"] == "submitted"


def test_what_the_event_itself_rules_out_costs_no_request(account: Account, batch: ShowingBatch) -> None:
    forge(account, job_event(account, status="SUCCEEDED"))
    forge(account, job_event(account, jobQueue="theirs"))
    assert batch.described == 0

    report(account, job_event(account))
    assert batch.described == 1


def test_a_persons_will_replaces_a_damaged_hold(account: Account, batch: ShowingBatch) -> None:
    key = {"pk": {"S": contract.topups_pk(account.run.run_id)}, "sk": {"S": "HOLD"}}
    account.dynamodb.put_item(TableName="table", Item={**key, "since": {"S": "noon"}})

    report(account, job_event(account, isTerminated=True, statusReason="enough"))

    held = job_state_change.warm().replacements.topup.held(account.run.run_id)
    assert held is not None
    assert "enough" in held.reason


def test_a_cancellation_that_is_replayed_does_not_hold_what_was_submitted_since(
    account: Account, batch: ShowingBatch
) -> None:
    ended_at = to_epoch_ms(account.clock.now())
    event = job_event(account, isTerminated=True, statusReason="enough", stoppedAt=ended_at)
    account.clock.advance(1)
    report(account, event)
    topup = job_state_change.warm().replacements.topup
    held = topup.held(account.run.run_id)
    account.clock.advance(3600)

    forge(account, event | {"time": account.clock.now().isoformat()})
    assert topup.held(account.run.run_id) == held

    ended_again = to_epoch_ms(account.clock.now())
    report(account, job_event(account, jobId="another", isTerminated=True, stoppedAt=ended_again, arrayProperties={}))
    again = topup.held(account.run.run_id)
    assert again is not None
    assert again.since >= ended_again


def test_a_missing_queue_variable_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTPROOF_ON_DEMAND_QUEUE")
    wiring.wire.cache_clear()

    with pytest.raises(ConfigurationError, match="SPOTPROOF_ON_DEMAND_QUEUE"):
        report(account, job_event(account))
