"""How long a shard that was given back waits, although somebody is free to take it."""

from collections.abc import Mapping, Sequence

from spotproof import events
from spotproof_cli.game_day.lease_lives import LeaseLife, next_lease


def release_to_lease(lives: Sequence[LeaseLife], ready_at: Mapping[str, float]) -> list[float]:
    """Seconds in which a released shard and a free worker found each other, for each release.

    They count from the later of the release and the moment when the worker that took the shard was free.

    Args:
        ready_at: when each session began, seconds since 1970.
    """
    found = []
    for life in lives:
        follower = next_lease(lives, shard=life.shard, after_token=life.fencing_token)
        if life.ending == events.SHARD_RELEASED and life.ended_at is not None and follower is not None:
            both_at = max(life.ended_at, _free_at(follower, lives, ready_at))
            found.append(max(0.0, follower.leased_at - both_at))
    return found


def _free_at(taken: LeaseLife, lives: Sequence[LeaseLife], ready_at: Mapping[str, float]) -> float:
    """When the worker of `taken` had nothing to do any more."""
    ends = [life.ended_at for life in lives if life.session == taken.session and life.ended_at is not None]
    before = [moment for moment in (ready_at.get(taken.session), *ends) if moment is not None]
    return max((moment for moment in before if moment <= taken.leased_at), default=taken.leased_at)
