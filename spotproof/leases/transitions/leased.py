"""Transitions under a lease: checkpoint, commit, fail, release. Owner and token must be the row's."""

from typing import NoReturn

from spotproof.errors import LeaseLostError
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain
from spotproof.leases.model import CheckpointPointer, Lease, OutputPointer, Shard, ShardState, ShardUsage
from spotproof.leases.shard_items import (
    checkpoint_values,
    lease_key,
    on_demand_pk,
    output_values,
    shard_from_item,
    shortened_error,
    usage_values,
)
from spotproof.leases.table import Applied
from spotproof.leases.transitions.base import Transitions


class LeasedTransitions(Transitions):
    def record_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> None:
        values = _owned(lease) | checkpoint_values(lease, pointer)
        outcome = self._table.update(ex.CHECKPOINT, lease_key(lease), values)
        if isinstance(outcome, Applied):
            return
        stored = _shard(outcome.old)
        if stored is None or not _is_leased_by(stored, lease):
            _refuse("record a checkpoint", lease, stored)
        if stored.checkpoint != pointer:
            raise LeaseLostError(f"shard {lease.index}: the checkpoint pointer {stored.checkpoint} can't go back")

    def commit(self, lease: Lease, output: OutputPointer, *, usage: ShardUsage | None = None) -> None:
        values = _owned(lease) | output_values(lease, output) | usage_values(usage) | {":now": self._now()}
        outcome = self._table.update(ex.COMMIT, lease_key(lease), values)
        if isinstance(outcome, Applied):
            return
        stored = _shard(outcome.old)
        mine = (
            stored is not None
            and stored.state is ShardState.DONE
            and (stored.owner, stored.fencing_token) == (lease.owner, lease.fencing_token)
            and stored.output == output
        )
        if not mine:
            _refuse("commit", lease, stored)

    def fail(self, lease: Lease, *, error: str, retry_at: int, failures_max: int, worked_ms: int = 0) -> Shard:
        tag = _tag("fail", lease)
        values = _owned(lease) | {":error": shortened_error(error), ":return": tag, ":worked": worked_ms}
        if lease.failures + 1 >= failures_max:  # only failures under this lease raise the count: ours is the row's
            outcome = self._table.update(ex.FAIL_FOR_GOOD, lease_key(lease), values | {":now": self._now()})
        else:
            outcome = self._table.update(ex.FAIL, lease_key(lease), values | {":claimable_at": retry_at})
        if isinstance(outcome, Applied):
            return shard_from_item(outcome.item)
        stored = _shard(outcome.old)
        if outcome.old is None or stored is None or not _carries(outcome.old, tag):
            _refuse("record a failure", lease, stored)
        return stored

    def release(self, lease: Lease, *, interrupted: bool, worked_ms: int = 0) -> None:
        tag = _tag("release", lease)
        values = _owned(lease) | {":claimable_at": self._now(), ":return": tag, ":worked": worked_ms}
        if (
            interrupted and lease.interruptions + 1 >= lease.class_changes_at
        ):  # only claims raise the count: ours is the row's
            to_on_demand: dict[str, Plain] = {":on_demand_pk": on_demand_pk(lease.run_id)}
            outcome = self._table.update(ex.RELEASE_TO_ON_DEMAND, lease_key(lease), values | to_on_demand)
        else:
            outcome = self._table.update(ex.RELEASE, lease_key(lease), values | {":interrupted": int(interrupted)})
        if isinstance(outcome, Applied):
            return
        if outcome.old is None or not _carries(outcome.old, tag):
            _refuse("release", lease, _shard(outcome.old))


def _owned(lease: Lease) -> dict[str, Plain]:
    return {":owner": lease.owner, ":token": lease.fencing_token}


def _tag(verb: str, lease: Lease) -> str:
    """What a row keeps of the last hand-back, so that its author recognises a lost reply."""
    return f"{verb}:{lease.fencing_token}:{lease.owner}"


def _carries(old: Item, tag: str) -> bool:
    return old.get("last_return", {}).get("S") == tag


def _shard(old: Item | None) -> Shard | None:
    return None if old is None else shard_from_item(old)


def _is_leased_by(stored: Shard, lease: Lease) -> bool:
    owned = (stored.owner, stored.fencing_token) == (lease.owner, lease.fencing_token)
    return stored.state is ShardState.LEASED and owned


def _refuse(doing: str, lease: Lease, stored: Shard | None) -> NoReturn:
    now = "has no row" if stored is None else f"is {stored.state} with token {stored.fencing_token}"
    raise LeaseLostError(
        f"can't {doing} for shard {lease.index} with token {lease.fencing_token}: it {now}; stop writing this shard"
    )
