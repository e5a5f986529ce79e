"""The scheduled controller: rescue, closing, announcing, and runs that nobody works on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lambdas import controller, finalizer, wiring
from lambdas.controlling import tending
from lambdas.controlling.cleaning import decide_cleaning
from lambdas.controlling.stuck import decide_stuck, decide_width
from spotproof import contract, events
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.capacity.topup_items import Hold
from spotproof.clock import SystemClock, to_epoch_ms
from spotproof.errors import AwsUnavailableError, ConfigurationError
from spotproof.leases.model import Ledger, Run, RunId, RunState, SessionState, ShardState, Stop, StopKind
from tests.fakes.leases import HOUR, NOON, a_run, a_session, an_output
from tests.lambdas.batch_world import BatchWorld, RecordingBus
from tests.lambdas.conftest import Account

Metrics = Callable[[], dict[str, float]]


def tick(account: Account) -> Any:
    return controller.handler({}, account.context)


def finish_all(account: Account) -> None:
    session = account.worker("finisher", batch_job_id="job-0:1")
    for index in range(account.run.shards):
        account.store.take_ticket(account.run, account.run.stripe_of(index))
        lease = account.lease(session, index, seq=index + 1)
        account.store.commit(lease, an_output(lease))


def test_an_expired_session_is_rescued_and_counted(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    session = account.worker(batch_job_id="job-0:1")
    account.lease(session, 0)
    account.clock.advance(2 * 3600)
    batch.add(account.run.run_id)

    done = tick(account)

    assert (done["runs"], done["rescued"], done["requeued"], done["failures"]) == (1, 1, 1, 0)
    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert (shard.state, shard.losses) == (ShardState.READY, 1)
    assert account.session(session).state is SessionState.DEAD
    emitted = metrics()
    assert (emitted[events.METRIC_CONTROLLER_HEARTBEAT], emitted[events.METRIC_SESSIONS_RESCUED]) == (1, 1)


def test_a_second_tick_changes_nothing(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    account.lease(account.worker(), 0)
    account.clock.advance(2 * 3600)
    batch.add(account.run.run_id)
    tick(account)
    before = account.items()

    account.clock.advance(60)
    assert tick(account)["rescued"] == 0
    assert account.items() == before


def test_finished_stripes_are_closed_and_the_run_is_announced_until_it_ends(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    finish_all(account)

    tick(account)

    assert account.stored_run().closed == frozenset({0, 1})
    assert bus.runs(contract.DETAIL_RUN_FINISHED) == [account.run.run_id]
    account.clock.advance(60)
    tick(account)
    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 2


def test_a_run_that_is_being_finalized_is_not_announced(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    finish_all(account)
    tick(account)
    account.store.take_finalizer(account.stored_run(), finalizer="f", ttl_s=300)

    tick(account)
    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 1
    account.clock.advance(301)
    tick(account)
    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 2


def test_a_hole_is_repaired_in_one_tick(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    batch.add(account.run.run_id)
    for _ in range(3):
        account.store.take_ticket(account.run, 0)  # taken, and the worker died before its hold

    done = tick(account)

    assert done["holes"] == 3
    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert shard.state is ShardState.READY


def test_an_ended_run_that_was_not_cleaned_is_announced_again_and_a_cancelled_one_after_a_rest(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    account.store.cancel_run(account.run.run_id, reason="enough")

    tick(account)
    assert bus.runs(contract.DETAIL_RUN_FINISHED) == []
    account.clock.advance(11 * 60)
    tick(account)
    assert bus.runs(contract.DETAIL_RUN_FINISHED) == [account.run.run_id]
    account.store.mark_cleaned(account.run.run_id)
    tick(account)
    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 1


def ended(**changes: Any) -> Run:
    return replace(a_run(), state=RunState.COMPLETE, ended_at=NOON, **changes)


@pytest.mark.parametrize(
    ("minutes", "due"),
    [(0, False), (9.9, False), (10, True), (59.9, True), (60, True), (61, False), (119, False), (120, True)],
)
def test_an_ended_run_is_cleaned_again_when_all_is_quiet_and_after_an_hour_only_once_an_hour(
    minutes: float, due: bool
) -> None:
    assert decide_cleaning(ended(), now_ms=NOON + round(minutes * 60_000)).due is due


def test_a_run_is_not_cleaned_while_a_finalizer_is_at_it() -> None:
    now = NOON + 20 * 60_000

    assert not decide_cleaning(ended(finalizer_until=now), now_ms=now).due
    assert decide_cleaning(ended(finalizer_until=now - 1), now_ms=now).due


def test_ended_runs_that_can_not_be_cleaned_block_no_others(
    account: Account, bus: RecordingBus, batch: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are looked at in one invocation: each has its turn."""
    monkeypatch.setattr(tending, "ANNOUNCED_MAX", 2)
    for name in "abcde":
        account.store.create_run(a_run(run_id=RunId(name), stripes=2))
        account.store.cancel_run(RunId(name), reason="enough")
    account.clock.advance(15 * 60)
    batch.add(account.run.run_id)

    for _ in range(5):
        tick(account)
        account.clock.advance(60)

    assert set(bus.runs(contract.DETAIL_RUN_FINISHED)) == set("abcde")


