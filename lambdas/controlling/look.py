"""One look at Batch and at the pools, shared by all runs of a round."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambdas.controlling.round import Round
from lambdas.queue_pairs import QueuePairs
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.breaker import BreakerSettings, BreakerState, judge_pool
from spotproof.capacity.live_jobs import LiveJobs, RunJobs
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.queue_blocks import QueueBlock, QueueBlocks
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import ItemError


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What holds for every run at one moment."""

    now_ms: int
    live: LiveJobs
    blocks: Mapping[str, QueueBlock]  # of Spot queues by name, for capacity, while the job that is held up still waits
    open_pools: frozenset[str]

    def block_of(self, queue: str) -> QueueBlock | None:
        """What holds up the queue, given by name or ARN."""
        return self.blocks.get(queue.rpartition("/")[2])

    def blocked_because(self, queue: str) -> str:
        block = self.block_of(queue)
        return "" if block is None else block.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookout:
    """Takes the look: 10 ListJobs and one read of the table a family, a DescribeJobs per 100 jobs, and one query.

    While a queue is blocked, one DescribeJobs more: of the job that is held up.
    """

    jobs: RunJobs
    pools: PoolRecords
    blocks: QueueBlocks
    breaker: BreakerSettings
    queues: QueuePairs
    clock: Clock
    # Verdicts of the last round in this execution environment: only changes are told.
    seen: dict[str, BreakerState] = field(default_factory=dict)

    def look(self, done: Round, telemetry: Telemetry) -> Look:
        """Raises AwsError: Batch or the table refused or stayed unavailable."""
        now_ms = to_epoch_ms(self.clock.now())
        live = self.jobs.read()
        done.waiting = sum(job.waiting for job in live.jobs)
        return Look(
            now_ms=now_ms,
            live=live,
            blocks=self._standing_blocks(now_ms, done),
            open_pools=self._open_pools(now_ms, done, telemetry),
        )

    def _standing_blocks(self, now_ms: int, done: Round) -> dict[str, QueueBlock]:
        found = {name: self._standing_block(name, now_ms, done) for name in self.queues.spot_names}
        return {name: block for name, block in found.items() if block is not None}

    def _standing_block(self, queue: str, now_ms: int, done: Round) -> QueueBlock | None:
        """Batch says when a queue is blocked, never when it is not any more: the job that was held up tells."""
        block = self._block(queue, done)
        if block is None or not block.stands:
            return None
        if not self.jobs.waits(block.job_id):
            self.blocks.end(block, now_ms=now_ms)
            return None
        return block if block.for_capacity else None

    def _block(self, queue: str, done: Round) -> QueueBlock | None:
        """A damaged item is told in every round, and as good as none."""
        try:
            return self.blocks.read(queue)
        except ItemError as error:
            done.failures.append(f"capacity: {error}")
            return None

    def _open_pools(self, now_ms: int, done: Round, telemetry: Telemetry) -> frozenset[str]:
        """A pool with a damaged item is told in every round, and counts as closed."""
        is_open = set[str]()
        for pool, record in self.pools.all(lambda damage: done.failures.append(f"capacity: {damage}")).items():
            verdict = judge_pool(record, self.breaker, now_ms=now_ms)
            before = self.seen.get(pool, BreakerState.CLOSED)
            self.seen[pool] = verdict.state
            if verdict.state is BreakerState.CLOSED:
                if before is not BreakerState.CLOSED:
                    telemetry.info(events.POOL_CLOSED, pool=pool, reason=verdict.reason)
                continue
            done.pools_open += 1
            if verdict.state is BreakerState.OPEN:
                is_open.add(pool)
        return frozenset(is_open)
