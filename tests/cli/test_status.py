"""`spotproof status`, with and without --wait."""

import dataclasses
import json

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.leases.model import (
    CapacityClass,
    HistoryEntry,
    Ledger,
    OutputPointer,
    RequeueCause,
    Run,
    RunId,
    RunState,
    Session,
    Stop,
    StopKind,
    StripeWalk,
    history_key,
)
from spotproof.leases.requeue import Requeuer, key_of
from tests.cli.conftest import World

NOTHING = OutputPointer(files=(), manifest_key=None, sha256="0" * 64, size_bytes=0, records=0)


def lease_and_commit(world: World, run: Run, session: Session, *, stripe: int) -> None:
    index = world.store.take_ticket(run, stripe)
    assert index is not None
    lease = world.store.claim_fresh(run, index, session)
    assert lease is not None
    world.store.commit(lease, NOTHING)


def hold_one(world: World, run: Run, session: Session, *, stripe: int = 0) -> int:
    index = world.store.take_ticket(run, stripe)
    assert index is not None
    world.store.hold(session, index, seq=1, until=session.until)
    assert world.store.claim_fresh(run, index, session) is not None
    return index


def complete(world: World, run: Run) -> None:
    """Commit every shard and end the run."""
    session = world.open_session(run, "closer")
    for stripe in range(run.stripes):
        for _ in range(run.shards_in_stripe(stripe)):
            lease_and_commit(world, run, session, stripe=stripe)
    end(world, run, RunState.COMPLETE)


def end(world: World, run: Run, state: RunState, reason: str | None = None) -> None:
    for stripe in range(run.stripes):
        run = world.store.close_stripe(run.run_id, stripe).run
    taken = world.store.take_finalizer(run, finalizer="f", ttl_s=60)
    assert taken is not None
    assert world.store.end_run(taken, state=state, quarantined=0, reason=reason)


def test_status_counts_shards_by_state(world: World) -> None:
    run = world.put_run(shards=5)
    session = world.open_session(run, "w1")
    lease_and_commit(world, run, session, stripe=0)
    hold_one(world, run, session)
    world.clock.advance(10)

    document = world.json("status", "run-1")

    assert document["shards"] == {"total": 5, "ready": 3, "leased": 1, "done": 1, "quarantined": 0}
    assert document["progress"] == 0.2
    assert document["eta_s"] == 40.0


def test_status_counts_a_ticket_without_a_row_as_ready(world: World) -> None:
    run = world.put_run(shards=5)
    world.store.take_ticket(run, 0)

    assert world.json("status", "run-1")["shards"]["ready"] == 5


def test_status_shows_live_workers_and_what_they_hold(world: World) -> None:
    run = world.put_run()
    hold_one(world, run, world.open_session(run, "w1", instance_id="i-00000000000000aa"))
    stopped = world.open_session(run, "w2", instance_id="i-00000000000000bb")
    world.store.mark_stop(key_of(stopped), Stop(kind=StopKind.NOTICE, deadline=stopped.until))
    world.store.end_session(world.open_session(run, "w3"), ledger=Ledger())

    workers = world.json("status", "run-1")["workers"]

    assert [(each["instance"], each["shard"], each["stop"]) for each in workers] == [
        ("i-00000000000000aa", 0, None),
        ("i-00000000000000bb", None, "notice"),
    ]


def test_status_marks_a_worker_past_its_expiry_as_silent(world: World) -> None:
    world.open_session(world.put_run(), "w1")
    world.clock.advance(91)

    assert [each["silent"] for each in world.json("status", "run-1")["workers"]] == [True]


def test_status_tells_interruptions_with_notice_from_losses(world: World) -> None:
    run = world.put_run()
    noticed = world.open_session(run, "w1", instance_id="i-00000000000000aa")
    hold_one(world, run, noticed)
    requeuer = Requeuer(world.store)
    requeuer.drain_instance("i-00000000000000aa", noticed.until)
    requeuer.requeue_instance("i-00000000000000aa")
    hold_one(world, run, world.open_session(run, "w2", instance_id="i-00000000000000bb"), stripe=1)
    world.clock.advance(100)
    requeuer.rescue_expired(run, noticed.until + 10_000)

    assert world.json("status", "run-1")["interruptions"] == {
        "workers_stopped": 1,
        "workers_lost": 1,
        "shards_interrupted": 1,
        "shards_lost": 1,
    }


