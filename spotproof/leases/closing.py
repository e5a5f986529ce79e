"""Closing the stripes of a run: repair of holes and orphans, and the walk that proves a stripe complete."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import dropwhile

from spotproof import events
from spotproof.leases.model import (
    RequeueCause,
    Run,
    Session,
    SessionId,
    SessionKey,
    SessionState,
    Shard,
    ShardState,
    StripeWalk,
)
from spotproof.leases.requeue import expiry_cause, key_of
from spotproof.leases.sizing import session_bucket
from spotproof.leases.store import LeaseStore

logger = logging.getLogger(__name__)
Sessions = Mapping[SessionId, Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """An open shard that keeps its stripe from closing; while it stays as seen, no walk is needed."""

    index: int
    owner: SessionKey | None  # None: READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What one pass saw and did; feed `missing` and `blockers` to the next pass."""

    run: Run  # with the stripes closed so far
    closed: tuple[int, ...] = ()  # stripes closed by this pass
    repaired: tuple[int, ...] = ()  # holes put READY
    requeued: tuple[int, ...] = ()  # shards taken from sessions that are gone
    missing: frozenset[int] = frozenset()  # holes, or claims under way
    blockers: tuple[Blocker, ...] = ()  # the open shards of the stripes that were walked

    @property
    def complete(self) -> bool:
        """Whether every stripe is closed: the run can be finalized."""
        return len(self.run.closed) == self.run.stripes


class StripeCloser:
    """Walks the stripes that may be complete. Any worker or Lambda may do it, at any time, all at once."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def close_finished_stripes(
        self, run: Run, previously_missing: Collection[int] = (), blockers: Collection[Blocker] = ()
    ) -> Closing:
        """One pass over the stripes that are not closed.

        A stripe with tickets left costs one read, one with a blocker of the last pass two at least. A hole is repaired when it
        was missing in the previous pass too, or at once when a session that is gone held it. A shard leased by a
        session that has ended or was fenced is requeued.

        Args:
            run: as known; the stored one is read first.
            previously_missing: `missing` of the previous pass's result.
            blockers: `blockers` of the previous pass's result.

        Raises:
            RunNotFoundError: the run is gone.
        """
        current = self._store.get_run(run.run_id) or run
        work = _Pass(run=current, missing_before=frozenset(previously_missing))
        blocked: dict[int, list[Blocker]] = {}
        for blocker in blockers:
            blocked.setdefault(current.stripe_of(blocker.index), []).append(blocker)
        for stripe in range(current.stripes):
            if current.state.ended or stripe in current.closed:
                continue
            self._look_at(work, stripe, blocked.get(stripe, []))
        return work.result()

    def _look_at(self, work: "_Pass", stripe: int, blockers: list[Blocker]) -> None:
        may_skip = not work.had_holes(stripe)
        if may_skip:
            still = list(dropwhile(lambda blocker: not self._still_blocks(work.run, blocker), blockers))
            work.blockers.extend(still)
            if still or self._has_tickets(work.run, stripe):
                return
        walk = self._store.walk_stripe(work.run, stripe)
        if walk.complete:
            closed = self._store.close_stripe(work.run.run_id, stripe)
            work.run = closed.run
            if not closed.first:
                return
            work.closed.append(stripe)
            logger.info(events.STRIPE_CLOSED, extra={"run_id": work.run.run_id, "stripe": stripe})
            return
        self._repair(work, walk)

    def _has_tickets(self, run: Run, stripe: int) -> bool:
        if stripe in run.exhausted:
            return False
        return self._store.tickets_taken(run, stripe) < run.shards_in_stripe(stripe)

    def _still_blocks(self, run: Run, blocker: Blocker) -> bool:
        shard = self._store.get_shard(run, blocker.index)
        if shard is None or shard.state.final:
            return False
        if blocker.owner is None:
            return shard.owner is None
        session = self._store.get_session(blocker.owner)
        return shard.owner == blocker.owner.session_id and session is not None and not _is_gone(session)

    def _repair(self, work: "_Pass", walk: StripeWalk) -> None:
        if work.sessions is None:
            work.sessions = {session.session_id: session for session in self._store.sessions(work.run)}
        for shard in walk.open:
            self._repair_orphan(work, shard, work.sessions)
        holders = [session for session in work.sessions.values() if session.held in walk.missing]
        for index in walk.missing:
            if self._is_hole(work, index, [session for session in holders if session.held == index]):
                self._repair_hole(work, index)
            else:
                work.missing.add(index)
        work.blockers.extend(_blockers(walk, work.sessions))

    def _is_hole(self, work: "_Pass", index: int, holders: list[Session]) -> bool:
        """Otherwise a claim may be under way; repairing would be safe all the same, only a wasted ticket."""
        return index in work.missing_before or (bool(holders) and all(_is_gone(session) for session in holders))

    def _repair_hole(self, work: "_Pass", index: int) -> None:
        if self._store.repair_hole(work.run, index):
            work.repaired.append(index)
            logger.info(events.HOLE_REPAIRED, extra={"run_id": work.run.run_id, "shard": index})

    def _look_up(self, run: Run, session_id: SessionId) -> Session | None:
        """A session that opened after the eventually consistent reading; None: there is none."""
        bucket = session_bucket(session_id, run.session_buckets)
        return self._store.get_session(SessionKey(run_id=run.run_id, bucket=bucket, session_id=session_id))

    def _repair_orphan(self, work: "_Pass", shard: Shard, sessions: Sessions) -> None:
        if shard.owner is None:
            return
        owner = sessions.get(shard.owner) or self._look_up(work.run, shard.owner)
        if owner is not None and not _is_gone(owner):
            return
        # Without a session the table was restored to before it: whoever that was, its heartbeats fail now.
        cause = RequeueCause.LOST if owner is None else expiry_cause(owner)
        losses_max = work.run.options.losses_max
        taken = self._store.requeue(work.run, shard.index, owner=shard.owner, cause=cause, losses_max=losses_max)
        if taken is not None:
            work.requeued.append(shard.index)
            logger.info(events.SHARDS_REQUEUED, extra={"shard": shard.index, "cause": cause.value})


@dataclass
class _Pass:
    """Notes of one pass."""

    run: Run
    missing_before: frozenset[int]
    sessions: Sessions | None = None  # read once, when first needed
    closed: list[int] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)
    blockers: list[Blocker] = field(default_factory=list)

    def had_holes(self, stripe: int) -> bool:
        return any(self.run.stripe_of(index) == stripe for index in self.missing_before)

    def result(self) -> Closing:
        return Closing(
            run=self.run,
            closed=tuple(self.closed),
            repaired=tuple(self.repaired),
            requeued=tuple(self.requeued),
            missing=frozenset(self.missing),
            blockers=tuple(self.blockers),
        )


def _is_gone(session: Session) -> bool:
    return session.state is not SessionState.ALIVE


def _blockers(walk: StripeWalk, sessions: Sessions) -> list[Blocker]:
    """Open shards worth watching instead of walking; none while holes must be watched.

    All of them: a walk reads a thousand times as much as a look at one row, and each is looked at until it is done.
    """
    if walk.missing or walk.ticketless:
        return []
    found = []
    for shard in walk.open:
        owner = sessions.get(shard.owner) if shard.owner else None
        if shard.state is ShardState.READY:
            found.append(Blocker(index=shard.index, owner=None))
        elif owner is not None and not _is_gone(owner):
            found.append(Blocker(index=shard.index, owner=key_of(owner)))
    return found
