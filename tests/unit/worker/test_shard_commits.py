"""A shard that is worked through: what is committed and published, and what it is said to have taken."""

from typing import Any

from spotproof.contract import checkpoints_prefix
from spotproof.leases.model import RequeueCause, ShardState, ShardUsage
from spotproof.worker.ledger import Spent
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from tests.unit.worker.world import RUN, STEPS, TOTAL, World, notice


def test_an_undisturbed_shard_is_committed_and_published(world: World) -> None:
    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    assert world.output.published == [str(TOTAL)]
    assert world.known_row().state is ShardState.DONE


def test_a_committed_shard_leaves_no_checkpoints(world: World) -> None:
    world.worker(world.job()).execute()

    assert list(world.objects.list(checkpoints_prefix(RUN.run_id, 0))) == []


def test_a_function_without_yield_is_committed_once(world: World) -> None:
    def job(shard: ShardHandle, state: Any) -> Any:
        return 7

    assert world.worker(job).execute() is ShardOutcome.COMMITTED
    assert world.output.published == ["7"]


def test_a_zombie_whose_shard_was_given_away_commits_and_publishes_nothing(world: World) -> None:
    zombie = world.worker(world.job())

    def give_away() -> None:
        owner = world.known_row().owner
        assert owner is not None
        world.store.requeue(RUN, 0, owner=owner, cause=RequeueCause.TERMINATED, losses_max=4)
        assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    zombie.function = world.job({STEPS: give_away})

    assert zombie.execute() is ShardOutcome.LOST
    assert world.output.published == [str(TOTAL)]


def test_a_commit_tells_what_the_shard_took(world: World) -> None:
    worker = world.worker(world.job())
    worker.ledger.book(100.0, Spent.WORK)  # on shards before

    worker.execute()

    owner = worker.lease.owner
    assert world.gauge.begun == 1
    assert world.known_row().usage == ShardUsage(
        session=owner, worked_ms=STEPS * 1000, input_bytes=1000, peak_mib=512, cpu_ms=1500
    )
    assert world.known_row().earlier_ms == 0


def test_work_handed_back_is_kept_apart_and_what_was_lost_is_not_counted(world: World) -> None:
    first = world.worker(world.job())
    first.function = world.job({5: lambda: first.monitor.offer(notice(world, in_s=4))})
    first.execute()
    in_time = world.known_row().earlier_ms
    second = world.worker(world.job())
    second.function = world.job({9: lambda: second.monitor.offer(notice(world, in_s=0.5))})
    second.execute()
    lost_ms = round(second.ledger.seconds(Spent.REDONE) * 1000)
    too_late = world.known_row().earlier_ms

    assert world.worker(world.job()).execute() is ShardOutcome.COMMITTED

    usage = world.known_row().usage
    assert usage is not None
    assert (in_time, too_late, lost_ms) == (5000, 8000, 1000)
    assert too_late + usage.worked_ms == STEPS * 1000  # every step once


def test_the_work_of_a_failed_attempt_is_kept_as_far_as_it_was_saved(world: World) -> None:
    def fail() -> None:
        raise ValueError("bad carrier")

    world.worker(world.job({8: fail})).execute()

    assert world.known_row().earlier_ms == 6000
