"""A run as a person wants to see it: shards by state, workers, interruptions, how far and how long still."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.model import Run, RunState, Session, SessionState, Shard, ShardState, StripeWalk
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCounts:
    """Shards of a run by state; a shard without a row is ready."""

    total: int
    ready: int = 0
    leased: int = 0
    done: int = 0
    quarantined: int = 0

    @property
    def finished(self) -> int:
        return self.done + self.quarantined

    @property
    def progress(self) -> float:
        """Finished share, 0 to 1."""
        return self.finished / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruptions:
    """What happened to workers and to shards. A worker that finished its shard in time interrupted no shard."""

    workers_stopped: int = 0  # a notice or a termination is on record
    workers_lost: int = 0  # vanished without one
    shards_interrupted: int = 0  # times a shard was handed back because of a stop
    shards_lost: int = 0  # times a shard's worker vanished

    @property
    def seen(self) -> int:
        """At least so many workers were interrupted: one that lets go at once leaves no stop on record, only a shard."""
        return max(self.workers_stopped + self.workers_lost, self.shards_interrupted + self.shards_lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One reading of a run."""

    run: Run
    counts: ShardCounts
    workers: tuple[Session, ...]  # alive, longest first
    silent: frozenset[str]  # of them, session ids past their expiry: not rescued yet
    interruptions: Interruptions
    quarantined: tuple[Shard, ...]
    eta_s: float | None  # None before the first shard is finished, and after the last


class RunReader:
    """Reads runs; remembers which stripes are complete, so that following a run stays cheap."""

    def __init__(self, *, store: LeaseStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._complete: dict[tuple[str, int], StripeWalk] = {}

    def counts(self, run: Run) -> ShardCounts:
        """Shards by state from strongly consistent walks over the stripes."""
        return count_shards(run.shards, (self._walk(run, stripe) for stripe in range(run.stripes)))

    def view(self, run: Run, *, details: bool) -> RunView:
        """The run now. `details` reads every row once more, for the shards' counters and errors."""
        now_ms = to_epoch_ms(self.clock.now())
        sessions = list(self.store.sessions(run))
        rows = list(self.store.shards(run)) if details else []
        counts = self.counts(run)
        alive = sorted(
            (each for each in sessions if each.state is SessionState.ALIVE), key=lambda each: each.started_at
        )
        return RunView(
            run=run,
            counts=counts,
            workers=() if run.state.ended else tuple(alive),
            silent=frozenset(each.session_id for each in alive if each.until < now_ms),
            interruptions=count_interruptions(sessions, rows),
            quarantined=tuple(row for row in rows if row.state is ShardState.QUARANTINED),
            eta_s=eta_s(run, counts, now_ms=now_ms),
        )

    def _walk(self, run: Run, stripe: int) -> StripeWalk:
        known = self._complete.get((run.run_id, stripe))
        if known is not None:
            return known
        walk = self.store.walk_stripe(run, stripe)
        if walk.complete:
            self._complete[run.run_id, stripe] = walk
        return walk


def count_shards(total: int, walks: Iterable[StripeWalk]) -> ShardCounts:
    """Add up the stripes."""
    tally: Counter[str] = Counter()
    for walk in walks:
        leased = sum(shard.state is ShardState.LEASED for shard in walk.open)
        tally.update(
            leased=leased,
            ready=len(walk.open) - leased + len(walk.missing) + walk.ticketless,
            done=walk.done,
            quarantined=walk.quarantined,
        )
    return ShardCounts(total=total, **tally)


def count_interruptions(sessions: Iterable[Session], shards: Iterable[Shard]) -> Interruptions:
    """Interruptions as workers and as shards saw them; whoever was cancelled, paused or retired was not interrupted."""
    stopped = lost = 0
    for session in sessions:
        if session.stop is not None and session.stop.kind.interrupts:
            stopped += 1
        elif session.state is SessionState.DEAD and session.stop is None:
            lost += 1
    rows = list(shards)
    return Interruptions(
        workers_stopped=stopped,
        workers_lost=lost,
        shards_interrupted=sum(row.interruptions for row in rows),
        shards_lost=sum(row.losses for row in rows),
    )


def eta_s(run: Run, counts: ShardCounts, *, now_ms: int) -> float | None:
    """Seconds to the end if the shards left go as fast as the finished ones did."""
    elapsed_s = (now_ms - run.created_at) / 1000
    left = counts.total - counts.finished
    if run.state is not RunState.RUNNING or not counts.finished or not left or elapsed_s <= 0:
        return None
    return left * elapsed_s / counts.finished