def test_orphans_of_a_run_that_goes_on_are_swept_once_an_hour(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    batch.add(account.run.run_id)
    worker = account.worker()
    lease = account.lease(worker, 0)
    orphan, mine = (
        f"{contract.checkpoints_prefix(account.run.run_id, 0)}0000000{n}/d/000000000001-0a-00" for n in (0, 1)
    )
    for key in (orphan, mine):
        account.s3.put_object(Bucket="work", Key=key, Body=b"")
    assert lease.fencing_token == 1
    account.clock.advance(real_age_s(account) + 3600)
    account.store.heartbeat(
        account.session(worker), seq=9, until=to_epoch_ms(account.clock.now()) + 10 * HOUR, ledger=Ledger()
    )
    metrics()

    found, counted = [], 0.0
    for _ in range(60):
        found.append(tick(account)["orphans"])
        counted += metrics()[events.METRIC_ORPHANS_DELETED]
        account.clock.advance(60)

    assert sorted(found) == [0] * 59 + [1]
    assert counted == 1
    left = account.s3.list_objects_v2(Bucket="work", Prefix=contract.CHECKPOINTS_PREFIX)["Contents"]
    assert [each["Key"] for each in left] == [mine]


def real_age_s(account: Account) -> float:
    """How far the clock of moto's bucket, the real one, is ahead of ours."""
    return max(0.0, SystemClock().now().timestamp() - account.clock.now().timestamp())


def test_a_sweep_that_fails_is_told_and_harms_nothing_else(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    class Failing:
        def sweep(self, run: Run, *, deadline: float) -> Any:
            raise AwsUnavailableError("down")

    object.__setattr__(controller.warm(), "sweeper", Failing())
    finish_all(account)
    account.store.create_run(a_run(run_id=RunId("other"), stripes=2))
    batch.add(account.run.run_id)

    done = tick(account)

    assert (done["runs"], done["announced"], done["failures"]) == (2, 1, 1)


def abandoned(account: Account, batch: BatchWorld) -> None:
    """Its only worker ended long ago, for a reason that nobody replaces."""
    batch.add(account.run.run_id, job_id="job-0", status="FAILED")
    account.worker(batch_job_id="job-0:1")
    account.clock.advance(2 * 3600)


def test_a_run_that_nobody_works_on_gets_one_worker_like_its_last(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    abandoned(account, batch)

    assert tick(account)["topped_up"] == 1
    assert metrics()[events.METRIC_WORKERS_REPLACED] == 1
    assert tick(account)["topped_up"] == 0  # the same minute again

    [job] = batch.submitted
    assert job["parameters"] == batch.jobs["job-0"]["parameters"] | {"run": account.run.run_id}
    assert (job["jobQueue"].rpartition("/")[2], job["jobDefinition"].rpartition("/")[2]) == ("spot-queue", "d:3")
    assert job["tags"] == {"team": "delays"}
    [entry] = account.store.history(account.run.run_id)
    assert entry.kind == "workers topped up"
    assert "no live session" in entry.reason


def test_while_its_new_worker_waits_for_capacity_it_gets_no_other(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    abandoned(account, batch)
    tick(account)

    for _ in range(10):
        account.clock.advance(30)
        tick(account)

    assert len(batch.submitted) == 1


def test_a_job_that_batch_has_forgotten_is_reported_and_stops_no_other_run(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    abandoned(account, batch)
    del batch.jobs["job-0"]

    done = tick(account)

    assert (done["topped_up"], done["failures"]) == (0, 1)


def test_a_run_that_was_resumed_gets_all_its_workers_back(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    batch.add(account.run.run_id, job_id="job-0", workers={"SUCCEEDED": 5})
    left = account.worker(batch_job_id="job-0:1")
    account.store.pause_run(account.run.run_id, reason="budget")
    account.store.mark_stop(account.key(left), Stop(kind=StopKind.PAUSED, deadline=None))
    account.store.end_session(account.session(left), ledger=Ledger())
    account.clock.advance(60)
    assert tick(account)["topped_up"] == 0
    account.store.resume_run(account.run.run_id, usd_max=None)
    assert tick(account)["topped_up"] == 0  # whoever resumes it may be submitting them right now
    account.clock.advance(60)
    assert tick(account)["topped_up"] == 0
    account.clock.advance(60)

    assert tick(account)["topped_up"] == 5
    assert batch.submitted[0]["arrayProperties"] == {"size": 5}


@pytest.mark.parametrize("last_on_demand", [True, False])
def test_the_workers_of_a_resumed_run_wait_for_spot_whatever_its_last_worker_was_or_its_pool_is(
    account: Account, bus: RecordingBus, batch: BatchWorld, last_on_demand: bool
) -> None:
    """All of them on demand, because one was, would be more than any cap allows."""
    batch.add(account.run.run_id, job_id="job-0", workers={"SUCCEEDED": 5})
    batch.add(account.run.run_id, job_id="rescue", queue="on-demand-queue", status="SUCCEEDED")
    left = [account.worker(batch_job_id="job-0:1")]
    if last_on_demand:
        account.clock.advance(60)
        left.append(account.worker("rescuer", batch_job_id="rescue", lifecycle="on-demand"))
    pools = PoolRecords(Records(dynamodb=account.dynamodb, table_name="table", retrier=wiring.wire().retrier))
    for number in range(3):
        lost = Interruption(at=to_epoch_ms(account.clock.now()) + number, instance_id=f"i-{number:017x}")
        pools.note_interruption("m6i.large/us-east-1a", lost, BreakerSettings())
    account.store.pause_run(account.run.run_id, reason="budget")
    for session in left:
        account.store.mark_stop(account.key(session), Stop(kind=StopKind.PAUSED, deadline=None))
        account.store.end_session(account.session(session), ledger=Ledger())
    account.store.resume_run(account.run.run_id, usd_max=None)
    tick(account)
    account.clock.advance(120)

    assert tick(account)["topped_up"] == 5
    assert [job["jobQueue"].rpartition("/")[2] for job in batch.submitted] == ["spot-queue"]


def test_batch_that_does_not_answer_stops_no_rescue(account: Account, bus: RecordingBus, batch: BatchWorld) -> None:
    account.lease(account.worker(batch_job_id="job-0:1"), 0)
    account.clock.advance(2 * 3600)
    batch.refuse = "AccessDeniedException"

    done = tick(account)

    assert (done["rescued"], done["requeued"]) == (1, 1)
    assert done["failures"] == 2  # the look, and the run that may need a worker


def test_one_failing_run_stops_no_other(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = account.store.create_run(a_run(run_id=RunId("other"), stripes=2))
    finish_all(account)
    requeuer = controller.warm().requeuer
    real = requeuer.rescue_expired

    def failing(run: Run, now: int) -> Any:
        if run.run_id == other.run_id:
            raise AwsUnavailableError("throttled")
        return real(run, now)

    monkeypatch.setattr(requeuer, "rescue_expired", failing)

    done = tick(account)

    assert (done["runs"], done["failures"]) == (2, 1)
    assert bus.runs(contract.DETAIL_RUN_FINISHED) == [account.run.run_id]
    assert metrics()[events.METRIC_CONTROLLER_FAILURES] == 1


def test_without_time_it_leaves_the_rest_to_the_next_minute(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    account.context.remaining_s = 1.0

    assert tick(account) | {"skipped": 1, "runs": 0} == tick(account)


def test_a_minute_without_runs_is_an_ordinary_one_and_writes_one_metric_for_which_to_pay(
    account: Account, bus: RecordingBus, batch: BatchWorld, metrics: Metrics
) -> None:
    account.store.cancel_run(account.run.run_id, reason="enough")
    metrics()

    assert tick(account)["runs"] == 0
    assert metrics() == {events.METRIC_CONTROLLER_HEARTBEAT: 1}


def test_the_announcement_is_an_event_the_finalizer_takes(account: Account) -> None:
    import json

    import boto3

    from lambdas.run_events import RunEvents

    events_client = boto3.client("events", region_name="us-east-1")
    logs = boto3.client("logs", region_name="us-east-1")
    logs.create_log_group(logGroupName="/aws/events/seen")
    events_client.put_rule(Name="r", EventPattern=json.dumps({"source": [contract.EVENT_SOURCE]}))
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/events/seen"
    events_client.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])

    RunEvents(client=events_client, bus="default", retrier=wiring.wire().retrier).announce_finished("run-1")

    [seen] = logs.filter_log_events(logGroupName="/aws/events/seen")["events"]
    event = json.loads(seen["message"])
    assert (event["detail-type"], event["detail"]["run_id"]) == (contract.DETAIL_RUN_FINISHED, "run-1")


ALIVE = a_session("alive", until=NOON + HOUR)
GONE = replace(
    a_session("gone", state=SessionState.DEAD), host=replace(ALIVE.host, batch_job_id="job-0:1"), started_at=NOON
)


@pytest.mark.parametrize(
    ("sessions", "hold", "live_jobs", "state", "said"),
    [
        ([GONE, ALIVE], None, False, RunState.RUNNING, "a worker is alive"),
        ([GONE], None, True, RunState.RUNNING, "waits or runs"),
        ([], None, False, RunState.RUNNING, "by hand"),
        ([replace(GONE, host=ALIVE.host)], None, False, RunState.RUNNING, "by hand"),
        ([GONE], Hold(since=NOON + 1, reason="terminated"), False, RunState.RUNNING, "held: terminated"),
        ([GONE], None, False, RunState.PAUSED, "PAUSED"),
    ],
)
def test_why_a_run_gets_no_worker(
    sessions: list[Any], hold: Hold | None, live_jobs: bool, state: RunState, said: str
) -> None:
    decision = decide_stuck(
        run=a_run(state=state), sessions=sessions, hold=hold, live_jobs=live_jobs, now_ms=NOON + 60_000
    )

    assert not decision.needs_worker
    assert said in decision.reason


def test_a_hold_older_than_the_newest_worker_was_lifted_by_submitting_again() -> None:
    newest = replace(GONE, started_at=NOON + 10_000, host=replace(GONE.host, batch_job_id="job-1:1"))
    hold = Hold(since=NOON + 5_000, reason="terminated")

    decision = decide_stuck(run=a_run(), sessions=[GONE, newest], hold=hold, live_jobs=False, now_ms=NOON + 60_000)

    assert decision.needs_worker
    assert decision.like == "job-1:1"


def test_a_run_that_no_session_ever_joined_gets_a_worker_like_its_planner() -> None:
    """Simulation seed 119: access to the plan was denied for three minutes; every worker left before it had a session."""
    run = a_run(batch_job_id="job-0:2")

    decision = decide_stuck(run=run, sessions=[], hold=None, live_jobs=False, now_ms=NOON + 60_000)

    assert decision.needs_worker
    assert decision.like == "job-0:2"


def test_a_person_who_ended_a_run_without_sessions_is_heeded() -> None:
    run, hold = a_run(batch_job_id="job-0:2"), Hold(since=NOON + 1, reason="terminated")

    assert not decide_stuck(run=run, sessions=[], hold=hold, live_jobs=False, now_ms=NOON + 60_000).needs_worker


def test_a_silent_session_counts_as_gone_even_before_its_rescue() -> None:
    silent = replace(GONE, state=SessionState.ALIVE, until=NOON, stop=Stop(kind=StopKind.NOTICE, deadline=None))

    decision = decide_stuck(run=a_run(), sessions=[silent], hold=None, live_jobs=False, now_ms=NOON + 1)

    assert decision.needs_worker


def test_only_a_pause_brings_a_stuck_run_back_at_its_full_width() -> None:
    paused = replace(GONE, stop=Stop(kind=StopKind.PAUSED, deadline=None), ended_at=NOON + 1000)
    interrupted = replace(GONE, stop=Stop(kind=StopKind.NOTICE, deadline=None), ended_at=NOON + 900)
    later = replace(GONE, started_at=NOON + 2000)

    assert decide_width([paused, interrupted], submitted=8) == 8
    assert decide_width([paused, later], submitted=8) == 1
    assert decide_width([interrupted], submitted=8) == 1
    assert decide_width([], submitted=8) == 1


@pytest.mark.parametrize("name", [contract.ENV_SPOT_QUEUE, contract.ENV_ON_DEMAND_QUEUE, contract.ENV_EVENT_BUS])
def test_a_variable_that_only_some_functions_need_is_named_by_the_one_that_does(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    wiring.wire.cache_clear()

    with pytest.raises(ConfigurationError, match=name):
        tick(account)
    finalizer.warm()  # has no use for it


def test_a_run_that_was_just_announced_is_given_time_before_it_is_announced_again(
    account: Account, bus: RecordingBus, batch: BatchWorld
) -> None:
    finish_all(account)
    patient = replace(controller.warm(), announce_every_s=45.0)

    for _ in range(3):
        patient.tend_all(deadline=account.clock.monotonic() + 60, telemetry=controller.powertools)
        account.clock.advance(20)

    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 1
    account.clock.advance(20)
    patient.tend_all(deadline=account.clock.monotonic() + 60, telemetry=controller.powertools)
    assert len(bus.runs(contract.DETAIL_RUN_FINISHED)) == 2
