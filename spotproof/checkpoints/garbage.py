"""Which objects of a shard's checkpoints nobody can need any more: decisions over keys, each with its reason.

Every key carries the epoch of its writer, the fencing token of the lease it was written under. A pointer is accepted
only from the lease that is current, and a manifest names besides objects of its own epoch only such as the generation it
was restored from named. So what an accepted pointer's generation does not name, of an epoch below the row's token, no
later pointer will name either: it is garbage for good, however late the deletion arrives.
"""

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spotproof.checkpoints.manifest import epoch_of, parse_manifest_key
from spotproof.checkpoints.store import ObjectFacts
from spotproof.leases.model import Lease, Shard, ShardState


class GarbageReason(StrEnum):
    REPLACED = "of our own epoch, in neither of the two newest generations"
    DEAD_EPOCH = "of an epoch that is over, in neither of the two newest generations"
    NEVER_NAMED = "of an epoch that is over, and no pointer was ever recorded"
    SHARD_DONE = "the shard is done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """An object that may be deleted, and why."""

    key: str
    reason: GarbageReason


def superseded(*, lease: Lease, written: Iterable[str], listed: Iterable[str], kept: Set[str]) -> list[Garbage]:
    """What the lease's owner may delete once its own pointer was accepted, by key.

    Of its own epoch only what it wrote itself, of older epochs all (their writers are fenced), of newer ones nothing.

    Args:
        lease: under which the pointer was accepted.
        written: keys this engine wrote, without those of a save under way.
        listed: keys found below the shard's prefix; none if earlier epochs left nothing.
        kept: keys of the current and of the previous generation.
    """
    token = lease.fencing_token
    reasons = {
        key: GarbageReason.DEAD_EPOCH
        for key in listed
        if (epoch := epoch_of(key, run_id=lease.run_id, shard=lease.index)) is not None and epoch < token
    }
    reasons |= dict.fromkeys(written, GarbageReason.REPLACED)
    return [Garbage(key=key, reason=reasons[key]) for key in sorted(reasons.keys() - kept)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepScope:
    """Which epochs of a shard may hold orphans: those below `below`."""

    below: int  # 0: none
    reason: str
    found: GarbageReason = GarbageReason.DEAD_EPOCH
    spares_generations: bool = False  # the pointer's generation and the one before stay


def sweep_scope(row: Shard | None) -> SweepScope:
    """What of a shard the sweeper may look at, by its row, read after the listing.

    A quarantined shard keeps its two newest generations, for whoever wants to know how far it came, until the run ends.
    """
    if row is None:
        return SweepScope(below=0, reason="no row says which epochs are over")
    if row.state is ShardState.DONE:
        return SweepScope(below=row.fencing_token + 1, reason="the shard is done", found=GarbageReason.SHARD_DONE)
    if row.checkpoint is None:
        return SweepScope(below=row.fencing_token, reason="no pointer", found=GarbageReason.NEVER_NAMED)
    pointed = parse_manifest_key(row.checkpoint.manifest_key, run_id=row.run_id, shard=row.index)
    if pointed is None or pointed.epoch > row.fencing_token:
        return SweepScope(below=0, reason="the pointer does not fit the row")
    if row.state is ShardState.LEASED and pointed.epoch < row.fencing_token:
        return SweepScope(below=0, reason="its owner may be reading any older generation")
    return SweepScope(below=row.fencing_token, reason="dead epochs", spares_generations=True)


def orphans(
    *, row: Shard, scope: SweepScope, listed: Iterable[ObjectFacts], kept: Collection[str], before: datetime
) -> list[Garbage]:
    """Listed objects in the scope that nobody needs and that were written before the given moment, in listing order.

    Args:
        row: the shard.
        scope: of `sweep_scope(row)`.
        listed: objects below the shard's prefix.
        kept: keys of the pointer's generation and of the one before; empty unless the scope spares generations.
        before: younger objects stay for now, in case the row moved a moment ago; the epochs are what makes it safe.
    """
    return [
        Garbage(key=facts.key, reason=scope.found)
        for facts in listed
        if (epoch := epoch_of(facts.key, run_id=row.run_id, shard=row.index)) is not None
        and epoch < scope.below
        and facts.modified is not None
        and facts.modified < before
        and facts.key not in kept
    ]
