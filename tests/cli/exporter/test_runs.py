"""What the exporter tells of runs, shards, workers and costs."""

import random

import boto3
import pytest

from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Host, Ledger, Run, RunOptions, RunState, Session, Stop, StopKind
from spotproof.leases.requeue import key_of
from spotproof.retries import Retrier
from tests.cli.conftest import REGION, World
from tests.cli.exporter.conftest import Exporter
from tests.cli.test_status import complete, end, hold_one, lease_and_commit
from tests.fakes.leases import a_session

MINUTE_MS = 60_000
POOL = "m5.large/eu-central-1a"


def a_worker(world: World, run: Run, name: str, *, host: str = "i-0a", lifecycle: str = "spot") -> Session:
    """A worker with a whole host that was launched when it began."""
    now_ms = to_epoch_ms(world.clock.now())
    facts = Host(
        instance_id=host, instance_type="m5.large", zone="eu-central-1a", lifecycle=lifecycle, vcpus=2.0,
        launched_at=now_ms,
    )  # fmt: skip
    opened = a_session(name, run=run, host=facts, started_at=now_ms, until=now_ms + 600 * MINUTE_MS)
    return world.store.open_session(opened)


def report(world: World, session: Session, *, seq: int, **ledger: int) -> None:
    world.store.heartbeat(session, seq=seq, until=session.until, ledger=Ledger(**ledger))


def interrupt(world: World, session: Session, kind: StopKind) -> None:
    deadline = to_epoch_ms(world.clock.now()) + 2 * MINUTE_MS
    assert world.store.mark_stop(key_of(session), Stop(kind=kind, deadline=deadline)) is not None


