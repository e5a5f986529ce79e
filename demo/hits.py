"""What the adversary did, and what the system made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demo.schedule import Kind, Step
from demo.snapshot import Working
from spotproof import events
from spotproof_cli.game_day.lease_lives import LeaseLife, next_lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A step that was carried out. Times: seconds since 1970."""

    step: Step
    at: float
    instance_id: str
    place: str  # instance type and zone
    victims: tuple[Working, ...]  # who held a shard there at that moment
    resumed_at: float | None = None  # PAUSE: when the worker was let go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What became of one shard that a hit struck."""

    shard: int
    outcome: str  # one phrase for people
    redone_s: float  # work that was lost and had to be done again
    save_s: float  # what the last checkpoint before it took
    released_after_s: float | None  # from the hit to the worker's own release
    leased_again_after_s: float | None  # from the release, or from the hit if there was none
    token_after: int | None


_FINISHED = {
    events.SHARD_COMMITTED: "finished in time",
    events.SHARD_RELEASED: "saved and released",
    events.LEASE_LOST: "refused by the table",
    events.COMMIT_FENCED: "commit refused by the table",
    events.SHARD_FAILED: "failed",
    events.SHARD_QUARANTINED: "quarantined",
}


def aftermath(hit: Hit, victim: Working, lives: Sequence[LeaseLife]) -> Aftermath:
    """What the log tells about a victim's shard after the hit.

    Raises:
        ValueError: the log has no such lease; a worker that held it must have logged it.
    """
    life = _life_of(victim, lives)
    follower = next_lease(lives, shard=victim.shard, after_token=victim.fencing_token)
    if hit.step.kind is Kind.REBALANCE and life.ending == events.SHARD_COMMITTED:
        return _went_on(victim, life)
    killed = hit.step.kind is Kind.KILL or life.ending is None
    cut_off = killed or hit.step.kind is Kind.PAUSE  # what a zombie reports itself includes its pause
    released_at = None if cut_off or life.ending != events.SHARD_RELEASED else life.ended_at
    free_at = hit.at if released_at is None else released_at
    return Aftermath(
        shard=victim.shard,
        outcome="lost with its worker" if killed else _FINISHED[life.ending or ""],
        redone_s=max(0.0, hit.at - _saved_before(life, hit.at)) if cut_off else life.lost_ms / 1000,
        save_s=life.save_s,
        released_after_s=None if released_at is None else released_at - hit.at,
        leased_again_after_s=None if follower is None else max(0.0, follower.leased_at - free_at),
        token_after=None if follower is None else follower.fencing_token,
    )


def _went_on(victim: Working, life: LeaseLife) -> Aftermath:
    return Aftermath(
        shard=victim.shard,
        outcome="saved and went on",
        redone_s=0.0,
        save_s=life.save_s,
        released_after_s=None,
        leased_again_after_s=None,
        token_after=None,
    )


def _life_of(victim: Working, lives: Sequence[LeaseLife]) -> LeaseLife:
    for life in lives:
        if (life.shard, life.fencing_token) == (victim.shard, victim.fencing_token):
            return life
    raise ValueError(f"the log knows no lease {victim.fencing_token} of shard {victim.shard}")


def _saved_before(life: LeaseLife, moment: float) -> float:
    """A checkpoint is in the table before its log line: one that was logged late still counts as saved."""
    return max((saved for saved in (life.leased_at, *life.checkpoints) if saved <= moment), default=moment)


def aftermaths_by_kind(hits: Sequence[Hit], lives: Sequence[LeaseLife]) -> Mapping[Kind, tuple[Aftermath, ...]]:
    """What became of every shard that was struck, for each kind of disturbance."""
    found: dict[Kind, tuple[Aftermath, ...]] = dict.fromkeys(Kind, ())
    for hit in hits:
        found[hit.step.kind] += tuple(aftermath(hit, victim, lives) for victim in hit.victims)
    return found
