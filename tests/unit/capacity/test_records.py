"""Pools and blocked queues as stored: nothing counted twice, nothing lost to a faster writer."""

import random
from typing import Any, cast

import pytest

from spotproof.capacity.breaker import BreakerSettings, BreakerState, Interruption, judge_pool
from spotproof.capacity.pool_records import WRITE_TRIES_MAX, PoolRecords
from spotproof.capacity.queue_blocks import QueueBlock, QueueBlocks
from spotproof.capacity.records import Records
from spotproof.leases.memory.table import InMemoryTable
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

POOL = "m6i.large/us-east-1a"
SETTINGS = BreakerSettings(count=2, window_s=600, recovery_s=1800)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"


class Racing:
    """Somebody else writes first: before each of the next `times` puts, `meanwhile` happens."""

    def __init__(self, table: InMemoryTable, times: int) -> None:
        self.table = table
        self.times = times
        self.meanwhile: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def put_item(self, **request: Any) -> Any:
        if self.times > 0:
            self.times -= 1
            self.meanwhile()
        return self.table.put_item(**request)


@pytest.fixture
def table() -> InMemoryTable:
    return InMemoryTable("table")


def records(client: object) -> Records:
    retrier = Retrier(clock=FakeClock(), rng=random.Random(1))
    return Records(dynamodb=cast(Any, client), table_name="table", retrier=retrier)


def host(number: int) -> Interruption:
    return Interruption(at=1_000_000 + number, instance_id=f"i-{number:017x}")


def test_interruptions_are_counted_across_writers_and_open_the_pool(table: InMemoryTable) -> None:
    first, second = PoolRecords(records(table)), PoolRecords(records(table))

    first.note_interruption(POOL, host(1), SETTINGS)
    first.note_interruption(POOL, host(1), SETTINGS)  # the notice, and then the end
    second.note_interruption(POOL, host(2), SETTINGS)

    stored = first.read(POOL)
    assert stored.interruptions == (host(1), host(2))
    assert judge_pool(stored, SETTINGS, now_ms=1_000_003).state is BreakerState.OPEN
    assert PoolRecords(records(table)).all() == {POOL: stored}
    assert first.read("other/zone").interruptions == ()


def test_a_writer_that_was_overtaken_adds_its_own_to_what_the_other_wrote(table: InMemoryTable) -> None:
    racing = Racing(table, times=2)
    others = iter((host(1), host(2)))
    racing.meanwhile = lambda: PoolRecords(records(table)).note_interruption(POOL, next(others), SETTINGS)

    after = PoolRecords(records(racing)).note_interruption(POOL, host(3), SETTINGS)

    assert after is not None
    assert {one.instance_id for one in PoolRecords(records(table)).read(POOL).interruptions} == {
        host(number).instance_id for number in (1, 2, 3)
    }


def test_in_a_storm_a_note_is_given_up_rather_than_repeated_for_ever(table: InMemoryTable) -> None:
    racing = Racing(table, times=100)
    numbers = iter(range(10, 200))
    racing.meanwhile = lambda: PoolRecords(records(table)).note_interruption(POOL, host(next(numbers)), SETTINGS)

    assert PoolRecords(records(racing)).note_interruption(POOL, host(1), SETTINGS) is None
    assert racing.times == 100 - WRITE_TRIES_MAX


def test_one_of_many_gets_the_probe(table: InMemoryTable) -> None:
    for number in (1, 2):
        PoolRecords(records(table)).note_interruption(POOL, host(number), SETTINGS)
    now = 1_000_002 + 1_800_000
    racing = Racing(table, times=1)
    won: list[bool] = []
    racing.meanwhile = lambda: won.append(PoolRecords(records(table)).take_probe(POOL, SETTINGS, now_ms=now))

    late = PoolRecords(records(racing)).take_probe(POOL, SETTINGS, now_ms=now)

    assert (won, late) == ([True], False)
    assert not PoolRecords(records(table)).take_probe(POOL, SETTINGS, now_ms=now + 1)
    assert not PoolRecords(records(table)).take_probe(POOL, SETTINGS, now_ms=1_000_002)


def block(*, since: int = 100, job_id: str = "job:1", reason: str = CAPACITY) -> QueueBlock:
    return QueueBlock(queue="spot", since=since, job_id=job_id, reason=reason)


def test_a_blocked_queue_is_remembered_until_its_job_has_started(table: InMemoryTable) -> None:
    blocks = QueueBlocks(records(table))
    assert blocks.read("spot") is None

    assert blocks.note(block())
    seen = blocks.read("spot")

    assert seen == block()
    assert seen.stands
    assert seen.for_capacity
    assert blocks.end(seen, now_ms=500)
    ended = blocks.read("spot")
    assert ended is not None
    assert not ended.stands


def test_duplicates_and_late_deliveries_of_the_event_change_nothing(table: InMemoryTable) -> None:
    blocks = QueueBlocks(records(table))
    blocks.note(block(since=100))
    blocks.note(block(since=200, job_id="job:2"))

    for again in (block(since=100), block(since=200, job_id="job:2"), block(since=300, job_id="job:2")):
        assert not blocks.note(again)

    stored = blocks.read("spot")
    assert stored is not None
    assert (stored.job_id, stored.since) == ("job:2", 100)  # blocked all the time, by another head


def test_the_same_job_may_block_the_queue_again_later(table: InMemoryTable) -> None:
    blocks = QueueBlocks(records(table))
    blocks.note(block(since=100))
    blocks.end(block(since=100), now_ms=150)

    assert not blocks.note(block(since=100))  # a replay
    assert blocks.note(block(since=200))
    assert blocks.read("spot") == block(since=200)


def test_an_end_that_was_overtaken_by_another_block_is_dropped(table: InMemoryTable) -> None:
    blocks = QueueBlocks(records(table))
    blocks.note(block(since=100))
    blocks.note(block(since=200, job_id="job:2"))

    assert not blocks.end(block(since=100), now_ms=300)
    stored = blocks.read("spot")
    assert stored is not None
    assert stored.stands


def test_a_misconfiguration_is_no_shortage() -> None:
    assert not block(reason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too big").for_capacity
