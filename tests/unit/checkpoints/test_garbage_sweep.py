"""The sweep of runs that go on: orphans of dead epochs go, and nothing that a lease could still need."""

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest

from spotproof.checkpoints.garbage_sweep import Sweeper, SweepPace, Swept, shards_due
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import Manifest
from spotproof.checkpoints.store import Undeleted
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Lease, RequeueCause, Run, RunId, Shard
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.generations import a_data_key, a_manifest, put_generation
from tests.fakes.leases import NOON, a_run, a_session, an_output, leased, reclaimed

EVERY_MINUTE = SweepPace(minutes=1, grace=timedelta(minutes=15))


class World:
    """A run with one shard of interest, its bucket, and everything that was ever written there."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.objects = InMemoryObjectStore(self.clock)
        self.store = InMemoryLeaseStore(
            clock=self.clock, retrier=Retrier(clock=self.clock, rng=random.Random(1)), table=InMemoryTable("t")
        )
        self.run = self.store.create_run(a_run())
        self.session = self.store.open_session(a_session(until=NOON + 10**9))
        self.store.take_ticket(self.run, 0)
        self.lease = leased(self.store, self.run, self.session)
        self.seq = 0
        self.newest: Manifest | None = None

    def save(self, *, names: Sequence[str] = (), lease: Lease | None = None, nonce: str = "0a") -> Manifest:
        """A save that the row accepts, of one new object and some older ones."""
        lease = lease or self.lease
        made = self.write(lease.fencing_token, names=names, nonce=nonce)
        self.store.record_checkpoint(lease, put_generation(self.objects, made))
        self.newest = made
        return made

    def write(self, epoch: int, *, names: Sequence[str] = (), nonce: str = "0a") -> Manifest:
        """A generation that no pointer names (yet)."""
        self.seq += 1
        own = a_data_key(epoch, self.seq, nonce=nonce)
        parent = None if self.newest is None else self.newest.key
        made = a_manifest(epoch, self.seq, [*names, own], parent=parent, nonce=nonce)
        put_generation(self.objects, made)
        return made

    def change_owner(self) -> None:
        """The worker is lost; another takes the shard over, with a token that is two higher."""
        self.requeue()
        self.lease = reclaimed(self.store, self.run, self.session)

    def requeue(self) -> None:
        self.store.requeue(self.run, 0, owner=self.session.session_id, cause=RequeueCause.TERMINATED, losses_max=9)

    def sweep(
        self, *, after_s: float = 3600.0, objects: InMemoryObjectStore | None = None, seconds: float = 30
    ) -> Swept:
        self.clock.advance(after_s)
        sweeper = Sweeper(store=self.store, objects=objects or self.objects, clock=self.clock, pace=EVERY_MINUTE)
        return sweeper.sweep(self.run, deadline=self.clock.monotonic() + seconds)

    @property
    def keys(self) -> set[str]:
        return set(self.objects.objects)


@pytest.fixture
def world() -> World:
    return World()


def test_what_a_zombie_wrote_after_the_next_owners_collection_goes(world: World) -> None:
    first = world.save()
    zombie = world.lease
    world.change_owner()
    second = world.save(names=[a_data_key(1, 1)])
    late = world.write(zombie.fencing_token, nonce="2b")

    assert world.sweep() == Swept(shards=1, deleted=2)

    assert world.keys == first.keys | second.keys
    assert not late.keys & world.keys - second.keys - first.keys


def test_a_live_leases_own_objects_stay_even_without_a_name(world: World) -> None:
    world.save()
    world.save()
    under_way = world.write(world.lease.fencing_token)
    before = world.keys

    assert world.sweep().deleted == 0
    assert world.keys == before
    assert under_way.keys <= before


def test_an_owner_that_restored_but_has_not_saved_keeps_everything_it_may_read(world: World) -> None:
    world.save()
    world.save()
    world.save()
    world.change_owner()
    before = world.keys

    assert world.sweep().deleted == 0
    assert world.keys == before


def test_a_requeued_shard_that_nobody_leases_keeps_its_two_newest_generations(world: World) -> None:
    first, second, third = world.save(), world.save(), world.save()
    unfinished = a_data_key(world.lease.fencing_token, 9)
    world.objects.put(unfinished, b"of a save that was killed")
    world.requeue()

    assert world.sweep() == Swept(shards=1, deleted=len(first.keys) + 1)
    assert world.keys == second.keys | third.keys


def test_a_quarantined_shard_keeps_its_two_newest_generations_for_the_operator(world: World) -> None:
    first, second, third = world.save(), world.save(), world.save()
    world.store.fail(world.lease, error="poison", retry_at=NOON, failures_max=1)

    world.sweep()

    assert world.keys == second.keys | third.keys
    assert not first.keys & world.keys


def test_of_a_done_shard_everything_goes_whoever_wrote_it(world: World) -> None:
    world.save()
    world.store.commit(world.lease, an_output(world.lease))

    world.sweep()

    assert world.keys == set()


def test_without_any_pointer_dead_epochs_go_whole(world: World) -> None:
    dead = world.write(world.lease.fencing_token)
    world.change_owner()
    mine = world.write(world.lease.fencing_token)

    world.sweep()

    assert world.keys == mine.keys - dead.keys


def test_young_objects_are_left_alone(world: World) -> None:
    world.write(world.lease.fencing_token)
    world.change_owner()

    assert world.sweep(after_s=EVERY_MINUTE.grace.total_seconds() - 1).deleted == 0
    assert world.sweep(after_s=2).deleted == 2


@pytest.mark.parametrize("which", ["pointer", "parent"])
@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_nothing_is_touched_while_one_of_two_generations_can_not_be_read(world: World, which: str, how: str) -> None:
    """An older one may be all that is left to restore from."""
    world.save()
    parent, pointer = world.save(), world.save()
    world.requeue()
    key = pointer.key if which == "pointer" else parent.key
    if how == "gone":
        world.objects.delete_many([key])
    else:
        world.objects.put(key, world.objects.objects[key].replace(b"worker", b"banker"))
    before = world.keys

    assert world.sweep().deleted == 0
    assert world.keys == before


def test_a_pack_that_one_kept_segment_lies_in_stays(world: World) -> None:
    old = world.save()
    world.save(names=[a_data_key(1, 1)])
    third = world.save(names=[a_data_key(1, 1)])
    world.requeue()

    world.sweep()

    assert a_data_key(1, 1) in world.keys
    assert old.key not in world.keys
    assert third.keys <= world.keys


def test_a_shard_without_a_row_and_foreign_objects_are_left_alone(world: World) -> None:
    keys = {a_data_key(1, 1, shard=3), f"checkpoints/{world.run.run_id}/notes/x", f"checkpoints/{world.run.run_id}-2/x"}
    for key in keys:
        world.objects.put(key, b"")

    world.sweep()

    assert world.keys == keys


def test_what_s3_refuses_is_counted_and_met_again(world: World) -> None:
    class Refusing(InMemoryObjectStore):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            self.delete_many(keys[1:])
            return [Undeleted(key=keys[0], code="AccessDenied")]

    world.objects = Refusing(world.clock)
    world.write(world.lease.fencing_token)
    world.change_owner()

    assert world.sweep() == Swept(shards=1, deleted=1, refused=1)
    assert len(world.keys) == 1


def test_a_sweep_without_time_says_so(world: World) -> None:
    world.write(world.lease.fencing_token)
    world.change_owner()

    assert world.sweep(seconds=0) == Swept(complete=False)
    assert len(world.keys) == 2


@pytest.mark.parametrize("shards", [1, 2, 59, 60, 61, 1000])
@pytest.mark.parametrize("minutes", [1, 60])
def test_every_shard_has_one_turn_a_round(shards: int, minutes: int) -> None:
    run = a_run(shards=shards)

    turns = [
        index
        for minute in range(29_000_000, 29_000_000 + minutes)
        for part in shards_due(run, minute=minute, minutes=minutes)
        for index in part
    ]

    assert sorted(turns) == list(range(shards))


def test_each_round_begins_its_slice_elsewhere_and_each_run_its_round() -> None:
    """A slice that is cut short by time would otherwise always lose the same shards."""
    big = a_run(shards=6000)
    firsts = {shards_due(big, minute=60 * turn, minutes=60)[0].start for turn in range(50)}
    rounds = {
        next(
            minute
            for minute in range(60)
            if shards_due(a_run(run_id=RunId(f"r{n}"), shards=1), minute=minute, minutes=60)
        )
        for n in range(50)
    }

    assert len(firsts) > 25
    assert len(rounds) > 25


def test_a_slice_lists_and_looks_at_no_shard_beyond_it(world: World) -> None:
    for shard in range(6):
        world.objects.put(a_data_key(1, 1, shard=shard), b"")
    looked_at: list[int] = []
    inner = world.store.get_shard

    def get_shard(run: Run, index: int) -> Shard | None:
        looked_at.append(index)
        return inner(run, index)

    world.store.get_shard = get_shard  # type: ignore[method-assign]
    world.clock.advance(1)
    sweeper = Sweeper(
        store=world.store, objects=world.objects, clock=world.clock, pace=SweepPace(minutes=3, grace=timedelta(0))
    )
    for _ in range(3):
        world.clock.advance(60)
        before = len(looked_at)
        sweeper.sweep(world.run, deadline=world.clock.monotonic() + 9)
        assert len(looked_at) - before == 2

    assert sorted(looked_at) == list(range(6))
