"""An instance's life, rebuilt from the workers that were on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

from spotproof.costs.prices import InstancePrice
from spotproof.costs.worked_session import SPOT, WorkedSession

# "Linux, interrupted by Amazon EC2 in the first hour: not charged", EC2 user guide, billing for interrupted instances.
FREE_UNTIL: Final = timedelta(hours=1)
# Where the launch is not on record: a host had been running, and charged, for up to so long before its first worker.
UNSEEN_MAX: Final = timedelta(minutes=5)
# A host that was up for longer before its first known worker had others that nobody told us of: they bear that time.
BOOT_MAX: Final = timedelta(minutes=15)
# "billed per second, with a 60-second minimum": EC2 on-demand pricing page.
CHARGED_MIN: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLife:
    """One instance from its launch to its end, as far as anybody saw it, with the workers it had."""

    instance_id: str
    instance_type: str
    zone: str
    lifecycle: str
    launched_at: datetime  # or the first worker's start
    launch_known: bool
    ended_at: datetime  # the last worker's end, or the reclaim if that came later
    reclaimed: bool  # EC2 announced that it takes the host
    sessions: tuple[WorkedSession, ...]  # oldest first

    @property
    def charged_from(self) -> datetime:
        """The launch, or the first worker's start where the host must have been somebody else's before."""
        first = self.sessions[0].started_at
        return self.launched_at if first - self.launched_at <= BOOT_MAX else first

    @property
    def charged_until(self) -> datetime:
        """EC2 charges a minute at least."""
        return max(self.ended_at, self.charged_from + CHARGED_MIN)

    @property
    def is_free(self) -> bool:
        """Whether EC2 charges nothing: a spot instance that it reclaimed within its first hour. In doubt it is charged."""
        unseen = timedelta(0) if self.launch_known else UNSEEN_MAX
        return self.lifecycle == SPOT and self.reclaimed and self.ended_at - self.launched_at + unseen < FREE_UNTIL


def host_lives(sessions: Iterable[WorkedSession]) -> list[HostLife]:
    """The instances behind the sessions, in order of launch. A worker that ended before it began lived for no time."""
    by_host: dict[str, list[WorkedSession]] = {}
    for session in sessions:
        by_host.setdefault(session.instance_id or f"session {session.session_id}", []).append(session)
    lives = [_life(sorted(stays, key=lambda each: (each.started_at, each.session_id))) for stays in by_host.values()]
    return sorted(lives, key=lambda life: (life.launched_at, life.instance_id, life.sessions[0].session_id))


def _life(sessions: Sequence[WorkedSession]) -> HostLife:
    first = sessions[0]
    launches = [each.launched_at for each in sessions if each.launched_at is not None]
    reclaims = [each.reclaimed_at for each in sessions if each.reclaimed_at is not None]
    ends = [max(each.started_at, each.ended_at) for each in sessions]
    return HostLife(
        instance_id=first.instance_id,
        instance_type=first.instance_type,
        zone=first.zone,
        lifecycle=first.lifecycle,
        launched_at=min([first.started_at, *launches]),
        launch_known=bool(launches),
        ended_at=max([*ends, *reclaims]),
        reclaimed=bool(reclaims),
        sessions=tuple(sessions),
    )


def share_of_host(session: WorkedSession, size: InstancePrice | None) -> Fraction:
    """The part of the host that the worker kept from others: of its vCPUs or of its memory, whichever is larger.

    The whole host where its size or the worker's vCPUs are unknown.
    """
    if size is None or session.vcpus <= 0:
        return Fraction(1)
    return _share(session.vcpus, session.memory_mib, size.vcpus, size.memory_mib)


@lru_cache(maxsize=1024)  # the workers of a run are all of one size
def _share(vcpus: float, memory_mib: int, host_vcpus: int, host_memory_mib: int) -> Fraction:
    of_vcpus = Fraction(str(vcpus)) / host_vcpus
    of_memory = Fraction(memory_mib, host_memory_mib) if host_memory_mib else Fraction(0)
    return min(Fraction(1), max(of_vcpus, of_memory))
