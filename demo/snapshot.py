"""The run at one moment, as the table shows it: who works on what, and how far it is."""

from collections.abc import Iterable
from dataclasses import dataclass

from spotproof.leases.model import Session, SessionId, SessionState, Shard, ShardState


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A live session that holds the lease of a shard."""

    session_id: SessionId
    instance_id: str
    batch_job_id: str
    shard: int
    fencing_token: int
    checkpoints: int  # saved for this shard so far, by anybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`planned` is how many shards the run has; those that were never leased have no row."""

    planned: int
    working: tuple[Working, ...]
    shards: dict[int, Shard]
    sessions: dict[SessionId, Session]

    @property
    def progress(self) -> int:
        """Checkpoints and commits so far: it only rises."""
        saved = sum(shard.checkpoint.seq for shard in self.shards.values() if shard.checkpoint is not None)
        return saved + self.done

    @property
    def done(self) -> int:
        """Shards that are committed."""
        return sum(shard.state is ShardState.DONE for shard in self.shards.values())

    @property
    def open(self) -> int:
        """Shards that are not committed yet."""
        return self.planned - self.done


def take_snapshot(sessions: Iterable[Session], shards: Iterable[Shard], *, planned: int) -> Snapshot:
    """Put sessions and shard rows of one run together."""
    by_id = {session.session_id: session for session in sessions}
    by_index = {shard.index: shard for shard in shards}
    working = []
    for shard in by_index.values():
        owner = by_id.get(shard.owner) if shard.owner is not None else None
        if shard.state is not ShardState.LEASED or owner is None or owner.state is not SessionState.ALIVE:
            continue
        working.append(
            Working(
                session_id=owner.session_id,
                instance_id=owner.host.instance_id,
                batch_job_id=owner.host.batch_job_id,
                shard=shard.index,
                fencing_token=shard.fencing_token,
                checkpoints=0 if shard.checkpoint is None else shard.checkpoint.seq,
            )
        )
    return Snapshot(planned=planned, working=tuple(working), shards=by_index, sessions=by_id)
