"""The clean-up of ended runs: both folders, tags for what S3 refuses, and one pass after the other until all is gone."""

import threading
from collections.abc import Sequence

import pytest

from spotproof import contract
from spotproof.checkpoints.garbage_deletion import BulkDeletion
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.store import Undeleted
from spotproof.commits.cleanup import TAGGING_WIDTH, Cleaned, RunCleanup
from spotproof.concurrency import InlineSpawner, Spawner, ThreadSpawner
from spotproof.errors import AwsError, AwsUnavailableError
from spotproof.leases.model import RunId
from tests.fakes.clock import FakeClock

RUN = RunId("run-1")
CHECKPOINTS, STAGING = contract.checkpoints_prefix(RUN), contract.staging_prefix(RUN)


class Locked(InMemoryObjectStore):
    """Refuses to delete some keys."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[str] = set()

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        self.delete_many(set(keys) - self.locked)
        return [Undeleted(key=key, code="AccessDenied", message="locked") for key in keys if key in self.locked]


class Tags:
    """Tags, except for keys that are out of order; each takes a second if there is a clock."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.tagged: list[str] = []
        self.broken: set[str] = set()
        self._clock = clock

    def tag_done(self, key: str) -> None:
        if self._clock is not None:
            self._clock.advance(1)
        if key in self.broken:
            raise AwsUnavailableError(f"tag {key}: down")
        self.tagged.append(key)


class World:
    def __init__(self, *, count: int = 0, locked: int = 0, timed: bool = False) -> None:
        self.clock = FakeClock()
        self.objects = Locked()
        self.tags = Tags(self.clock if timed else None)
        for folder in (CHECKPOINTS, STAGING, contract.checkpoints_prefix("run-10"), f"{contract.RUNS_PREFIX}{RUN}/"):
            for number in range(count):
                self.objects.put(f"{folder}{number:05d}", b"")
        self.objects.locked = {f"{CHECKPOINTS}{number:05d}" for number in range(locked)}

    def clean(self, *, staging: bool = True, seconds: float = 900.0, spawner: Spawner | None = None) -> Cleaned:
        spawner = spawner or InlineSpawner()
        deletion = BulkDeletion(objects=self.objects, spawner=spawner, clock=self.clock)
        cleanup = RunCleanup(deletion=deletion, tags=self.tags, spawner=spawner, clock=self.clock)
        return cleanup.clean(RUN, staging=staging, deadline=self.clock.monotonic() + seconds)

    def folders(self) -> set[str]:
        return {key.rpartition("/")[0] + "/" for key in self.objects.objects}


def test_checkpoints_and_staged_objects_of_this_run_go_and_its_plan_stays() -> None:
    world = World(count=3)

    assert world.clean() == Cleaned(deleted=6)
    assert world.folders() == {"checkpoints/run-10/", "runs/run-1/"}


def test_staged_objects_stay_where_somebody_may_need_them() -> None:
    world = World(count=3)

    assert world.clean(staging=False) == Cleaned(deleted=3)
    assert world.folders() == {"checkpoints/run-10/", "runs/run-1/", STAGING}


@pytest.mark.parametrize("spawner", [InlineSpawner(), ThreadSpawner()])
def test_what_can_not_be_deleted_is_tagged_and_then_nothing_is_left_to_do(spawner: Spawner) -> None:
    world = World(count=30, locked=20)

    assert world.clean(spawner=spawner) == Cleaned(deleted=40, tagged=20)
    assert sorted(world.tags.tagged) == sorted(world.objects.locked)


def test_nothing_that_is_deleted_is_ever_tagged() -> None:
    world = World(count=3)
    world.clean()

    assert world.tags.tagged == []


def test_tags_are_put_side_by_side() -> None:
    meeting = threading.Barrier(TAGGING_WIDTH, timeout=10)
    world = World(count=2 * TAGGING_WIDTH, locked=2 * TAGGING_WIDTH)
    inner = world.tags.tag_done

    def tag_done(key: str) -> None:
        meeting.wait()
        inner(key)

    world.tags.tag_done = tag_done  # type: ignore[method-assign]

    assert world.clean(spawner=ThreadSpawner()).tagged == 2 * TAGGING_WIDTH


def test_one_that_can_be_neither_deleted_nor_tagged_stops_no_other_and_is_an_error() -> None:
    world = World(count=30, locked=20)
    world.tags.broken = {f"{CHECKPOINTS}00003"}

    with pytest.raises(AwsError, match="tag checkpoints/run-1/00003: down"):
        world.clean()

    assert len(world.tags.tagged) == 19
    assert STAGING not in world.folders()


def test_a_pass_without_time_is_not_complete_and_the_next_goes_on() -> None:
    world = World(count=3)

    assert world.clean(seconds=0) == Cleaned(complete=False)
    assert world.clean() == Cleaned(deleted=6)


def test_tagging_stops_at_the_deadline() -> None:
    world = World(count=30, locked=20, timed=True)

    done = world.clean(seconds=5.5)

    assert (done.tagged, done.complete) == (6, False)