def test_live_runs_show_their_shards_workers_and_what_waits(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run(shards=5, options=RunOptions(usd_max=20.0))
    session = a_worker(world, run, "w1")
    a_worker(world, run, "w2", host="i-0b", lifecycle="on-demand")
    lease_and_commit(world, run, session, stripe=0)
    hold_one(world, run, session)
    world.put_run("run-2", job="other", shards=2)
    world.store.pause_run(world.put_run("run-3", shards=1).run_id, reason="budget")
    world.clock.advance(10)

    shown = exporter.read()

    assert (shown("runs", state="running"), shown("runs", state="paused")) == (2, 1)
    assert shown.series("shards") == {
        (("job_name", job), ("state", state)): number
        for job, numbers in {"flight-delays": (4, 1, 1, 0), "other": (2, 0, 0, 0)}.items()
        for state, number in zip(("ready", "leased", "done", "quarantined"), numbers, strict=True)
    }
    assert [shown("run_paused", run=f"run-{number}") for number in (1, 3)] == [0, 1]
    assert [shown("run_shards", run="run-1", state=each) for each in ("ready", "leased", "done")] == [3, 1, 1]
    assert shown("run_workers", run="run-1", lifecycle="spot") == 1
    assert shown("run_workers", run="run-1", lifecycle="on-demand") == 1
    assert (shown("run_eta_seconds", run="run-1"), shown("run_eta_seconds", run="run-2")) == (40, None)
    assert (shown("run_budget_usd", run="run-1"), shown("run_budget_usd", run="run-2")) == (20, None)
    assert shown("run_oldest_requeued_age_seconds", run="run-1") == 0


def test_a_shard_that_was_handed_back_waits_since_then(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    session = a_worker(world, run, "w1")
    index = world.store.take_ticket(run, 0)
    assert index is not None
    lease = world.store.claim_fresh(run, index, session)
    assert lease is not None
    world.store.release(lease, interrupted=True)
    world.clock.advance(75)

    assert exporter.read()("run_oldest_requeued_age_seconds", run="run-1") == 75


def test_what_was_before_the_exporter_is_not_counted_and_what_comes_is_counted_once(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run(shards=6)
    old = a_worker(world, run, "old")
    lease_and_commit(world, run, old, stripe=0)
    report(world, old, seq=1, work_ms=50_000, checkpoint_ms=4_000)
    before = exporter.read()

    report(world, old, seq=2, work_ms=80_000, checkpoint_ms=5_000, idle_ms=2_000)
    lease_and_commit(world, run, a_worker(world, run, "new", host="i-0b"), stripe=1)
    exporter.read()
    after = exporter.read()  # nothing happened in between

    assert before("shards_finished_total", job_name="flight-delays", outcome="committed") == 0
    assert before("workers_started_total", lifecycle="spot") == 0
    assert before("worker_seconds_total", lifecycle="spot", activity="work") == 0
    assert after("shards_finished_total", job_name="flight-delays", outcome="committed") == 1
    assert after("workers_started_total", lifecycle="spot") == 1
    spent = [after("worker_seconds_total", lifecycle="spot", activity=each) for each in ("work", "checkpoint", "idle")]
    assert spent == [30, 1, 2]


def test_work_that_was_lost_is_counted_and_no_counter_falls_for_it(exporter: Exporter) -> None:
    """A worker moves it from one column of its ledger to another: the first column falls."""
    world = exporter.world
    run = world.put_run()
    exporter.read()
    session = a_worker(world, run, "w1")
    report(world, session, seq=1, work_ms=50_000)
    exporter.read()

    world.store.end_session(session, ledger=Ledger(work_ms=48_000, redone_ms=12_000))
    shown = exporter.read()

    assert shown("work_lost_seconds_total", lifecycle="spot") == 12
    assert shown("worker_seconds_total", lifecycle="spot", activity="work") == 60


def test_an_interruption_is_counted_once_however_it_was_learned(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    sessions = [a_worker(world, run, name, host=f"i-0{name}") for name in "abcd"]
    before = exporter.read()

    interrupt(world, sessions[0], StopKind.NOTICE)
    exporter.read()
    interrupt(world, sessions[0], StopKind.TERMINATED)  # the same host, later
    interrupt(world, sessions[1], StopKind.TERMINATED)
    interrupt(world, sessions[2], StopKind.CANCELLED)
    assert world.store.fence_session(key_of(sessions[3]), expired_at=None) is not None
    after = exporter.read()

    signals = ("notice", "terminated", "lost")
    assert [before("interruptions_total", pool=POOL, signal=each) for each in signals] == [0, 0, 0]
    assert [after("interruptions_total", pool=POOL, signal=each) for each in signals] == [1, 1, 1]
    assert after("run_interruptions", run="run-1") == 3


def note_taken(world: World, instance_id: str) -> None:
    """As the function does that hears of it."""
    retrier = Retrier(clock=world.clock, rng=random.Random(0))
    records = Records(dynamodb=boto3.client("dynamodb", region_name=REGION), table_name="table", retrier=retrier)
    noted = Interruption(at=to_epoch_ms(world.clock.now()), instance_id=instance_id)
    assert PoolRecords(records).note_interruption(POOL, noted, BreakerSettings()) is not None


def test_a_worker_that_left_before_anybody_marked_it_counts_by_the_record_of_its_host(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    early, left, stays, elsewhere = (
        a_worker(world, run, name, host=host) for name, host in zip("abcd", ("i-1", "i-1", "i-1", "i-2"), strict=True)
    )
    exporter.read()
    world.store.end_session(early, ledger=Ledger())
    world.clock.advance(5)
    note_taken(world, "i-1")
    world.clock.advance(5)
    for session in (left, elsewhere):
        world.store.end_session(session, ledger=Ledger())
    exporter.read()
    interrupt(world, stays, StopKind.NOTICE)
    shown = exporter.read()

    assert shown("interruptions_total", pool=POOL, signal="notice") == 2  # `left` and `stays`
    assert shown("run_interruptions", run="run-1") == 2


def test_recommendations_are_counted_by_pool(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    session = a_worker(world, run, "w1")
    exporter.read()

    for minutes in (20, 20, 25):  # a duplicate tells nothing new
        world.store.mark_hint(key_of(session), until=to_epoch_ms(world.clock.now()) + minutes * MINUTE_MS)
        shown = exporter.read()

    assert shown("rebalance_recommendations_total", pool=POOL) == 2


def test_costs_are_those_of_the_cost_command_and_add_up_by_lifecycle(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    exporter.read()
    a_worker(world, run, "w1")
    a_worker(world, run, "w2", host="i-0b", lifecycle="on-demand")
    world.clock.advance(900)

    shown = exporter.read()

    told = world.json("cost", "run-1")["cost"]
    assert shown("run_cost_usd", run="run-1") == pytest.approx(float(told["total_usd"]), abs=1e-6)
    assert shown("run_on_demand_cost_usd", run="run-1") == pytest.approx(float(told["on_demand_usd"]), abs=1e-6)
    assert shown("run_wasted_usd", run="run-1") == pytest.approx(float(told["wasted_usd"]), abs=1e-6)
    assert shown("cost_usd_total", lifecycle="spot") == pytest.approx(0.01)  # $0.04 an hour
    assert shown("cost_usd_total", lifecycle="on-demand") == pytest.approx(float(told["total_usd"]) - 0.01)


def test_a_host_taken_in_its_first_hour_gives_its_cost_back_without_a_counter_falling(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run()
    exporter.read()
    session = a_worker(world, run, "w1")
    world.clock.advance(900)
    paid = exporter.read()

    interrupt(world, session, StopKind.NOTICE)
    world.clock.advance(120)
    world.store.fence_session(key_of(session), expired_at=None)
    freed = exporter.read()

    assert paid("cost_usd_total", lifecycle="spot") == pytest.approx(0.01)
    assert freed("cost_usd_total", lifecycle="spot") == pytest.approx(0.01)
    assert freed("cost_spared_usd_total", lifecycle="spot") == pytest.approx(0.01)
    assert freed("run_cost_usd", run="run-1") == 0


def test_two_runs_on_one_host_share_its_cost_also_when_one_has_ended(exporter: Exporter) -> None:
    world = exporter.world
    exporter.read()
    for name in ("run-1", "run-2"):
        run = world.put_run(name)
        facts = Host(
            instance_id="i-0a", instance_type="m5.large", zone="eu-central-1a", lifecycle="spot", vcpus=1.0,
            launched_at=to_epoch_ms(world.clock.now()),
        )  # fmt: skip
        now_ms = to_epoch_ms(world.clock.now())
        opened = a_session(f"{name}-w", run=run, host=facts, started_at=now_ms, until=now_ms + 600 * MINUTE_MS)
        session = world.store.open_session(opened)
    world.clock.advance(900)
    both = exporter.read()
    complete(world, world.store.get_run(run.run_id) or run)
    world.store.end_session(session, ledger=Ledger())
    for _ in range(3):
        world.clock.advance(100)  # the second run's last worker is silent for good
        one = exporter.read()

    told = world.json("cost", "run-1")["cost"]
    assert [both("run_cost_usd", run=f"run-{number}") for number in (1, 2)] == [pytest.approx(0.005)] * 2
    assert one("run_cost_usd", run="run-2") is None
    assert one("run_cost_usd", run="run-1") == pytest.approx(float(told["total_usd"]), abs=1e-6)


def test_a_run_that_ended_is_counted_and_has_no_series_of_its_own_any_more(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run(shards=3)
    world.put_run("run-2")
    exporter.read()

    complete(world, run)
    shown = exporter.read()
    again = exporter.read()

    assert shown("runs_ended_total", state="complete") == again("runs_ended_total", state="complete") == 1
    assert shown("shards_finished_total", job_name="flight-delays", outcome="committed") == 3
    assert shown("run_shards", run="run-1", state="done") is None
    assert shown("run_shards", run="run-2", state="ready") == 4


def test_a_run_that_came_and_ended_between_two_readings_is_counted(exporter: Exporter) -> None:
    world = exporter.world
    complete(world, world.put_run("early", shards=3))
    exporter.read()

    complete(world, world.put_run(shards=3))
    exporter.read()
    shown = exporter.read()

    assert shown("runs_ended_total", state="complete") == 1
    assert shown("shards_finished_total", job_name="flight-delays", outcome="committed") == 3


def test_only_the_newest_live_runs_have_series_of_their_own_and_the_sums_have_all(exporter: Exporter) -> None:
    world = exporter.world
    for number in range(25):
        world.put_run(f"run-{number}", shards=2)
        world.clock.advance(1)

    shown = exporter.read()

    labels = {dict(series)["run"] for series in shown.series("run_shards")}
    assert labels == {f"run-{number}" for number in range(5, 25)}
    assert shown("runs", state="running") == 25
    assert shown("shards", job_name="flight-delays", state="ready") == 50


def test_the_shards_of_a_big_run_are_counted_less_often(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run(shards=30_000, stripes=2)  # a minute's worth
    exporter.read()
    session = a_worker(world, run, "w1")
    lease_and_commit(world, run, session, stripe=0)

    world.clock.advance(30)
    early = exporter.read()
    world.clock.advance(31)
    late = exporter.read()

    assert early("run_shards", run="run-1", state="done") == 0
    assert early("run_workers", run="run-1", lifecycle="spot") == 1
    assert late("run_shards", run="run-1", state="done") == 1


def test_a_failed_run_counts_as_failed(exporter: Exporter) -> None:
    world = exporter.world
    run = world.put_run(shards=2, stripes=1)
    exporter.read()
    end(world, run, RunState.FAILED, "quarantined")

    assert exporter.read()("runs_ended_total", state="failed") == 1