def quarantine(world: World, run: Run, error: str) -> None:
    session = world.open_session(run, "w1")
    index = hold_one(world, run, session)
    lease = world.store.claim_fresh(run, index, session)
    assert lease is not None  # its own lost reply
    world.store.fail(lease, error=error, retry_at=0, failures_max=1)


def test_status_shows_quarantined_shards_with_their_errors(world: World) -> None:
    run = world.put_run()
    quarantine(world, run, "ValueError: no such carrier")

    document = world.json("status", "run-1")
    people = world.run("status", "run-1").stdout

    assert document["quarantined"] == [{"shard": 0, "failures": 1, "losses": 0, "error": "ValueError: no such carrier"}]
    assert "ValueError: no such carrier" in people


def test_terminal_escapes_in_an_error_do_not_reach_the_terminal(world: World) -> None:
    run = world.put_run()
    quarantine(world, run, "\x1b[2Jgone\x1b]0;title\x07 \u202etxt.exe\r\nsecond\x9b31m line")

    result = world.run("status", "run-1")

    assert "gone txt.exe second line" in result.stdout
    assert not set(result.stdout) & set("\x1b\x07\x9b\u202e\r")


def test_json_has_these_keys_in_this_order(world: World) -> None:
    world.put_run()

    document = world.json("status", "run-1")

    assert list(document) == [
        "schema", "run", "shards", "progress", "eta_s", "interruptions", "workers", "waiting", "quarantined", "decisions",
    ]  # fmt: skip
    assert list(document["run"]) == [
        "id", "job", "state", "reason", "input", "output", "shards", "created_at", "ended_at",
    ]  # fmt: skip


CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no m7i.large"


def add_waiting_array(world: World, *, reason: str, size: int = 3) -> str:
    parent = world.batch.add("run-1", size=size, status="PENDING")
    told = {"statusReason": reason} if reason else {}
    world.batch.children[parent] = [
        {"jobId": f"{parent}:{n}", "jobQueue": "spot-queue", "status": "RUNNABLE", **told} for n in range(size)
    ]
    return parent


def test_status_says_why_workers_wait_and_what_to_do(world: World) -> None:
    world.put_run()
    add_waiting_array(world, reason=CAPACITY)

    (waiting,) = world.json("status", "run-1")["waiting"]
    people = world.run("status", "run-1").stdout

    assert list(waiting) == ["workers", "reason", "kind", "text", "advice"]
    assert (waiting["workers"], waiting["reason"], waiting["kind"]) == (3, CAPACITY, "no_capacity")
    assert f"waiting        3 × no capacity: {waiting['text']}" in people
    assert f"what to do     {waiting['advice']}" in people


def test_jobs_that_wait_for_the_same_reason_are_told_once(world: World) -> None:
    world.put_run()
    add_waiting_array(world, reason=CAPACITY)
    add_waiting_array(world, reason=CAPACITY, size=2)
    world.batch.add("run-1", status="STARTING")

    waiting = world.json("status", "run-1")["waiting"]

    assert [(each["workers"], each["kind"]) for each in waiting] == [(5, "no_capacity"), (1, "starting")]


def test_a_used_up_quota_is_told_with_the_command_that_asks_for_more(world: World) -> None:
    world.put_run()
    world.scaling.failures = [(world.clock.now(), "Max spot instance count exceeded. Launching EC2 instance failed.")]
    add_waiting_array(world, reason=CAPACITY)

    (waiting,) = world.json("status", "run-1")["waiting"]

    assert waiting["kind"] == "quota"
    assert "--quota-code L-34B43A08 --desired-value 64" in waiting["advice"]


