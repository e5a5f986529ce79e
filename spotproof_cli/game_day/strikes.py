"""What became of each instance that an experiment struck, and of each shard on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from spotproof import events
from spotproof.interruptions.model import SignalKind
from spotproof.interruptions.stop_file import StopFile, StopFileKind
from spotproof_cli.game_day.lease_lives import LeaseLife, next_lease
from spotproof_cli.game_day.log_entries import LogEntry

CLOCKS_APART_S: Final = 1.0  # EC2's events carry whole seconds, so a notice may seem older than it is
LOST_MS_LEAST: Final = 5.0  # less is what passes between a safe point and the look at the clock: no work
_OUTCOMES: Final = {
    events.SHARD_COMMITTED: "finished in time",
    events.SHARD_RELEASED: "saved and handed back",
    events.LEASE_LOST: "taken over by another worker",
    events.COMMIT_FENCED: "taken over by another worker",
    events.SHARD_FAILED: "failed",
    events.SHARD_QUARANTINED: "quarantined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StruckShard:
    """A shard that was leased on a struck instance after its notice. Times: seconds since 1970."""

    shard: int
    fencing_token: int
    outcome: str  # one phrase for people
    let_go_at: float | None  # commit, release or refusal; None: its worker was never heard of again
    leased_again_at: float | None  # None: nobody had to
    lost_s: float  # work that has to be done again
    save_s: float  # what the last checkpoint took

    @property
    def released_at(self) -> float | None:
        """When it was handed back; None if it was not."""
        return self.let_go_at if self.outcome == _OUTCOMES[events.SHARD_RELEASED] else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One instance that got a notice. Times: seconds since 1970."""

    instance_id: str
    noticed_at: float
    reclaim_at: float
    stop_file_at: float | None  # when its stop file was written
    seen_at: Mapping[str, float] = field(default_factory=dict)  # first time a worker saw the notice, by channel
    shards: tuple[StruckShard, ...] = ()


def strikes(
    *,
    began_at: float,
    lead_s: float,
    entries: Sequence[LogEntry],
    lives: Sequence[LeaseLife],
    stop_files: Mapping[str, StopFile],
) -> list[Strike]:
    """Every instance with workers of the run that got a notice since the experiment began.

    A stop file tells, or a worker that saw the notice in another way: the event may have been lost.

    Args:
        began_at: when the interruptions were sent.
        lead_s: from notice to reclaim where no stop file tells.
        stop_files: by instance.
    """
    seen = first_seen(entries, since=began_at)
    told = {
        instance: stop for instance, stop in stop_files.items() if _is_notice(stop, since=began_at - CLOCKS_APART_S)
    }
    return [
        _strike(instance, began_at, lead_s, lives, told.get(instance), seen.get(instance, {}))
        for instance in sorted({*seen, *told})
    ]


def first_seen(entries: Iterable[LogEntry], *, since: float) -> Mapping[str, Mapping[str, float]]:
    """When each instance's workers first saw a notice, by channel."""
    found: dict[str, dict[str, float]] = {}
    for entry in entries:
        is_notice = entry.event == events.STOP_SEEN and entry.fields.get("kind") == SignalKind.NOTICE
        if is_notice and entry.at >= since and entry.fields.get("instance_id"):
            channels = found.setdefault(str(entry.fields["instance_id"]), {})
            channel = str(entry.fields.get("signal", "?"))
            channels[channel] = min(channels.get(channel, entry.at), entry.at)
    return found


def _is_notice(stop: StopFile, *, since: float) -> bool:
    return stop.kind is StopFileKind.NOTICE and stop.event_time.timestamp() >= since


def _strike(
    instance: str,
    began_at: float,
    lead_s: float,
    lives: Sequence[LeaseLife],
    stop: StopFile | None,
    seen: Mapping[str, float],
) -> Strike:
    noticed_at = began_at if stop is None else max(began_at, stop.event_time.timestamp())
    reclaim_at = noticed_at + lead_s if stop is None or stop.deadline is None else _seconds(stop.deadline)
    here = [
        life for life in lives if life.instance == instance and (life.ended_at is None or life.ended_at >= noticed_at)
    ]
    return Strike(
        instance_id=instance,
        noticed_at=noticed_at,
        reclaim_at=reclaim_at,
        stop_file_at=None if stop is None else _seconds(stop.written_at),
        seen_at=dict(seen),
        shards=tuple(_struck(life, lives, reclaim_at=reclaim_at) for life in here),
    )


def _struck(life: LeaseLife, lives: Sequence[LeaseLife], *, reclaim_at: float) -> StruckShard:
    follower = next_lease(lives, shard=life.shard, after_token=life.fencing_token)
    lost_s = life.lost_ms / 1000 if life.ending is not None else max(0.0, reclaim_at - life.saved_at)
    return StruckShard(
        shard=life.shard,
        fencing_token=life.fencing_token,
        outcome="lost with its worker" if life.ending is None else _OUTCOMES[life.ending],
        let_go_at=life.ended_at,
        leased_again_at=None if follower is None else follower.leased_at,
        lost_s=lost_s if lost_s * 1000 > LOST_MS_LEAST else 0.0,
        save_s=life.save_s,
    )


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
