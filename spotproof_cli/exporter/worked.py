"""What the sessions of workers add to the counters, each second and each interruption once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof import contract
from spotproof.leases.model import Session, SessionState, StopKind
from spotproof.metrics import LIFECYCLES
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.samples import Sample, sample

UNKNOWN: Final = "unknown"
WORK, CHECKPOINT, IDLE = "work", "checkpoint", "idle"


class Signal(StrEnum):
    """How an interruption was learned."""

    NOTICE = "notice"  # two minutes before
    TERMINATED = "terminated"  # the host was gone
    LOST = "lost"  # the worker fell silent, and nobody said why


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What of a session is in the counters already."""

    signal: Signal | None = None
    hint_until: int = 0  # epoch ms; a recommendation moves it on
    work_ms: int = 0  # in the job's function, what was lost of it included: the sum never falls
    lost_ms: int = 0
    checkpoint_ms: int = 0
    idle_ms: int = 0


def counted(session: Session, before: Counted | None = None, *, taken: Mapping[str, int]) -> Counted:
    """All that is known of the session now. Reports may come out of order: nothing goes back.

    Args:
        taken: as of signal_of.
    """
    known = before if before is not None else Counted()
    return Counted(
        signal=known.signal or signal_of(session, taken),
        hint_until=max(known.hint_until, session.hint_until or 0),
        work_ms=max(known.work_ms, session.work_ms + session.redone_ms),
        lost_ms=max(known.lost_ms, session.redone_ms),
        checkpoint_ms=max(known.checkpoint_ms, session.checkpoint_ms),
        idle_ms=max(known.idle_ms, session.idle_ms),
    )


def signal_of(session: Session, taken: Mapping[str, int]) -> Signal | None:
    """How it was interrupted; None if it was not. Whoever was cancelled, paused or retired was not.

    A worker that sees the notice by itself and leaves at once has ended before anybody could write a stop down for it:
    of that only the record of its host is left.

    Args:
        taken: hosts that EC2 took back or will, and since when that is known (epoch ms).
    """
    stop, noticed_at = session.stop, taken.get(session.host.instance_id)
    if stop is not None and stop.kind.interrupts:
        return Signal.NOTICE if stop.kind is StopKind.NOTICE else Signal.TERMINATED
    if noticed_at is not None and (session.ended_at is None or session.ended_at >= noticed_at):
        return Signal.NOTICE
    return Signal.LOST if session.state is SessionState.DEAD and stop is None else None


def increments(session: Session, before: Counted | None, now: Counted) -> Iterator[Sample]:
    """From what was counted before (None: the session is new) to what is known now."""
    lifecycle, pool = lifecycle_of(session), pool_of(session)
    if before is None:
        yield sample(metrics.WORKERS_STARTED, 1, lifecycle=lifecycle)
        yield from pool_series(session)
        before = Counted()
    if now.signal is not None and before.signal is None:
        yield sample(metrics.INTERRUPTIONS, 1, pool=pool, signal=now.signal)
    if now.hint_until > before.hint_until:
        yield sample(metrics.REBALANCES, 1, pool=pool)
    spent = (
        (WORK, now.work_ms - before.work_ms),
        (CHECKPOINT, now.checkpoint_ms - before.checkpoint_ms),
        (IDLE, now.idle_ms - before.idle_ms),
    )
    for activity, ms in spent:
        yield sample(metrics.WORKER_SECONDS, ms / 1000, lifecycle=lifecycle, activity=activity)
    yield sample(metrics.WORK_LOST, (now.lost_ms - before.lost_ms) / 1000, lifecycle=lifecycle)


def pool_series(session: Session) -> Iterator[Sample]:
    """Nothing yet: a counter that is first seen at 1 has not risen, as far as Prometheus can tell."""
    pool = pool_of(session)
    for signal in Signal:
        yield sample(metrics.INTERRUPTIONS, 0, pool=pool, signal=signal)
    yield sample(metrics.REBALANCES, 0, pool=pool)


def still_series() -> Iterator[Sample]:
    """The series of workers that are known before there are any."""
    for lifecycle in LIFECYCLES:
        yield sample(metrics.WORKERS_STARTED, 0, lifecycle=lifecycle)
        yield sample(metrics.WORK_LOST, 0, lifecycle=lifecycle)
        yield sample(metrics.COST, 0, lifecycle=lifecycle)
        yield sample(metrics.COST_SPARED, 0, lifecycle=lifecycle)
        for activity in (WORK, CHECKPOINT, IDLE):
            yield sample(metrics.WORKER_SECONDS, 0, lifecycle=lifecycle, activity=activity)


def lifecycle_of(session: Session) -> str:
    return session.host.lifecycle or UNKNOWN


def pool_of(session: Session) -> str:
    host = session.host
    return contract.pool_sk(host.instance_type, host.zone) if host.instance_type and host.zone else UNKNOWN
