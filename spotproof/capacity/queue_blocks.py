"""What Batch said about queues in which nothing could start."""

from dataclasses import dataclass, replace

from spotproof import contract
from spotproof.capacity.records import Attributes, Records, damage_told, version_of
from spotproof.capacity.waiting_facts import REASON_CAPACITY


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
