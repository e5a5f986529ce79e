"""What a job that runs something else needs of its shard: to know its time, to leave at once, to end before the release."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from spotproof.errors import CheckpointError
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.model import ShardState
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from tests.unit.worker.world import World


def notice(world: World, window_s: float) -> Signal:
    deadline = world.clock.now() + timedelta(seconds=window_s)
    return Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=deadline)


def test_a_job_that_wrapped_up_leaves_at_once_with_everything_saved(world: World) -> None:
    steps: list[float] = []

    def function(shard: ShardHandle, state: Any) -> Generator[None, None, None]:
        shard.fraction_done = 0.0
        yield
        world.clock.advance(1)
        worker.monitor.offer(notice(world, 120))
        state["progress"] = "all of it"
        shard.ready_to_leave = True
        while True:
            steps.append(world.clock.monotonic())
            yield

    worker = world.worker(function)
    outcome = worker.execute()

    assert outcome is ShardOutcome.RELEASED
    assert len(steps) == 1  # without it, the window would have been used to work on
    row = world.known_row()
    assert row.checkpoint is not None
    restored = world.worker(world.job()).engine.restore(row.checkpoint)
    assert restored.state["progress"] == "all of it"


def test_a_job_ends_before_its_shard_is_handed_on(world: World) -> None:
    seen: list[ShardState] = []

    def function(shard: ShardHandle, state: Any) -> Generator[None, None, None]:
        try:
            while True:
                worker.monitor.offer(notice(world, 5))
                yield
        finally:
            seen.append(world.known_row().state)

    worker = world.worker(function)
    worker.execute()

    assert seen == [ShardState.LEASED]
    assert world.known_row().state is not ShardState.LEASED


@pytest.mark.parametrize("error", [RuntimeError("while cleaning up"), SystemExit(3)])
def test_what_a_job_raises_while_it_ends_changes_nothing(world: World, error: BaseException) -> None:
    def function(shard: ShardHandle, state: Any) -> Generator[None, None, None]:
        try:
            while True:
                worker.monitor.offer(notice(world, 5))
                yield
        finally:
            raise error

    worker = world.worker(function)

    assert worker.execute() is ShardOutcome.RELEASED
    assert world.known_row().failures == 0


def test_the_time_to_spare_is_the_window_less_the_last_save(world: World) -> None:
    told: list[float] = []

    def function(shard: ShardHandle, state: Any) -> Generator[None, None, None]:
        told.append(shard.spare_s)
        yield
        worker.monitor.offer(notice(world, 80))
        told.append(shard.spare_s)
        world.clock.advance(30)
        told.append(shard.spare_s)

    worker = world.worker(function)
    worker.execute()

    before, first, later = told
    assert before == float("inf")
    assert 60 < first < 80 - 10  # an eighth is kept for the release
    assert later == pytest.approx(first - 30, abs=0.5)


def test_a_job_may_say_itself_how_much_is_done(world: World) -> None:
    told: list[float] = []

    def function(shard: ShardHandle, state: Any) -> Generator[None, None, None]:
        told.append(shard.fraction_done)
        for _ in shard.batches():
            pass
        told.append(shard.fraction_done)
        shard.fraction_done = 0.25
        told.append(shard.fraction_done)
        yield

    world.worker(function).execute()

    assert told == [0.0, 1.0, 0.25]


def test_a_save_that_can_not_begin_is_tried_again_and_fails_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = world.worker(world.job())
    begin = worker.engine.begin
    refused: list[float] = []

    def begin_later(*arguments: Any, **named: Any) -> Any:
        if len(refused) < 2:
            refused.append(world.clock.monotonic())
            raise CheckpointError("the program could not be paused")
        return begin(*arguments, **named)

    monkeypatch.setattr(worker.engine, "begin", begin_later)

    assert worker.execute() is ShardOutcome.COMMITTED
    assert refused[1] - refused[0] >= 3  # the interval, not every safe point
