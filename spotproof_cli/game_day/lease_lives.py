"""The life of every lease of a run, put together from the workers' log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spotproof import events
from spotproof_cli.game_day.log_entries import LogEntry

_ENDINGS: Final = frozenset(
    {
        events.SHARD_COMMITTED,
        events.SHARD_RELEASED,
        events.SHARD_FAILED,
        events.SHARD_QUARANTINED,
        events.LEASE_LOST,
        events.COMMIT_FENCED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLife:
    """One lease from the moment it was taken. Times: seconds since 1970."""

    shard: int
    fencing_token: int
    session: str
    instance: str
    leased_at: float
    checkpoints: tuple[float, ...] = ()  # when each was durable
    save_s: float = 0.0  # what the last one took
    ending: str | None = None  # the event that ended it; None if its worker was never heard of again
    ended_at: float | None = None
    lost_ms: float = 0.0  # as the worker itself reported it

    @property
    def saved_at(self) -> float:
        """Up to when nothing is lost."""
        return self.checkpoints[-1] if self.checkpoints else self.leased_at


def longest_step_s(lives: Iterable[LeaseLife], *, interval_s: float) -> float:
    """The longest time that a first checkpoint came later than the interval: one safe point, and the save.

    Only first checkpoints tell, because later intervals follow from what the save before took.
    """
    return max((life.checkpoints[0] - life.leased_at - interval_s for life in lives if life.checkpoints), default=0.0)


def lease_lives(entries: Iterable[LogEntry]) -> list[LeaseLife]:
    """All leases that the log knows, in the order in which they were taken."""
    lives: dict[tuple[int, int], LeaseLife] = {}
    for entry in entries:
        shard, token = entry.fields.get("shard"), entry.fields.get("fencing_token")
        if shard is None or token is None:
            continue
        key = (int(shard), int(token))
        if entry.event == events.SHARD_LEASED:
            lives[key] = LeaseLife(
                shard=key[0],
                fencing_token=key[1],
                session=str(entry.fields.get("session_id", "")),
                instance=str(entry.fields.get("instance_id", "")),
                leased_at=entry.at,
            )
        elif key in lives:
            lives[key] = _continued(lives[key], entry)
    return list(lives.values())


def _continued(life: LeaseLife, entry: LogEntry) -> LeaseLife:
    if entry.event == events.CHECKPOINT_SAVED:
        return replace(
            life, checkpoints=(*life.checkpoints, entry.at), save_s=(entry.number("duration_ms") or 0.0) / 1000
        )
    if entry.event in _ENDINGS and life.ending is None:
        return replace(life, ending=entry.event, ended_at=entry.at, lost_ms=entry.number("lost_ms") or 0.0)
    return life


def next_lease(lives: Sequence[LeaseLife], *, shard: int, after_token: int) -> LeaseLife | None:
    """The lease that followed the one with `after_token` on the shard."""
    later = [life for life in lives if life.shard == shard and life.fencing_token > after_token]
    return min(later, key=lambda life: life.fencing_token, default=None)
