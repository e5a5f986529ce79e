"""A run that the exporter watches: what is known of it, and what of that is in the counters already."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from spotproof.clock import to_epoch_ms
from spotproof.leases.model import CapacityClass, Run, RunState, Session, SessionId, SessionState
from spotproof.leases.store import LeaseStore
from spotproof.metrics import LIFECYCLES
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.costs import ZERO, RunBill
from spotproof_cli.exporter.samples import Sample, sample
from spotproof_cli.exporter.worked import Counted, counted, increments, lifecycle_of, pool_series
from spotproof_cli.run_view import RunReader, ShardCounts, eta_s

COUNT_ALWAYS_MAX: Final = 1000  # shards; those of a bigger run are counted less often, for it reads every row not done
COUNT_SHARDS_PER_S: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One reading of one run; nothing is counted yet."""

    run: Run
    read_ms: int  # epoch ms
    sessions: tuple[Session, ...]
    counts: ShardCounts
    counted_at: float  # monotonic seconds
    oldest_requeued: int | None  # epoch ms since when; None: nothing waits

    def is_alive(self, session: Session) -> bool:
        """Whether the worker was heard of as it should be."""
        return session.state is SessionState.ALIVE and session.until >= self.read_ms


@dataclass
class WatchedRun:
    """Memory of one run, for as long as it is watched."""

    reader: RunReader
    is_new: bool  # it began since the exporter did; of an older one only what comes from now on is counted
    latest: Look | None = None
    counted: dict[SessionId, Counted] = field(default_factory=dict)
    usd: dict[str, Decimal] = field(default_factory=dict)  # by lifecycle

    def look(self, run: Run) -> Look:
        """Read the run; what can't change any more is not read again.

        Raises:
            AwsError: the table refused or stayed unavailable.
            ItemError: an item of the run is damaged, or too new for this program.
        """
        store, clock, latest = self.reader.store, self.reader.clock, self.latest
        if latest is not None and self.settled and latest.run == run:
            return latest
        now, read_ms = clock.monotonic(), to_epoch_ms(clock.now())
        sessions = tuple(store.sessions(run))
        if latest is None or run.state.ended or now - latest.counted_at >= count_every_s(run):
            counts, counted_at = self.reader.counts(run), now
        else:
            counts, counted_at = latest.counts, latest.counted_at
        return Look(
            run=run,
            read_ms=read_ms,
            sessions=sessions,
            counts=counts,
            counted_at=counted_at,
            oldest_requeued=None if run.state.ended else _oldest_requeued(store, run),
        )

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen: it ended, and its workers did or fell silent."""
        latest = self.latest
        return latest is not None and latest.run.state.ended and not any(map(latest.is_alive, latest.sessions))

    @property
    def interruptions(self) -> int:
        """Workers that were interrupted since the run began."""
        return sum(each.signal is not None for each in self.counted.values())

    def take(self, look: Look, bill: RunBill, *, taken: Mapping[str, int]) -> Iterator[Sample]:
        """Remember the reading; what it adds to the counters.

        Args:
            look: the reading.
            bill: the run's cost at the same time.
            taken: hosts that EC2 took, as of worked.signal_of.
        """
        before, self.latest = self.latest, look
        counts_before = before.counts if before is not None else ShardCounts(total=0)
        first = before is None and not self.is_new
        for sample_ in (*self._workers(look, taken, first), *self._shards(look, counts_before), *self._cost(bill)):
            yield Sample(metric=sample_.metric, values=sample_.values, number=0) if first else sample_
        if look.run.state.ended and (before is None or not before.run.state.ended) and not first:
            yield sample(metrics.RUNS_ENDED, 1, state=look.run.state.lower())

    def _workers(self, look: Look, taken: Mapping[str, int], first: bool) -> Iterator[Sample]:
        for session in look.sessions:
            before = self.counted.get(session.session_id)
            now = self.counted[session.session_id] = counted(session, before, taken=taken)
            if first:
                yield from pool_series(session)
            else:
                yield from increments(session, before, now)

    def _shards(self, look: Look, before: ShardCounts) -> Iterator[Sample]:
        job, now = look.run.job, look.counts
        done, quarantined = max(0, now.done - before.done), max(0, now.quarantined - before.quarantined)
        yield sample(metrics.SHARDS_FINISHED, done, job_name=job, outcome="committed")
        yield sample(metrics.SHARDS_FINISHED, quarantined, job_name=job, outcome="quarantined")

    def _cost(self, bill: RunBill) -> Iterator[Sample]:
        """A cost that falls was not charged after all: another counter rises."""
        for lifecycle in self.usd.keys() | bill.by_lifecycle.keys():
            usd = bill.by_lifecycle.get(lifecycle, ZERO)
            more = usd - self.usd.get(lifecycle, ZERO)
            self.usd[lifecycle] = usd
            yield sample(metrics.COST, float(max(more, ZERO)), lifecycle=lifecycle)
            yield sample(metrics.COST_SPARED, float(max(-more, ZERO)), lifecycle=lifecycle)


def count_every_s(run: Run) -> float:
    """Seconds between two counts of the run's shards."""
    return 0.0 if run.shards <= COUNT_ALWAYS_MAX else run.shards / COUNT_SHARDS_PER_S


def shard_numbers(counts: ShardCounts) -> Mapping[str, int]:
    """By the state's name as a label."""
    return {
        "ready": counts.ready,
        "leased": counts.leased,
        "done": counts.done,
        "quarantined": counts.quarantined,
    }


def run_gauges(look: Look, bill: RunBill, *, interruptions: int) -> Iterator[Sample]:
    """The series of one live run."""
    run, run_id, cost, now_ms = look.run, look.run.run_id, bill.cost, look.read_ms
    yield sample(metrics.RUN_PAUSED, run.state is RunState.PAUSED, run=run_id)
    for state, number in shard_numbers(look.counts).items():
        yield sample(metrics.RUN_SHARDS, number, run=run_id, state=state)
    alive = [lifecycle_of(each) for each in look.sessions if look.is_alive(each)]
    for lifecycle in dict.fromkeys([*LIFECYCLES, *alive]):
        yield sample(metrics.RUN_WORKERS, alive.count(lifecycle), run=run_id, lifecycle=lifecycle)
    since = look.oldest_requeued
    yield sample(metrics.RUN_REQUEUED_AGE, 0 if since is None else max(0, now_ms - since) / 1000, run=run_id)
    yield sample(metrics.RUN_INTERRUPTIONS, interruptions, run=run_id)
    left_s = eta_s(run, look.counts, now_ms=now_ms)
    if left_s is not None:
        yield sample(metrics.RUN_ETA, left_s, run=run_id)
    yield sample(metrics.RUN_COST, float(cost.total_usd), run=run_id)
    yield sample(metrics.RUN_WORKERS_COST, float(cost.usd), run=run_id)
    yield sample(metrics.RUN_ON_DEMAND_COST, float(cost.on_demand_usd), run=run_id)
    yield sample(metrics.RUN_WASTED, float(cost.wasted_usd), run=run_id)
    if run.budget_usd is not None:
        yield sample(metrics.RUN_BUDGET, run.budget_usd, run=run_id)


def _oldest_requeued(store: LeaseStore, run: Run) -> int | None:
    found = [each.claimable_at for kind in CapacityClass for each in store.candidates(run, kind, limit=1)]
    return min(found, default=None)
