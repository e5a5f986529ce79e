"""How much work of a run is left, read cheaply: counters and indexes, never every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from spotproof.capacity.work_estimate import WorkEstimate, estimate_work
from spotproof.leases.model import Candidate, CapacityClass, Run, Shard, ShardState
from spotproof.leases.store import LeaseStore

STRIPES_MAX: Final = 50  # whose ticket counters are read; the others are taken to be like them
CANDIDATES_MAX: Final = 1000  # claimable shards read of each class; more workers than that are not added at once
SAMPLE_MAX: Final = 1000  # rows from which the times of shards are taken
# A shard that failed rests before it is tried again, for five minutes at most (`retry_after_s`). It is work that is left
# all the same: a worker sent home meanwhile would have to be asked for anew, and that takes as long as most rests.
RESTS_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLeft:
    """Counts of open shards; exact up to STRIPES_MAX stripes and CANDIDATES_MAX claimable shards."""

    fresh: int  # never leased
    requeued: int  # for any worker; claimable, or resting after a failure
    left_to_on_demand: int  # for on-demand workers; the same
    held: int
    oldest_requeued_at: int | None  # epoch ms

    @property
    def claimable(self) -> int:
        return self.fresh + self.requeued

    @property
    def open(self) -> int:
        return self.claimable + self.left_to_on_demand + self.held


class WorkReader:
    """Two queries of the claimable index and STRIPES_MAX reads a run at most; for a deadline, SAMPLE_MAX rows too."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def read(self, run: Run, *, held: int, now_ms: int) -> WorkLeft:
        """What is left now; `held`: shards of live sessions."""
        requeued = self._waiting(run, CapacityClass.SPOT, now_ms)
        left = self._waiting(run, CapacityClass.ON_DEMAND, now_ms)
        return WorkLeft(
            fresh=self._fresh(run),
            requeued=len(requeued),
            left_to_on_demand=len(left),
            held=held,
            oldest_requeued_at=min((each.claimable_at for each in requeued), default=None),
        )

    def estimate(self, run: Run, work: WorkLeft, *, now_ms: int) -> WorkEstimate | None:
        """The time that the work left takes, from a sample of the run's own shards; None while nobody knows.

        A held shard outside of the sample is taken to have all its work left.
        """
        rows = list(islice(self._store.shards(run), SAMPLE_MAX))
        running = _running_s(rows, now_ms)[: work.held]
        return estimate_work(
            shard_s=_done_s(rows),
            running_s=running + [0.0] * (work.held - len(running)),
            waiting=work.claimable + work.left_to_on_demand,
        )

    def _waiting(self, run: Run, kind: CapacityClass, now_ms: int) -> Sequence[Candidate]:
        """Drained shards whose host still has time are held: nobody waits for them."""
        found = self._store.candidates(run, kind, limit=CANDIDATES_MAX, within_s=RESTS_S)
        return [each for each in found if not each.drained or each.claimable_at <= now_ms]

    def _fresh(self, run: Run) -> int:
        """Shards without a ticket; stripes beyond the first STRIPES_MAX are taken to be as far."""
        ticketed = [stripe for stripe in range(run.stripes) if stripe not in run.exhausted | run.closed]
        looked_at = ticketed[:STRIPES_MAX]
        size = sum(run.shards_in_stripe(stripe) for stripe in looked_at)
        taken = sum(min(self._store.tickets_taken(run, stripe), run.shards_in_stripe(stripe)) for stripe in looked_at)
        rest = sum(run.shards_in_stripe(stripe) for stripe in ticketed[STRIPES_MAX:])
        return size - taken + (round(rest * (size - taken) / size) if size else 0)


def _done_s(rows: Sequence[Shard]) -> list[float]:
    done = [each for each in rows if each.state is ShardState.DONE and each.usage is not None]
    return [(each.usage.worked_ms + each.earlier_ms) / 1000 for each in done if each.usage is not None]


def _running_s(rows: Sequence[Shard], now_ms: int) -> list[float]:
    leased = [each for each in rows if each.state is ShardState.LEASED and each.leased_at is not None]
    return [max(0, now_ms - (each.leased_at or now_ms) + each.earlier_ms) / 1000 for each in leased]
