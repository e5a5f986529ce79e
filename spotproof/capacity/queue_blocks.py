"""What Batch said about queues in which nothing could start."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from spotproof import contract
from spotproof.capacity.live_jobs import is_waiting
from spotproof.capacity.records import Attributes, Records, damage_told, version_of
from spotproof.capacity.waiting_facts import REASON_CAPACITY
from spotproof.clock import to_epoch_ms

SETTLED_MS: Final = 120_000  # what Batch does not show for so long after an event it has taken back since


class ToldBlock(Protocol):
    """spotproof.interruptions.eventbridge.JobQueueBlocked."""

    @property
    def time(self) -> datetime: ...

    @property
    def job_id(self) -> str: ...

    @property
    def queue_name(self) -> str: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBlock:
    """The last "Batch Job Queue Blocked" event of a queue."""

    queue: str  # its name
    since: int  # epoch ms
    job_id: str  # the job at the head, which waits
    reason: str  # Batch's words, beginning with its reason code
    over_at: int | None = None  # epoch ms: when the job was seen to wait no more

    @property
    def for_capacity(self) -> bool:
        """Whether on-demand workers would help; a misconfiguration they share."""
        return self.reason.startswith(REASON_CAPACITY)

    @property
    def stands(self) -> bool:
        return self.over_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockJudgement:
    """`block` in Batch's own words; None if the queue is not blocked by the job as the event says."""

    block: QueueBlock | None
    too_early: bool  # what Batch shows may be older than the event: to be asked again
    reason: str


def judge_block(event: ToldBlock, described: Mapping[str, Any] | None, *, now_ms: int) -> BlockJudgement:
    """What to make of an event that a queue is blocked.

    Args:
        described: the job that it names as DescribeJobs shows it; None if Batch knows none with this id.
    """
    if described is None or not is_waiting(described):
        return BlockJudgement(block=None, too_early=False, reason="the job waits no more")
    if described["jobQueue"].rpartition("/")[2] != event.queue_name:
        return BlockJudgement(block=None, too_early=False, reason="the job waits in another queue")
    told = QueueBlock(
        queue=event.queue_name, since=min(to_epoch_ms(event.time), now_ms), job_id=event.job_id, reason=event.reason
    )
    block = replace(told, reason=described.get("statusReason") or "")
    if not block.reason or (told.for_capacity and not block.for_capacity):
        reason = f"Batch says {block.reason[:200]!r} of the job, not what the event says"
        return BlockJudgement(block=None, too_early=now_ms - told.since < SETTLED_MS, reason=reason)
    return BlockJudgement(block=block, too_early=False, reason=block.reason)


class QueueBlocks:
    """One item a queue."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def note(self, block: QueueBlock) -> bool:
        """Remember the event; False for an older one than is known, a duplicate among them.

        A head that goes on waiting under another job's name keeps the time it began.

        Raises:
            AwsError: the table refused or stayed unavailable; doing it again is safe.
        """
        item = self._records.read(contract.QUEUES_PK, block.queue)
        known = block_from_item(block.queue, item)
        if known is not None and known.stands and block.job_id == known.job_id:
            return False
        if known is not None and block.since <= known.since:
            return False
        if known is not None and known.stands and known.for_capacity == block.for_capacity:
            block = replace(block, since=known.since)
        return self._records.replace(contract.QUEUES_PK, block.queue, _content(block), version=version_of(item))

    def read(self, queue: str) -> QueueBlock | None:
        """The last block; None if the queue was never blocked."""
        return block_from_item(queue, self._records.read(contract.QUEUES_PK, queue))

    def end(self, block: QueueBlock, *, now_ms: int) -> bool:
        """Note that the job of `block` does not wait any more; False if another block was noted since."""
        item = self._records.read(contract.QUEUES_PK, block.queue)
        if block_from_item(block.queue, item) != block:
            return False
        ended = replace(block, over_at=now_ms)
        return self._records.replace(contract.QUEUES_PK, block.queue, _content(ended), version=version_of(item))


def _content(block: QueueBlock) -> Attributes:
    content: Attributes = {
        "since": {"N": str(block.since)},
        "job_id": {"S": block.job_id},
        "reason": {"S": block.reason},
    }
    return content if block.over_at is None else {**content, "over_at": {"N": str(block.over_at)}}


@damage_told
def block_from_item(queue: str, item: Attributes) -> QueueBlock | None:
    if not item:
        return None
    return QueueBlock(
        queue=queue,
        since=int(item["since"]["N"]),
        job_id=str(item["job_id"]["S"]),
        reason=str(item["reason"]["S"]),
        over_at=int(item["over_at"]["N"]) if "over_at" in item else None,
    )
