"""Saves behind a job's back, as one lease sees them: what they hold up, what a stop makes of them, and what they leave."""

import logging
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from spotproof.checkpoints.workshop import Workshop
from spotproof.contract import checkpoints_prefix
from spotproof.errors import LeaseLostError, ScratchFullError
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.model import CheckpointPointer, RequeueCause, ShardState
from spotproof.worker import checkpointing
from spotproof.worker.ledger import Spent
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.shard_run import ShardRun
from spotproof.worker.stopped import WorkerStopped
from tests.fakes.timed_spawner import TimedSpawner
from tests.unit.worker.world import RUN, STEP_S, STEPS, TOTAL, World, notice


def slow_world(save_s: float) -> tuple[World, TimedSpawner]:
    world = World()
    spawner = TimedSpawner(world.clock, save_s=save_s)
    world.spawner = spawner
    return world, spawner


def callback_job(world: World, at_step: dict[int, Any] | None = None) -> Any:
    """The job of the world, for a library that calls back instead of yielding. It swallows what it can."""
    actions = dict(at_step or {})

    def total(shard: ShardHandle, state: Any) -> Any:
        sums = state.map("sums")
        for number in shard.batches(after=state.get("cursor")):
            actions.pop(number, lambda: None)()
            world.clock.advance(STEP_S)
            sums["total"] = sums.get("total", 0) + number
            state["cursor"] = number
            try:
                shard.safe_point()
            except Exception as error:
                raise AssertionError("nothing that an ordinary handler sees") from error
        return sums["total"]

    return total


def take_away(world: World) -> None:
    owner = world.known_row().owner
    assert owner is not None
    world.store.requeue(RUN, 0, owner=owner, cause=RequeueCause.TERMINATED, losses_max=4)


def test_a_job_does_not_wait_for_its_saves() -> None:
    world, spawner = slow_world(save_s=2.5)

    worker = world.worker(world.job())

    assert worker.execute() is ShardOutcome.COMMITTED
    assert len(spawner.saves) == 3
    assert worker.ledger.seconds(Spent.WORK) == STEPS
    assert worker.ledger.seconds(Spent.CHECKPOINT) == pytest.approx(0, abs=spawner.save_s)  # parting after the commit


def test_one_save_is_on_its_way_at_a_time_and_what_is_due_meanwhile_waits_for_the_next() -> None:
    world, spawner = slow_world(save_s=4.5)  # due every 3 s

    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    gaps = [after - before for before, after in zip(spawner.saves, spawner.saves[1:], strict=False)]
    assert gaps
    assert all(gap >= spawner.save_s for gap in gaps)


