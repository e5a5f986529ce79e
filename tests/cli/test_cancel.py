"""`spotproof cancel`."""

from spotproof.leases.model import RunState, StopKind
from spotproof.leases.requeue import key_of
from tests.cli.conftest import World
from tests.cli.test_status import complete


def test_cancel_ends_the_run_stops_its_workers_and_terminates_its_jobs(world: World) -> None:
    run = world.put_run()
    session = world.open_session(run, "w1")
    named = world.batch.add("run-1", name="run-1", size=3, status="PENDING")
    from_console = world.batch.add("run-1", name="anything", queue="on-demand-queue", status="RUNNABLE")
    world.batch.add("another", name="run-1", status="RUNNING")
    world.batch.add("run-1", name="run-1", status="SUCCEEDED")

    document = world.json("cancel", "run-1", "--reason", "wrong input")

    stored, stopped = world.store.get_run(run.run_id), world.store.get_session(key_of(session))
    assert stored is not None
    assert (stored.state, stored.reason) == (RunState.CANCELLED, "wrong input")
    assert stopped is not None
    assert stopped.stop is not None
    assert stopped.stop.kind is StopKind.CANCELLED
    assert {job_id for job_id, _ in world.batch.terminated} == {named, from_console}
    assert document == {"schema": 1, "run": "run-1", "state": "CANCELLED", "terminated_jobs": 2}


def test_cancelling_twice_is_no_error(world: World) -> None:
    world.put_run()
    world.run("cancel", "run-1")

    assert world.run("cancel", "run-1").exit_code == 0


def test_a_run_that_nobody_planned_is_cancelled_by_ending_its_jobs(world: World) -> None:
    job_id = world.batch.add("run-1", status="RUNNABLE")

    result = world.run("cancel", "run-1")

    assert result.exit_code == 0
    assert [each for each, _ in world.batch.terminated] == [job_id]


def test_a_plan_that_appears_while_the_jobs_are_terminated_is_cancelled_too(world: World) -> None:
    world.batch.add("run-1", status="RUNNABLE")
    terminate = world.batch.terminate_job

    def plan_then_terminate(*, jobId: str, reason: str) -> object:  # noqa: N803 - Batch's name
        world.put_run("run-1")
        return terminate(jobId=jobId, reason=reason)

    world.batch.terminate_job = plan_then_terminate  # type: ignore[assignment,method-assign]
    world.run("cancel", "run-1")

    run = world.store.get_run(world.put_run("run-1").run_id)
    assert run is not None
    assert run.state is RunState.CANCELLED


def test_a_complete_run_is_not_cancelled(world: World) -> None:
    complete(world, world.put_run())

    result = world.run("cancel", "run-1")

    assert result.exit_code == 5
    assert "ended already (COMPLETE)" in result.stderr


def test_a_job_that_cannot_be_terminated_is_named_and_the_run_is_cancelled_all_the_same(world: World) -> None:
    run = world.put_run()
    world.batch.add("run-1", status="RUNNING")
    world.batch.refuse = "AccessDeniedException"

    result = world.run("cancel", "run-1")

    stored = world.store.get_run(run.run_id)
    assert result.exit_code == 0
    assert "terminating Batch job job-1" in result.stderr
    assert stored is not None
    assert stored.state is RunState.CANCELLED


def test_cancelling_an_unknown_run_is_102(world: World) -> None:
    assert world.run("cancel", "nobody").exit_code == 102


def test_a_reason_of_control_characters_is_refused(world: World) -> None:
    world.put_run()

    assert world.run("cancel", "run-1", "--reason", "a\x1b[2J").exit_code == 2