def test_a_disabled_environment_is_told_before_anybody_planned(world: World) -> None:
    world.batch.environment = {"state": "DISABLED"}
    world.batch.add("run-1", status="RUNNABLE")

    people = world.run("status", "run-1").stdout
    waited = world.run("status", "run-1", "--wait", "--timeout", "5").stderr

    assert "aws batch update-compute-environment --compute-environment Env --state ENABLED" in people
    assert "1 RUNNABLE (1 × disabled: compute environment Env is disabled" in waited


def test_while_waiting_it_is_told_why_nobody_works_and_no_more_once_somebody_does(world: World) -> None:
    run = world.put_run()
    add_waiting_array(world, reason=CAPACITY)
    world.clock.after(100, lambda: world.open_session(run, "w1"))

    lines = world.run("status", "run-1", "--wait", "--timeout", "200").stderr.splitlines()

    told = [line for line in lines if "no worker is alive: 3 × no capacity: EC2 has no Spot capacity" in line]
    assert len(told) == 1
    assert "1 workers" in lines[lines.index(told[0]) + 1]


def test_while_waiting_it_is_told_that_nobody_is_on_the_way(world: World) -> None:
    world.put_run()
    world.batch.add("run-1", status="FAILED")

    alone = world.run("status", "run-1", "--wait", "--timeout", "5").stderr
    world.batch.add("run-1", status="RUNNING")
    coming = world.run("status", "run-1", "--wait", "--timeout", "5").stderr

    assert "run-1: no worker is alive, and no Batch job of the run waits or runs" in alone
    assert "no worker is alive" not in coming


def test_a_paused_run_without_workers_is_not_called_stuck(world: World) -> None:
    run = world.put_run()
    world.store.pause_run(run.run_id, reason="the budget is spent")

    assert "no worker is alive" not in world.run("status", "run-1", "--wait", "--timeout", "5").stderr


def test_who_may_not_read_queues_still_gets_batchs_own_reason(world: World) -> None:
    world.put_run()
    world.batch.refuse_reads = "AccessDeniedException"
    add_waiting_array(world, reason=CAPACITY)

    result = world.run("status", "run-1")
    waited = world.run("status", "run-1", "--wait", "--timeout", "25").stderr

    assert result.exit_code == 0
    assert f"waiting        3 × {CAPACITY}" in result.stdout
    assert "what to do" not in result.stdout
    assert "this could not be read: looking at the front of the queue" in result.stderr
    assert waited.count("could not be read") == 1