@pytest.mark.parametrize("save_s", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("in_s", [3.0, 8.0, 30.0, 120.0])
@pytest.mark.parametrize("at", [4, 5])
def test_after_a_notice_the_shard_is_handed_on_in_time_with_all_that_could_be_saved(
    save_s: float, in_s: float, at: int
) -> None:
    world, _ = slow_world(save_s)
    deadline: list[datetime] = []
    first = world.worker(world.job())

    def tell() -> None:
        signal = notice(world, in_s=in_s)
        assert signal.deadline is not None
        deadline.append(signal.deadline)
        first.monitor.offer(signal)

    first.function = world.job({at: tell})
    outcome = first.execute()

    assert world.clock.now() <= deadline[0]
    if outcome is ShardOutcome.COMMITTED:
        assert world.output.published == [str(TOTAL)]
        return
    assert outcome is ShardOutcome.RELEASED
    redone = first.ledger.seconds(Spent.REDONE)
    if in_s - STEP_S > 2.5 * save_s + 1:
        assert redone == 0, "there was time for a last save"
    second = world.worker(world.job())
    assert second.execute() is ShardOutcome.COMMITTED
    assert first.ledger.seconds(Spent.WORK) + second.ledger.seconds(Spent.WORK) == STEPS
    assert world.output.published == [str(TOTAL)]


def test_letting_go_waits_no_longer_than_the_host_lives_for_a_save_that_hangs() -> None:
    world, spawner = slow_world(save_s=500.0)
    worker = world.worker(world.job())
    ends: list[datetime] = []

    def tell() -> None:
        signal: Signal = notice(world, in_s=4)
        assert signal.deadline is not None
        ends.append(signal.deadline)
        worker.monitor.offer(signal)

    worker.function = world.job({6: tell})

    assert worker.execute() is ShardOutcome.RELEASED
    assert world.clock.now() <= ends[0]
    assert len(spawner.saves) == 1
    assert world.known_row().checkpoint is None

    world.clock.advance(600)
    spawner.happen()  # it comes back to life

    assert world.known_row().checkpoint is None
    assert list(world.objects.list(checkpoints_prefix(RUN.run_id, 0))) == []


def test_a_save_that_comes_through_while_the_worker_parts_is_no_lost_work(monkeypatch: pytest.MonkeyPatch) -> None:
    world, spawner = slow_world(save_s=2.0)
    worker = world.worker(world.job())
    monkeypatch.setattr(worker.engine, "cancel", lambda: None)  # its last object was on its way already
    monkeypatch.setattr(worker.checkpointing, "on_stop", lambda *_, **__: checkpointing.StopAction.LET_GO)
    worker.function = world.job({4: lambda: worker.monitor.offer(notice(world, in_s=60))})

    assert worker.execute() is ShardOutcome.RELEASED
    assert len(spawner.saves) == 1
    assert world.known_row().checkpoint is not None
    assert worker.ledger.seconds(Spent.REDONE) == 1  # the step after the save began


@pytest.mark.parametrize("end", ["failed", "lost"])
def test_a_save_that_came_through_before_the_shard_failed_or_was_lost_is_no_lost_work(end: str) -> None:
    world, spawner = slow_world(save_s=0.5)
    worker = world.worker(world.job())

    def strike() -> None:
        world.clock.advance(STEP_S)
        if end == "failed":
            raise ValueError("bad carrier")
        spawner.happen()
        worker.session.abandon()

    worker.function = world.job({4: strike})

    assert worker.execute() is (ShardOutcome.FAILED if end == "failed" else ShardOutcome.LOST)
    assert len(spawner.saves) == 1
    assert worker.ledger.seconds(Spent.REDONE) == (1 if end == "failed" else 2)


@pytest.mark.parametrize("save_s", [2.0, 4.5, 500.0])
def test_a_save_on_its_way_at_the_commit_leaves_nothing_in_the_bucket(save_s: float) -> None:
    world, spawner = slow_world(save_s)
    worker = world.worker(world.job())

    assert worker.execute() is ShardOutcome.COMMITTED
    assert list(world.objects.list(checkpoints_prefix(RUN.run_id, 0))) == []

    world.clock.advance(600)
    spawner.happen()
    assert list(world.objects.list(checkpoints_prefix(RUN.run_id, 0))) == []


def test_a_job_that_changes_more_than_fits_the_window_waits_for_its_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    world, spawner = slow_world(save_s=2.5)
    monkeypatch.setattr(checkpointing, "dirty_budget_bytes", lambda **_: 1000)

    worker = world.worker(world.job())

    assert worker.execute() is ShardOutcome.COMMITTED
    assert len(spawner.saves) == STEPS
    assert worker.ledger.seconds(Spent.WORK) == STEPS
    assert worker.ledger.seconds(Spent.CHECKPOINT) >= (STEPS - 1) * (2.5 - STEP_S)


def test_a_stop_ends_the_wait_for_a_save() -> None:
    world, spawner = slow_world(save_s=500.0)
    worker = world.worker(world.job())
    patch = pytest.MonkeyPatch()
    patch.setattr(checkpointing, "dirty_budget_bytes", lambda **_: 1000)
    signal = notice(world, in_s=30)
    real = world.clock.advance

    def advance(seconds: float) -> None:
        real(seconds)
        if world.clock.monotonic() > 1010 and worker.monitor.stop() is None:
            worker.monitor.offer(signal)

    patch.setattr(world.clock, "advance", advance)
    try:
        assert worker.execute() is ShardOutcome.COMMITTED  # what is left fits into the window
    finally:
        patch.undo()

    assert len(spawner.saves) == 1
    assert worker.ledger.seconds(Spent.WORK) == STEPS
    assert signal.deadline is not None
    assert world.clock.now() <= signal.deadline


# --- safe points inside a callback -------------------------------------------------------------------------------------


def test_a_callback_commits_the_same_as_yield() -> None:
    for make in (lambda world: world.job(), callback_job):
        world, spawner = slow_world(save_s=0.5)
        worker = world.worker(make(world))

        assert worker.execute() is ShardOutcome.COMMITTED
        assert world.output.published == [str(TOTAL)]
        assert len(spawner.saves) == 3
        assert worker.ledger.seconds(Spent.WORK) == STEPS


def test_a_stop_inside_a_callback_passes_through_the_jobs_handlers_and_keeps_its_work() -> None:
    world, _ = slow_world(save_s=0.5)
    first = world.worker(callback_job(world))
    first.function = callback_job(world, {5: lambda: first.monitor.offer(notice(world, in_s=4))})

    assert first.execute() is ShardOutcome.RELEASED
    assert world.known_row().failures == 0
    assert first.ledger.seconds(Spent.REDONE) == 0

    assert world.worker(callback_job(world)).execute() is ShardOutcome.COMMITTED
    assert world.output.published == [str(TOTAL)]


def test_finally_blocks_of_the_job_run_when_it_must_let_go() -> None:
    world, _ = slow_world(save_s=0.5)
    cleaned: list[str] = []

    def job(shard: ShardHandle, state: Any) -> Any:
        try:
            worker.monitor.offer(notice(world, in_s=1))
            world.clock.advance(1)
            shard.safe_point()
        finally:
            cleaned.append("yes")

    worker = world.worker(job)

    assert worker.execute() is ShardOutcome.RELEASED
    assert cleaned == ["yes"]


def test_a_lease_lost_inside_a_callback_is_lost_and_no_failure_of_the_job() -> None:
    world, _ = slow_world(save_s=0.5)
    worker = world.worker(callback_job(world))
    worker.function = callback_job(world, {4: lambda: take_away(world)})

    assert worker.execute() is ShardOutcome.LOST
    assert world.known_row().failures == 0
    assert world.output.published == []


def test_a_session_that_is_over_ends_the_callback_too() -> None:
    world, _ = slow_world(save_s=0.5)
    worker = world.worker(callback_job(world))
    worker.function = callback_job(world, {4: worker_abandons(worker)})

    assert worker.execute() is ShardOutcome.LOST
    assert world.known_row().failures == 0


def worker_abandons(worker: ShardRun) -> Any:
    return lambda: worker.session.abandon()


def test_an_error_of_the_job_is_its_failure_also_behind_safe_points() -> None:
    world, _ = slow_world(save_s=0.5)

    def fail() -> None:
        raise ValueError("bad carrier")

    assert world.worker(callback_job(world, {5: fail})).execute() is ShardOutcome.FAILED
    assert "bad carrier" in (world.known_row().last_error or "")


def test_the_stop_is_no_ordinary_exception() -> None:
    assert not issubclass(WorkerStopped, Exception)
    assert str(WorkerStopped(LeaseLostError("gone"))) == "gone"


def test_a_job_is_told_of_the_stop_and_of_the_time_it_has() -> None:
    world, _ = slow_world(save_s=0.5)
    seen: list[tuple[bool, float]] = []

    def job(shard: ShardHandle, state: Any) -> Generator[None, None, int]:
        seen.append((shard.stopping, shard.window_s))
        worker.monitor.offer(notice(world, in_s=90))
        seen.append((shard.stopping, shard.window_s))
        yield
        return 1

    worker = world.worker(job)
    worker.execute()

    assert seen == [(False, float("inf")), (True, 90.0)]


# --- the disk ----------------------------------------------------------------------------------------------------------


def test_the_shards_folder_is_gone_when_the_worker_is_through_with_it() -> None:
    world, _ = slow_world(save_s=0.5)
    seen: list[Path] = []

    def job(shard: ShardHandle, state: Any) -> Generator[None, None, int]:
        seen.append(state.file("deep/work.bin"))
        seen[0].write_bytes(b"x" * 9000)
        seen.append(shard.scratch_dir)
        yield
        return seen[0].stat().st_size

    assert world.worker(job).execute() is ShardOutcome.COMMITTED
    assert world.output.published == ["9000"]
    assert seen[0].is_relative_to(seen[1])
    assert not seen[1].exists()


@pytest.mark.parametrize("when", ["restore", "save"])
def test_a_full_disk_frees_the_shard_and_ends_the_worker(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = slow_world(save_s=0.5)

    def full(*_: object, **__: object) -> Any:
        raise ScratchFullError("no room for 9 bytes of state: give the job more ephemeral storage")

    worker = world.worker(world.job())
    monkeypatch.setattr(worker.engine, "restore" if when == "restore" else "begin", full)

    assert worker.execute() is ShardOutcome.UNFIT
    assert world.known_row().state is ShardState.READY
    assert "ephemeral storage" in (world.known_row().last_error or "")


def test_a_folder_that_cannot_be_made_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ScratchFullError, match="scratch folder"):
        _ = Workshop(scratch_dir=str(tmp_path / "gone")).folder


def test_no_pointer_moves_after_the_shard_was_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is still on its way then is refused by the table."""
    world, spawner = slow_world(save_s=500.0)
    worker = world.worker(world.job())
    monkeypatch.setattr(worker.engine, "cancel", lambda: None)
    recorded: list[CheckpointPointer] = []
    real = world.store.record_checkpoint

    def record(lease: Any, pointer: CheckpointPointer) -> None:
        real(lease, pointer)
        recorded.append(pointer)

    monkeypatch.setattr(world.store, "record_checkpoint", record)
    worker.function = world.job({6: lambda: worker.monitor.offer(notice(world, in_s=4))})
    assert worker.execute() is ShardOutcome.RELEASED

    world.clock.advance(600)
    spawner.happen()

    assert recorded == []
    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED


class SlowLines(logging.Handler):
    """Every line that the worker logs takes its time, as on a host that is short of it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.clock.advance(0.25)


def test_what_a_worker_takes_to_leave_is_no_lost_work() -> None:
    """A demo on a busy machine: saved, released, and "1 ms done again"."""
    world, _ = slow_world(save_s=0.5)
    first = world.worker(world.job())
    first.function = world.job({4: lambda: first.monitor.offer(notice(world, in_s=12.0))})
    slow_lines = SlowLines(world)
    product = logging.getLogger("spotproof")
    product.setLevel(logging.INFO)
    product.addHandler(slow_lines)
    try:
        with first.ledger.span(Spent.WORK):  # as the worker's loop does: bookkeeping counts as work
            outcome = first.execute()
    finally:
        product.removeHandler(slow_lines)

    assert outcome is ShardOutcome.RELEASED
    assert first.ledger.seconds(Spent.REDONE) == 0


def test_a_paused_run_is_left_at_once_even_by_a_worker_that_would_soon_be_done() -> None:
    """Without a deadline everything fits; but the run's money is used up (seeds 5215, 7876 of the simulation)."""
    world, _ = slow_world(save_s=0.5)
    first = world.worker(world.job())

    def open_file() -> None:
        world.output.started = True  # nothing can be saved behind it: finishing would keep all the work

    pause = Signal(kind=SignalKind.PAUSE, channel=Channel.SESSION)
    first.function = world.job({STEPS - 4: open_file, STEPS - 2: lambda: first.monitor.offer(pause)})

    assert first.execute() is ShardOutcome.RELEASED
    assert first.ledger.seconds(Spent.WORK) + first.ledger.seconds(Spent.REDONE) < STEPS
