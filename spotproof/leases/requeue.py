"""Taking leases away: drain and requeue by instance, rescue of expired sessions, hints, cancellation.

Every step is one conditional write that names the session it is about, so a crash, a duplicate or a late event at any
point changes nothing wrong; whoever comes next finishes what is half done.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from spotproof import events
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import (
    RequeueCause,
    Run,
    RunId,
    Session,
    SessionId,
    SessionKey,
    SessionState,
    Shard,
    ShardState,
    Stop,
    StopKind,
)
from spotproof.leases.store import LeaseStore

logger = logging.getLogger(__name__)

# "Spot Instance interruption notices" of the EC2 user guide: two minutes between the notice and the reclaim.
NOTICE_S: Final = 120
# A rescue that died is finished by the next pass, and a claim that was under way arrives within a request's patience.
# The dead cost a read each in every pass, so they are forgotten when that is long over even for clocks ten minutes
# apart; what came later still is found by the walk that closes the stripe.
SETTLED_S: Final = 900


def reclaim_time(noticed_at: datetime) -> int:
    """When the instance is taken, epoch ms, given the time of the notice's event."""
    return to_epoch_ms(noticed_at + timedelta(seconds=NOTICE_S))


class Taken(StrEnum):
    """What happened to one session and the shard it held."""

    DRAINED = "drained"  # claimable at the deadline, at the latest
    REQUEUED = "requeued"  # claimable now
    QUARANTINED = "quarantined"  # it lost too many workers
    MARKED = "marked"  # flagged, no shard to take
    NOTHING = "nothing"  # a duplicate, a late event, or an ended session or run


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """One session's part of a flow."""

    session_id: SessionId
    run_id: RunId
    shard: int | None  # what the session held
    taken: Taken
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Takings:
    """What a flow did, session by session."""

    takings: tuple[Taking, ...]

    def count(self, taken: Taken) -> int:
        return sum(1 for taking in self.takings if taking.taken is taken)

    @property
    def sessions(self) -> int:
        """How many sessions were touched."""
        return sum(1 for taking in self.takings if taking.taken is not Taken.NOTHING)

    @property
    def shards(self) -> int:
        """How many shards were taken from their owners."""
        return self.count(Taken.DRAINED) + self.count(Taken.REQUEUED) + self.count(Taken.QUARANTINED)


