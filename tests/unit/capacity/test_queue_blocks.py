"""What an event of a blocked queue is worth, given what Batch says of the job that it names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spotproof.capacity.queue_blocks import SETTLED_MS, judge_block
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.eventbridge import JobQueueBlocked

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_MS = to_epoch_ms(NOW)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no capacity"
TOO_BIG = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too big"


def event(reason: str = CAPACITY, *, time: datetime = NOW) -> JobQueueBlocked:
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/spot"
    return JobQueueBlocked(event_id="e", time=time, job_id="job:3", job_queue=queue, reason=reason)


def shown(reason: str | None = CAPACITY, *, status: str = "RUNNABLE", queue: str = "spot") -> dict[str, Any]:
    arn = f"arn:aws:batch:us-east-1:123456789012:job-queue/{queue}"
    return {"jobId": "job:3", "jobName": "w", "jobQueue": arn, "jobDefinition": "d", "status": status} | (
        {} if reason is None else {"statusReason": reason}
    )


def test_a_block_has_batchs_words() -> None:
    judged = judge_block(event(), shown(f"{CAPACITY} at all"), now_ms=NOW_MS)

    assert judged.block is not None
    assert (judged.block.reason, judged.block.queue, judged.block.job_id) == (f"{CAPACITY} at all", "spot", "job:3")
    assert judged.block.for_capacity


@pytest.mark.parametrize("described", [None, shown(status="RUNNING"), shown(status="FAILED"), shown(queue="on-demand")])
def test_a_job_that_does_not_wait_in_the_queue_blocks_nothing_now_or_later(described: dict[str, Any] | None) -> None:
    judged = judge_block(event(), described, now_ms=NOW_MS)

    assert (judged.block, judged.too_early) == (None, False)
    assert judged.reason


@pytest.mark.parametrize("reason", [None, "", TOO_BIG, "UNDETERMINED - nobody knows"])
def test_capacity_is_not_believed_until_batch_says_so_and_asked_for_again_while_it_may(reason: str | None) -> None:
    judged = judge_block(event(), shown(reason), now_ms=NOW_MS)
    assert (judged.block, judged.too_early) == (None, True)

    late = judge_block(event(), shown(reason), now_ms=NOW_MS + SETTLED_MS)
    assert (late.block, late.too_early) == (None, False)


def test_what_buys_nothing_is_taken_as_batch_says_it() -> None:
    judged = judge_block(event(TOO_BIG), shown("UNDETERMINED - nobody knows"), now_ms=NOW_MS)

    assert judged.block is not None
    assert not judged.block.for_capacity


@pytest.mark.parametrize(("ahead_s", "since_s"), [(86_000, 0), (0, 0), (-300, -300)])
def test_no_block_begins_tomorrow(ahead_s: int, since_s: int) -> None:
    judged = judge_block(event(time=NOW + timedelta(seconds=ahead_s)), shown(), now_ms=NOW_MS)

    assert judged.block is not None
    assert judged.block.since == NOW_MS + since_s * 1000
