"""What became of the shards that were struck, as the workers' own log tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spotproof import events
from spotproof_cli.game_day.lease_lives import LeaseLife, lease_lives
from spotproof_cli.game_day.log_entries import LogEntry
from tests.local.storm.ledger import Dealt
from tests.local.storm.plan import Blow, Trouble
from tests.local.storm.play import Played

LET_GO = (events.SHARD_RELEASED, events.SHARD_COMMITTED)
REFUSALS = (events.COMMIT_FENCED, events.LEASE_LOST, events.SESSION_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How a worker left its shard after a notice or SIGTERM. Real seconds."""

    blow: Blow
    took_s: float | None  # until the shard was released or committed; None: it was not
    finished: bool  # it committed instead of handing back
    lost_s: float  # work that was not saved, as the worker says
    window_s: float | None  # until the reclaim


def split_at_restore(played: Played) -> tuple[list[LogEntry], list[LogEntry]]:
    """The log before and after the table was put back; nothing is before if it never was."""
    if played.restored_at is None:
        return [], list(played.entries)
    before = [entry for entry in played.entries if entry.at < played.restored_at]
    return before, [entry for entry in played.entries if entry.at >= played.restored_at]


def life_of(dealt: Dealt, played: Played) -> LeaseLife | None:
    """The victim's lease; None if the log of its host was lost with the account."""
    before, after = split_at_restore(played)
    early = played.restored_at is not None and dealt.at < played.restored_at
    for life in lease_lives(before if early else after):
        if (life.shard, life.fencing_token) == (dealt.victim.shard, dealt.victim.fencing_token):
            return life
    return None


def lost_work_s(dealt: Dealt, played: Played) -> float | None:
    """Work between the last durable save and the blow, which has to be done again; None if nothing is known."""
    life = life_of(dealt, played)
    if life is None:
        return None
    if life.ended_at is not None and life.ended_at <= dealt.at:
        return 0.0  # it had let go just before
    saved_at = max(moment for moment in (life.leased_at, *life.checkpoints) if moment <= dealt.at)
    return dealt.at - saved_at - outage_s(played, since=saved_at, until=dealt.at)


def outage_s(played: Played, *, since: float, until: float) -> float:
    """How much of that time the account stood still: a worker that waits for an answer does no work."""
    pauses = [seen for seen in played.ledger.troubles if seen.trouble is Trouble.OUTAGE and seen.over_at is not None]
    return sum(max(0.0, min(until, seen.over_at or 0.0) - max(since, seen.at)) for seen in pauses)


def drain_of(dealt: Dealt, played: Played) -> Drain | None:
    """How the victim of a notice or SIGTERM left; None if it had no shard any more when it was told."""
    life = life_of(dealt, played)
    if life is None or (life.ended_at is not None and life.ended_at <= dealt.at):
        return None
    let_go = life.ending in LET_GO and life.ended_at is not None
    return Drain(
        blow=dealt.step.blow,
        took_s=life.ended_at - dealt.at if let_go and life.ended_at is not None else None,
        finished=life.ending == events.SHARD_COMMITTED,
        lost_s=life.lost_ms / 1000,
        window_s=dealt.window_s,
    )


def came_too_late(dealt: Dealt, played: Played) -> bool:
    """Whether the victim had committed its shard just before the blow: then nobody takes it from it."""
    shard = played.snapshot.shards.get(dealt.victim.shard)
    return shard is not None and shard.state.final and shard.fencing_token == dealt.victim.fencing_token


def what_zombie_noticed(dealt: Dealt, played: Played) -> str | None:
    """The first event after SIGCONT with which the zombie itself says that it is no longer entitled."""
    for entry in played.entries:
        mine = entry.fields.get("session_id") == dealt.victim.session_id
        if mine and dealt.over_at is not None and entry.at >= dealt.over_at and entry.event in REFUSALS:
            return entry.event
    return None


def failure_kind(dealt: Dealt, played: Played) -> str | None:
    """How the worker without memory or disk said so: the kind of its shard's failure, or the event of its end.

    None: it left before it needed any.
    """
    for entry in played.entries:
        if entry.at < dealt.at or entry.fields.get("session_id") != dealt.victim.session_id:
            continue
        if entry.event in (events.SHARD_FAILED, events.SHARD_QUARANTINED):
            return str(entry.fields.get("kind"))
        if entry.event in (events.WORKER_FAILED, events.SESSION_LOST, events.LEASE_LOST):
            return entry.event
        if entry.event == events.WORKER_FINISHED:
            return None
    return "died"


def commits(entries: Sequence[LogEntry]) -> Mapping[int, int]:
    """How often the log says that each shard was committed."""
    found: dict[int, int] = {}
    for entry in entries:
        if entry.event == events.SHARD_COMMITTED:
            shard = int(entry.fields["shard"])
            found[shard] = found.get(shard, 0) + 1
    return found
