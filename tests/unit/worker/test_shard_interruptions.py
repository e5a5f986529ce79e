"""A shard whose worker has to go: what it saves and hands back, and what the next worker does again."""

from datetime import timedelta

import pytest

from spotproof import events
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.model import CapacityClass, RequeueCause, ShardState
from spotproof.worker.ledger import Spent
from spotproof.worker.outcome import ShardOutcome
from tests.unit.worker.world import RUN, STEPS, TOTAL, World, notice


def test_a_notice_saves_releases_and_the_next_worker_goes_on_where_it_stopped(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(notice(world, in_s=4))})

    assert first.execute() is ShardOutcome.RELEASED
    assert world.known_row().state is ShardState.READY
    assert world.known_row().interruptions == 1
    assert first.ledger.seconds(Spent.REDONE) == 0

    second = world.worker(world.job())
    assert second.execute() is ShardOutcome.COMMITTED
    assert second.ledger.seconds(Spent.WORK) == STEPS - 5
    assert world.output.published == [str(TOTAL)]


def test_a_shard_that_was_handed_back_tells_how_much_of_the_notice_was_left(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="spotproof")
    worker = world.worker(world.job())
    worker.function = world.job({5: lambda: worker.monitor.offer(notice(world, in_s=4))})

    worker.execute()

    [released] = [record for record in caplog.records if record.message == events.SHARD_RELEASED]
    assert 0 < vars(released)["left_ms"] <= 4000


def test_a_shard_that_fits_into_the_window_is_finished(world: World) -> None:
    worker = world.worker(world.job())
    worker.function = world.job({5: lambda: worker.monitor.offer(notice(world, in_s=120))})

    assert worker.execute() is ShardOutcome.COMMITTED


def test_a_notice_that_leaves_no_time_lets_go_of_what_was_saved(world: World) -> None:
    worker = world.worker(world.job())
    worker.function = world.job({6: lambda: worker.monitor.offer(notice(world, in_s=0.5))})

    assert worker.execute() is ShardOutcome.RELEASED

    # Saved every 3 s: step 6 is lost with the two before it.
    assert worker.ledger.seconds(Spent.REDONE) == 3
    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED
    assert world.output.published == [str(TOTAL)]


def test_without_notice_the_next_worker_redoes_at_most_one_interval(world: World) -> None:
    class KilledError(BaseException):
        """Stands for SIGKILL: nothing of the worker runs any more."""

    def kill() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        world.worker(world.job({8: kill})).execute()
    dead_owner = world.known_row().owner
    assert dead_owner is not None
    world.store.requeue(RUN, 0, owner=dead_owner, cause=RequeueCause.LOST, losses_max=4)

    survivor = world.worker(world.job())
    assert survivor.execute() is ShardOutcome.COMMITTED
    interval_s = RUN.options.checkpoint_interval_s
    assert interval_s is not None
    assert survivor.ledger.seconds(Spent.WORK) - (STEPS - 7) <= interval_s
    assert world.output.published == [str(TOTAL)]


PAUSED = Signal(kind=SignalKind.PAUSE, channel=Channel.SESSION)


def test_a_paused_run_saves_and_hands_back_without_an_interruption(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(PAUSED)})

    assert first.execute() is ShardOutcome.RELEASED

    row = world.known_row()
    assert (row.state, row.interruptions, row.capacity_class) == (ShardState.READY, 0, CapacityClass.SPOT)
    assert first.ledger.seconds(Spent.REDONE) == 0
    second = world.worker(world.job())
    assert second.execute() is ShardOutcome.COMMITTED
    assert second.ledger.seconds(Spent.WORK) == STEPS - 5


def test_a_notice_during_a_pause_is_an_interruption(world: World) -> None:
    worker = world.worker(world.job())

    def both() -> None:
        worker.monitor.offer(PAUSED)
        worker.monitor.offer(notice(world, in_s=4))

    worker.function = world.job({5: both})

    assert worker.execute() is ShardOutcome.RELEASED
    assert world.known_row().interruptions == 1


def test_a_rebalance_recommendation_saves_once_and_work_goes_on(world: World) -> None:
    worker = world.worker(world.job())
    hint = Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=world.clock.now() + timedelta(minutes=20))
    worker.function = world.job({1: lambda: worker.monitor.offer(hint)})

    assert worker.execute() is ShardOutcome.COMMITTED
