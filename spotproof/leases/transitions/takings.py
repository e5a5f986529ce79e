"""Transitions that take a lease from its owner: drain and requeue; and the repair of holes."""

from typing import Final

from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain
from spotproof.leases.model import RequeueCause, Run, SessionId, Shard, ShardState
from spotproof.leases.shard_items import new_row, on_demand_pk, shard_from_item, shard_key
from spotproof.leases.table import Applied, Refused
from spotproof.leases.transitions.base import Transitions

REQUEUE_ROUNDS: Final = 3  # row absent -> put refused by a late claim -> requeue it

_LOST_TO_QUARANTINE: Final = "lost: {losses} workers in a row vanished without notice while they ran this shard"


class TakingTransitions(Transitions):
    def drain(self, run: Run, index: int, *, owner: SessionId, reclaim_at: int) -> bool:
        values = _by_interruptions(run) | {":owner": owner, ":reclaim_at": reclaim_at}
        outcome = self._table.update(ex.DRAIN, shard_key(run, index), values)
        if isinstance(outcome, Applied) or _is_drained(outcome.old, owner):
            return True
        if not _is_held_by(outcome.old, owner):
            return False
        to_on_demand: dict[str, Plain] = {":on_demand_pk": on_demand_pk(run.run_id)}
        outcome = self._table.update(ex.DRAIN_TO_ON_DEMAND, shard_key(run, index), values | to_on_demand)
        return isinstance(outcome, Applied) or _is_drained(outcome.old, owner)

    def requeue(self, run: Run, index: int, *, owner: SessionId, cause: RequeueCause, losses_max: int) -> Shard | None:
        for _ in range(REQUEUE_ROUNDS):
            outcome = self._take(run, index, owner=owner, cause=cause, losses_max=losses_max)
            if isinstance(outcome, Applied):
                return shard_from_item(outcome.item)
            if outcome.old is not None:
                return self._own_lost_reply(outcome, owner)
            row = self._put_ready_row(run, index)
            if row is not None:
                return shard_from_item(row)
        return None

    def repair_hole(self, run: Run, index: int) -> bool:
        return self._put_ready_row(run, index) is not None

    def _put_ready_row(self, run: Run, index: int) -> Item | None:
        """The row we put; None if there was one."""
        row = new_row(run, index, owner=None, now=self._now())
        outcome = self._table.put(row, what=f"row of shard {index}")
        mine = isinstance(outcome, Applied) or (outcome.repeated and outcome.old == row)
        return row if mine else None

    def _take(
        self, run: Run, index: int, *, owner: SessionId, cause: RequeueCause, losses_max: int
    ) -> Applied | Refused:
        if cause is not RequeueCause.LOST:
            return self._take_interrupted(run, index, owner=owner)
        key = shard_key(run, index)
        values: dict[str, Plain] = {":owner": owner, ":return": _tag(owner)}
        values |= {":losses_last": losses_max - 1}
        outcome = self._table.update(ex.REQUEUE_LOST, key, values | {":claimable_at": self._now()})
        if isinstance(outcome, Applied) or not _is_held_by(outcome.old, owner):
            return outcome
        error = _LOST_TO_QUARANTINE.format(losses=losses_max)
        return self._table.update(ex.QUARANTINE_LOST, key, values | {":error": error, ":now": self._now()})

    def _take_interrupted(self, run: Run, index: int, *, owner: SessionId) -> Applied | Refused:
        key = shard_key(run, index)
        values = _by_interruptions(run) | {":owner": owner, ":return": _tag(owner), ":claimable_at": self._now()}
        outcome = self._table.update(ex.REQUEUE_INTERRUPTED, key, values)
        if isinstance(outcome, Applied) or not _is_held_by(outcome.old, owner):
            return outcome
        to_on_demand: dict[str, Plain] = {":on_demand_pk": on_demand_pk(run.run_id)}
        return self._table.update(ex.REQUEUE_TO_ON_DEMAND, key, values | to_on_demand)

    def _own_lost_reply(self, refused: Refused, owner: SessionId) -> Shard | None:
        """Only a repeated request can be our own: a second event about the same owner must report nothing."""
        old = refused.old or {}
        mine = refused.repeated and old.get("last_return", {}).get("S") == _tag(owner)
        return shard_from_item(old) if mine else None


def _tag(owner: SessionId) -> str:
    return f"requeue:{owner}"


def _by_interruptions(run: Run) -> dict[str, Plain]:
    return {":interruptions_last": run.options.class_changes_at - 1}


def _is_drained(old: Item | None, owner: SessionId) -> bool:
    return old is not None and _is_held_by(old, owner) and shard_from_item(old).reclaim_at is not None


def _is_held_by(old: Item | None, owner: SessionId) -> bool:
    return old is not None and _held_by(shard_from_item(old), owner)


def _held_by(shard: Shard, owner: SessionId) -> bool:
    return shard.state is ShardState.LEASED and shard.owner == owner
