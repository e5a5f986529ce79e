"""Bulk deletion: streamed, side by side, resumable, and never stopped by single keys."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from spotproof.checkpoints.garbage_deletion import KEYS_MAX, REFUSED_MAX, WIDTH, BulkDeletion, Deletion
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.store import ObjectFacts, Undeleted
from spotproof.concurrency import InlineSpawner, Spawner, ThreadSpawner
from spotproof.errors import AwsAccessError, AwsUnavailableError
from tests.fakes.clock import FakeClock

PREFIX = "checkpoints/run/"


class Bucket(InMemoryObjectStore):
    """Counts pages and batches, and refuses what it is told to."""

    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.listed = 0
        self.refusals: dict[str, list[str]] = {}  # key -> codes of the next answers
        self.tick: FakeClock | None = None  # each batch takes a second of it
        for number in range(count):
            self.put(f"{PREFIX}{number:06d}", b"")

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        if self.tick is not None:
            self.tick.advance(1.0)
        self.batches.append(list(keys))
        refused = [
            Undeleted(key=key, code=self.refusals[key].pop(0), message="no") for key in keys if self.refusals.get(key)
        ]
        self.delete_many(set(keys) - {each.key for each in refused})
        return refused

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
        for facts in super().list(prefix, after=after):
            self.listed += 1
            yield facts


def delete(
    bucket: InMemoryObjectStore,
    *,
    clock: FakeClock | None = None,
    seconds: float = 900.0,
    spawner: Spawner | None = None,
    prefix: str = PREFIX,
) -> Deletion:
    clock = clock or FakeClock()
    deletion = BulkDeletion(objects=bucket, spawner=spawner or InlineSpawner(), clock=clock)
    return deletion.delete_all(prefix, deadline=clock.monotonic() + seconds)


@pytest.mark.parametrize("spawner", [InlineSpawner(), ThreadSpawner()])
@pytest.mark.parametrize("count", [0, 1, KEYS_MAX, KEYS_MAX + 1, 7500])
def test_everything_below_the_prefix_goes_and_nothing_else(count: int, spawner: Spawner) -> None:
    bucket = Bucket(count)
    bucket.put("checkpoints/run-2/kept", b"")

    done = delete(bucket, spawner=spawner)

    assert list(bucket.objects) == ["checkpoints/run-2/kept"]
    assert done == Deletion(deleted=count, refused=(), complete=True)
    assert len(bucket.batches) == -(-count // KEYS_MAX)
    assert max((len(batch) for batch in bucket.batches), default=0) <= KEYS_MAX


def test_several_requests_are_under_way_at_once() -> None:
    """The barrier opens only for so many at a time: fewer would wait in vain."""
    meeting = threading.Barrier(WIDTH, timeout=10)

    class Slow(Bucket):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            meeting.wait()
            return super().delete_batch(keys)

    assert delete(Slow(2 * WIDTH * KEYS_MAX), spawner=ThreadSpawner()).deleted == 2 * WIDTH * KEYS_MAX


def test_the_listing_is_never_far_ahead_of_the_deletions() -> None:
    """A run may have left a million keys: no more of them are held than the lanes work on."""
    ahead = []

    class Watched(Bucket):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            ahead.append(self.listed - sum(len(batch) for batch in self.batches))
            return super().delete_batch(keys)

    delete(Watched(20 * KEYS_MAX))

    assert max(ahead) <= KEYS_MAX + 1


def test_when_time_runs_out_the_next_pass_goes_on_with_what_is_left() -> None:
    bucket, clock = Bucket(10 * KEYS_MAX), FakeClock()
    bucket.tick = clock

    first = delete(bucket, clock=clock, seconds=3)
    assert (first.deleted, first.complete) == (3 * KEYS_MAX, False)
    assert len(bucket.objects) == 7 * KEYS_MAX

    second = delete(bucket, clock=clock)
    assert (second.deleted, second.complete) == (7 * KEYS_MAX, True)
    assert bucket.objects == {}


def test_a_pass_that_ends_on_time_with_the_last_key_is_complete() -> None:
    bucket, clock = Bucket(500), FakeClock()
    bucket.tick = clock

    assert delete(bucket, clock=clock, seconds=0.5).complete


def test_a_pass_that_died_midway_is_taken_up_by_the_next() -> None:
    class Dying(Bucket):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            if len(self.batches) == 2:
                raise SystemExit
            return super().delete_batch(keys)

    bucket = Dying(5 * KEYS_MAX)
    with pytest.raises(SystemExit):
        delete(bucket)
    assert len(bucket.objects) == 3 * KEYS_MAX
    bucket.batches.append([])

    assert delete(bucket).deleted == 3 * KEYS_MAX


def test_keys_that_s3_is_too_busy_for_are_tried_again_after_a_pause() -> None:
    bucket, clock = Bucket(1500), FakeClock()
    bucket.refusals = {f"{PREFIX}000003": ["SlowDown", "InternalError"], f"{PREFIX}001400": ["SlowDown"]}
    before = clock.monotonic()

    done = delete(bucket, clock=clock)

    assert done == Deletion(deleted=1500, refused=(), complete=True)
    assert bucket.batches[-2:] == [[f"{PREFIX}000003", f"{PREFIX}001400"], [f"{PREFIX}000003"]]
    assert clock.monotonic() - before == 1.5


def test_keys_that_s3_refuses_for_good_are_reported_and_stop_nothing() -> None:
    bucket = Bucket(2500)
    bucket.refusals = {f"{PREFIX}000003": ["AccessDenied"] * 9, f"{PREFIX}001400": ["SlowDown"] * 9}

    done = delete(bucket)

    assert [(each.key[-6:], each.code) for each in done.refused] == [("000003", "AccessDenied"), ("001400", "SlowDown")]
    assert (done.deleted, done.complete) == (2498, True)
    assert sorted(bucket.objects) == [each.key for each in done.refused]


def test_a_request_that_fails_as_a_whole_is_reported_key_by_key_and_the_others_go_on() -> None:
    class Refusing(Bucket):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            if keys[0].endswith("000000"):
                raise AwsAccessError("no permission")
            return super().delete_batch(keys)

    bucket = Refusing(2 * KEYS_MAX)

    done = delete(bucket)

    assert (done.deleted, len(done.refused)) == (KEYS_MAX, KEYS_MAX)
    assert done.refused[0] == Undeleted(key=f"{PREFIX}000000", code="AwsAccessError", message="no permission")


def test_more_refusals_than_are_remembered_leave_the_pass_incomplete() -> None:
    class Refusing(Bucket):
        def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
            return [Undeleted(key=key, code="AccessDenied") for key in keys]

    done = delete(Refusing(REFUSED_MAX + 1))

    assert (len(done.refused), done.complete, done.deleted) == (REFUSED_MAX, False, 0)


def test_a_bucket_that_can_not_be_listed_is_an_error() -> None:
    class Deaf(Bucket):
        def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
            raise AwsUnavailableError("down")

    with pytest.raises(AwsUnavailableError, match="down"):
        delete(Deaf(1))


@pytest.mark.parametrize("prefix", ["", "/", "checkpoints/run"])
def test_only_folders_are_deleted(prefix: str) -> None:
    with pytest.raises(ValueError, match="folder ending in a slash"):
        delete(Bucket(1), prefix=prefix)
