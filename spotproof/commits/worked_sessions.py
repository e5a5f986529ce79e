"""Sessions of the table as the cost sees them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final

from spotproof.clock import from_epoch_ms
from spotproof.costs.worked_session import WorkedSession
from spotproof.leases.model import Run, Session, SessionState, StopKind
from spotproof.leases.store import LeaseStore

HOSTS_ASKED_MAX: Final = 200  # a request each; the neighbours on further hosts of a run are not looked for
NEIGHBOURS_MAX: Final = 500  # a request each


def neighbours(store: LeaseStore, run: Run, own: Iterable[Session]) -> list[Session]:
    """Sessions of other runs that were on the hosts of the run's own: they bear their part of them.

    Raises:
        AwsError: the table refused or stayed unavailable.
    """
    hosts = dict.fromkeys(session.host.instance_id for session in own if session.host.instance_id)
    return list(islice(_neighbours(store, run, islice(hosts, HOSTS_ASKED_MAX)), NEIGHBOURS_MAX))


def _neighbours(store: LeaseStore, run: Run, instance_ids: Iterable[str]) -> Iterator[Session]:
    for instance_id in instance_ids:
        for key in store.sessions_on_instance(instance_id):
            neighbour = store.get_session(key) if key.run_id != run.run_id else None
            if neighbour is not None:
                yield neighbour


def worked_sessions(sessions: Iterable[Session], *, now_ms: int) -> list[WorkedSession]:
    """Lives of workers. One that vanished is taken to have lived until its lease ran out, or its host was taken."""
    return [_worked(session, now_ms) for session in sessions]


def _worked(session: Session, now_ms: int) -> WorkedSession:
    host, ended_ms = session.host, _ended_ms(session, now_ms)
    return WorkedSession(
        session_id=session.session_id,
        run_id=session.run_id,
        instance_id=host.instance_id,
        instance_type=host.instance_type,
        zone=host.zone,
        lifecycle=host.lifecycle,
        vcpus=host.vcpus,
        memory_mib=host.memory_mib,
        launched_at=None if host.launched_at is None else from_epoch_ms(host.launched_at),
        started_at=from_epoch_ms(session.started_at),
        ended_at=from_epoch_ms(ended_ms),
        reclaimed_at=_reclaimed_at(session, ended_ms, now_ms),
        alive=session.state is SessionState.ALIVE,
        work_ms=session.work_ms,
        redone_ms=session.redone_ms,
        checkpoint_ms=session.checkpoint_ms,
        idle_ms=session.idle_ms,
    )


def _ended_ms(session: Session, now_ms: int) -> int:
    ended_ms = session.ended_at or now_ms
    if session.state is not SessionState.DEAD:
        return ended_ms
    stop = session.stop
    gone_ms = stop.deadline if stop is not None and stop.kind is StopKind.NOTICE else None
    return min(ended_ms, session.until, ended_ms if gone_ms is None else gone_ms)


def _reclaimed_at(session: Session, ended_ms: int, now_ms: int) -> datetime | None:
    """When EC2 takes the host, or took it: of a notice, its deadline, but not a moment that is still to come."""
    if session.stop is None or session.stop.kind is not StopKind.NOTICE:
        return None
    deadline = session.stop.deadline
    return from_epoch_ms(ended_ms if deadline is None else max(ended_ms, min(deadline, now_ms)))