class Requeuer:
    """The flows over a lease store; safe to repeat and to run concurrently."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def drain_instance(self, instance_id: str, deadline: int) -> Takings:
        """A notice: put the stop on the instance's sessions, make what they hold claimable at `deadline` (epoch ms).

        The first deadline wins: a shard drained before keeps its time.
        """
        stop = Stop(kind=StopKind.NOTICE, deadline=deadline)
        return _taken(self._drain(run, key, stop) for run, key in self._on_instance(instance_id))

    def requeue_instance(self, instance_id: str) -> Takings:
        """The instance is gone: fence its sessions and requeue what they held."""
        return _taken(self._requeue_gone(run, key) for run, key in self._on_instance(instance_id))

    def hint_instance(self, instance_id: str, until: int) -> Takings:
        """A rebalance recommendation: the instance's sessions take no new lease before `until` (epoch ms)."""
        return _taken(self._hint(run, key, until) for run, key in self._on_instance(instance_id))

    def rescue_expired(self, run: Run, now: int) -> Takings:
        """Fence sessions whose `until` is before `now` (epoch ms), requeue what they held, finish half-done rescues."""
        return _taken(self._rescue(run, session, now) for session in self._store.sessions(run))

    def cancel_run(self, run_id: RunId, *, reason: str) -> Run | None:
        """Cancel the run and put a CANCELLED stop on its sessions; None if it had ended otherwise.

        Repeating it reaches sessions that opened meanwhile; a worker also looks at the run's state when it starts and
        whenever it is idle.
        """
        run = self._store.cancel_run(run_id, reason=reason)
        if run is None:
            return None
        logger.info(events.RUN_CANCELLED, extra={"run_id": run_id, "reason": reason})
        self._stop_all(run, StopKind.CANCELLED)
        return run

    def pause_run(self, run_id: RunId, *, reason: str, seen: Run | None = None) -> Run | None:
        """Pause the run and put a PAUSED stop on its sessions; None if it has ended. The first reason stays.

        Args:
            seen: the run for whose budget it is paused; None too if it was resumed with another one since.
        """
        run = self._store.pause_run(run_id, reason=reason, seen=seen)
        if run is not None:
            self._stop_all(run, StopKind.PAUSED)
        return run

    def keep_paused(self, run: Run) -> None:
        """Reach sessions that opened since the run was paused.

        Whoever knows the run from a moment before it was resumed does no harm: a worker that is told to leave a run
        which goes on asks Batch for another attempt.
        """
        self._stop_all(run, StopKind.PAUSED)

    def _stop_all(self, run: Run, kind: StopKind) -> None:
        stop = Stop(kind=kind, deadline=None)
        for session in self._store.sessions(run):
            if session.state is SessionState.ALIVE and (session.stop is None or session.stop.kind is StopKind.RETIRED):
                self._store.mark_stop(key_of(session), stop)

    # --- one session -----------------------------------------------------------------------------------------------

    def _drain(self, run: Run, key: SessionKey, stop: Stop) -> Taking:
        session = self._store.mark_stop(key, stop)
        if session is None or session.stop is None:
            return _taking(key, None, Taken.NOTHING, "session has ended or was fenced")
        deadline = session.stop.deadline or stop.deadline  # of the first notice
        assert deadline is not None, "mark_stop stores the deadline it is given if there is none"
        if session.held is None or not self._store.drain(
            run, session.held, owner=session.session_id, reclaim_at=deadline
        ):
            return _taking(key, session.held, Taken.MARKED, "it leases no shard now")
        logger.info(events.SHARDS_DRAINED, extra={"session_id": key.session_id, "shard": session.held})
        return _taking(key, session.held, Taken.DRAINED, f"reclaim at {deadline}")

    def _requeue_gone(self, run: Run, key: SessionKey) -> Taking:
        known = self._store.get_session(key)
        if known is None or known.state is SessionState.ENDED:  # a drained worker has left: two refused writes less
            return _taking(key, None, Taken.NOTHING, "session had ended")
        # On record first: if we die after fencing, the rescue must not count an unexplained loss.
        self._store.mark_stop(key, Stop(kind=StopKind.TERMINATED, deadline=None))
        session = self._store.fence_session(key, expired_at=None)
        if session is None:
            return _taking(key, None, Taken.NOTHING, "session had ended")
        return self._requeue_held(run, session, RequeueCause.TERMINATED)

    def _hint(self, _run: Run, key: SessionKey, until: int) -> Taking:
        session = self._store.mark_hint(key, until=until)
        if session is None:
            return _taking(key, None, Taken.NOTHING, "session has ended or was fenced")
        return _taking(key, session.held, Taken.MARKED, f"no new lease before {until}")

    def _rescue(self, run: Run, session: Session, now: int) -> Taking:
        key = key_of(session)
        if session.state is SessionState.ENDED:
            return _taking(key, session.held, Taken.NOTHING, "session has ended")
        if session.state is SessionState.DEAD:
            if session.ended_at is not None and now - session.ended_at > SETTLED_S * 1000:
                return _taking(key, session.held, Taken.NOTHING, "rescued long ago")
            return self._finish_rescue(run, session)
        if session.until >= now:
            return _taking(key, session.held, Taken.NOTHING, "session is alive")
        fenced = self._store.fence_session(key, expired_at=now)
        if fenced is None:
            return _taking(key, session.held, Taken.NOTHING, "session came back or ended meanwhile")
        logger.info(events.SESSION_RESCUED, extra={"session_id": key.session_id, "held": fenced.held})
        return self._requeue_held(run, fenced, expiry_cause(fenced))

    def _finish_rescue(self, run: Run, session: Session) -> Taking:
        """A fenced session may still lease: its rescue died, or its claim was under way and arrived late."""
        held = session.held
        if held is None or not still_owns(self._store.get_shard(run, held), session.session_id):
            return _taking(key_of(session), held, Taken.NOTHING, "rescued before")
        return self._requeue_held(run, session, expiry_cause(session))

    def _requeue_held(self, run: Run, session: Session, cause: RequeueCause) -> Taking:
        key = key_of(session)
        if session.held is None:
            return _taking(key, None, Taken.MARKED, "fenced; it held nothing")
        shard = self._store.requeue(
            run, session.held, owner=session.session_id, cause=cause, losses_max=run.options.losses_max
        )
        if shard is None:
            return _taking(key, session.held, Taken.MARKED, "fenced; the shard it held is not its any more")
        quarantined = shard.state is ShardState.QUARANTINED
        event = events.SHARD_QUARANTINED if quarantined else events.SHARDS_REQUEUED
        logger.info(event, extra={"session_id": key.session_id, "shard": session.held, "cause": cause.value})
        return _taking(key, session.held, Taken.QUARANTINED if quarantined else Taken.REQUEUED, cause.value)

    def _on_instance(self, instance_id: str) -> Iterator[tuple[Run, SessionKey]]:
        """Sessions on the instance whose runs go on."""
        runs: dict[RunId, Run | None] = {}
        for key in self._store.sessions_on_instance(instance_id):
            if key.run_id not in runs:
                runs[key.run_id] = self._store.get_run(key.run_id)
            run = runs[key.run_id]
            if run is not None and not run.state.ended:
                yield run, key


def key_of(session: Session) -> SessionKey:
    return SessionKey(run_id=session.run_id, bucket=session.bucket, session_id=session.session_id)


def expiry_cause(session: Session) -> RequeueCause:
    """Why an expired session went silent: a stop on record explains it; without one it counts as a loss."""
    explained = session.stop is not None and session.stop.kind is not StopKind.RETIRED
    return RequeueCause.EXPIRED_AFTER_NOTICE if explained else RequeueCause.LOST


def still_owns(shard: Shard | None, session_id: SessionId) -> bool:
    """Whether the shard waits for the session: leased by it, or without a row since the session held it."""
    return shard is None or (shard.state is ShardState.LEASED and shard.owner == session_id)


def _taking(key: SessionKey, shard: int | None, taken: Taken, reason: str) -> Taking:
    return Taking(session_id=key.session_id, run_id=key.run_id, shard=shard, taken=taken, reason=reason)


def _taken(takings: Iterable[Taking]) -> Takings:
    return Takings(takings=tuple(takings))