def test_a_run_that_no_worker_planned_yet_is_shown_as_submitted(world: World) -> None:
    world.batch.add("run-1", status="RUNNABLE", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")

    document = world.json("status", "run-1")

    assert document["run"] == {"id": "run-1", "state": "SUBMITTED"}
    assert [(each["workers"], each["kind"]) for each in document["waiting"]] == [(1, "too_big")]
    assert "SUBMITTED" in world.run("status", "run-1").stdout


def test_a_job_submitted_without_a_run_id_is_found_by_its_own(world: World) -> None:
    job_id = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
    world.batch.jobs[job_id] = {
        "jobId": job_id, "jobName": "x", "jobQueue": "spot-queue", "status": "RUNNABLE", "parameters": {"run": "auto"},
    }  # fmt: skip

    assert world.json("status", job_id)["run"]["id"] == job_id


def test_status_without_run_lists_active_recent_and_submitted_runs(world: World) -> None:
    complete(world, world.put_run("old"))
    world.clock.advance(60)
    world.put_run("new")
    world.batch.add("coming", size=3, status="PENDING")
    world.batch.add("new", status="RUNNING")

    document = world.json("status")

    assert [(run["id"], run["state"]) for run in document["runs"]] == [("new", "RUNNING"), ("old", "COMPLETE")]
    assert document["submitted"] == [{"id": "coming", "state": "SUBMITTED", "workers": 3}]
    assert world.run("status", "--plain").stdout.splitlines()[1].split("\t")[:3] == ["new", "RUNNING", "flight-delays"]


def test_status_of_an_empty_account_says_how_to_start(world: World) -> None:
    result = world.run("status")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "spotproof submit" in result.stderr


@pytest.mark.parametrize(
    ("state", "code"),
    [(RunState.COMPLETE, 0), (RunState.FAILED, 100), (RunState.CANCELLED, 103), (RunState.RUNNING, 101)],
)
def test_exit_code_tells_the_state_only_when_asked(world: World, state: RunState, code: int) -> None:
    run = world.put_run()
    if state is RunState.CANCELLED:
        world.store.cancel_run(run.run_id, reason="enough")
    elif state is not RunState.RUNNING:
        end(world, run, state)

    assert world.run("status", "run-1").exit_code == 0
    assert world.run("status", "run-1", "--exit-code").exit_code == code


@pytest.mark.parametrize("arguments", [("status", "nobody"), ("status", "nobody", "--wait"), ("logs", "nobody")])
def test_an_unknown_run_is_102(world: World, arguments: tuple[str, ...]) -> None:
    result = world.run(*arguments)

    assert result.exit_code == 102
    assert "no run nobody" in result.stderr


@pytest.mark.parametrize(
    ("state", "code", "words"), [(RunState.COMPLETE, 0, ""), (RunState.FAILED, 100, "too many quarantined")]
)
def test_wait_ends_with_the_run(world: World, state: RunState, code: int, words: str) -> None:
    run = world.put_run()
    world.clock.after(30, lambda: end(world, run, state, words or None))

    result = world.run("status", "run-1", "--wait")

    assert result.exit_code == code
    assert words in result.stderr


def test_wait_for_a_run_cancelled_meanwhile_is_103(world: World) -> None:
    run = world.put_run()
    world.clock.after(30, lambda: world.store.cancel_run(run.run_id, reason="enough"))

    result = world.run("status", "run-1", "--wait")

    assert result.exit_code == 103
    assert "enough" in result.stderr


def test_wait_gives_up_after_the_timeout_and_says_that_the_run_goes_on(world: World) -> None:
    world.put_run()
    started = world.clock.monotonic()

    result = world.run("status", "run-1", "--wait", "--timeout", "45")

    assert result.exit_code == 124
    assert world.clock.monotonic() - started == pytest.approx(45)
    assert "the run goes on; re-attach with: spotproof status run-1 --wait" in result.stderr


def test_ctrl_c_while_waiting_leaves_the_run_alone_and_says_how_to_come_back(world: World) -> None:
    run = world.put_run()

    def press_ctrl_c() -> None:
        raise KeyboardInterrupt

    world.clock.after(30, press_ctrl_c)
    result = world.run("status", "run-1", "--wait")

    stored = world.store.get_run(run.run_id)
    assert result.exit_code == 130
    assert "the run goes on; re-attach with: spotproof status run-1 --wait" in result.stderr
    assert stored is not None
    assert stored.state is RunState.RUNNING


def test_wait_prints_a_line_per_change_and_no_more_than_one_in_three_seconds(world: World) -> None:
    run = world.put_run(shards=40)
    session = world.open_session(run, "w1")
    for second in range(20):
        world.clock.after(second, lambda: lease_and_commit(world, run, session, stripe=0))
    world.clock.after(60, lambda: end(world, run, RunState.FAILED))

    result = world.run("status", "run-1", "--wait")

    lines = [line for line in result.stderr.splitlines() if "shards done" in line]
    assert 4 <= len(lines) <= 9  # 20 changes in 20 s, then 40 s without any
    assert "20/40 shards done" in lines[-1]
    assert "\x1b" not in result.stderr


def test_an_interruption_is_counted_while_waiting_even_if_the_worker_was_gone_before_its_notice(world: World) -> None:
    run = world.put_run()
    session = world.open_session(run, "w1")
    index = hold_one(world, run, session)
    lease = world.store.claim_fresh(run, index, session)
    assert lease is not None  # its own lost reply
    world.store.release(lease, interrupted=True)
    world.store.end_session(session, ledger=Ledger())

    assert "1 interrupted" in world.run("status", "run-1", "--wait", "--timeout", "5").stderr


def test_no_time_is_left_when_every_shard_is_finished(world: World) -> None:
    run = world.put_run(shards=1, stripes=1)
    lease_and_commit(world, run, world.open_session(run, "w1"), stripe=0)
    world.clock.advance(10)

    assert world.json("status", "run-1")["eta_s"] is None


def test_wait_ends_when_all_workers_end_before_anybody_planned(world: World) -> None:
    result = world.run("submit", "flight-delays", "--input", "s3://data-bucket/in/", "--run", "r1", "--workers", "1")
    assert result.exit_code == 0
    job = next(iter(world.batch.jobs.values()))
    world.clock.after(
        25,
        lambda: job.update(
            status="FAILED", statusReason="Essential container in task exited", container={"exitCode": 2}
        ),
    )

    waited = world.run("status", "r1", "--wait")

    assert waited.exit_code == 100
    assert "exit code 2" in waited.stderr
    assert "spotproof logs" in waited.stderr


def test_submit_wait_follows_to_the_end_and_prints_the_run(world: World) -> None:
    world.clock.after(20, lambda: complete(world, world.put_run("r1")))

    result = world.run("submit", "flight-delays", "--input", "s3://data-bucket/in/", "--run", "r1", "--wait", "--json")

    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["run"]["state"] == "COMPLETE"
    assert document["shards"]["done"] == 4
    assert "waiting for the first worker" in result.stderr


def test_a_complete_stripe_is_not_walked_again_while_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.put_run(shards=4, stripes=2)
    session = world.open_session(run, "w1")
    for _ in range(2):
        lease_and_commit(world, run, session, stripe=0)
    walked: list[int] = []
    walk = world.store.walk_stripe

    def noting_walk(run: Run, stripe: int) -> StripeWalk:
        walked.append(stripe)
        return walk(run, stripe)

    monkeypatch.setattr(world.store, "walk_stripe", noting_walk)

    world.run("status", "run-1", "--wait", "--timeout", "20")

    assert walked.count(0) == 1
    assert walked.count(1) > 3


def test_submitting_a_complete_run_again_starts_nothing(world: World) -> None:
    complete(world, world.put_run("r1"))

    result = world.run("submit", "flight-delays", "--input", "s3://data-bucket/in/", "--run", "r1")

    assert result.exit_code == 0
    assert "COMPLETE already" in result.stderr
    assert not world.batch.submitted


def test_a_requeued_shard_counts_as_ready(world: World) -> None:
    run = dataclasses.replace(world.put_run(shards=2))
    session = world.open_session(run, "w1")
    index = hold_one(world, run, session)
    world.store.requeue(run, index, owner=session.session_id, cause=RequeueCause.TERMINATED, losses_max=4)

    assert world.json("status", "run-1")["shards"]["ready"] == 2
    assert world.store.candidates(run, CapacityClass.SPOT, limit=5)


def note(world: World, name: str, *, after_s: float, reason: str = "Spot is short", **facts: str) -> None:
    at = to_epoch_ms(world.clock.now()) + round(after_s * 1000)
    entry = HistoryEntry(key=history_key(at, name), at=at, kind=name.partition("/")[0], reason=reason, facts=facts)
    assert world.store.note_history(RunId("run-1"), entry)


def test_status_shows_the_newest_decisions(world: World) -> None:
    world.put_run()
    for number in range(7):
        note(world, f"fallback/{number}", after_s=number, reason=f"reason {number}")

    decisions = world.json("status", "run-1")["decisions"]
    people = world.run("status", "run-1").stdout

    assert [each["reason"] for each in decisions] == [f"reason {number}" for number in range(2, 7)]
    assert list(decisions[0]) == ["at", "kind", "reason", "facts"]
    assert "DECISION" in people
    assert "reason 6" in people


@pytest.mark.parametrize("kind", [StopKind.CANCELLED, StopKind.PAUSED, StopKind.RETIRED])
def test_a_worker_that_somebody_wanted_to_leave_was_not_interrupted(world: World, kind: StopKind) -> None:
    run = world.put_run()
    session = world.open_session(run, "w1")
    world.store.mark_stop(key_of(session), Stop(kind=kind, deadline=None))

    assert world.json("status", "run-1")["interruptions"]["workers_stopped"] == 0
