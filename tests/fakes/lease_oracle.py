"""A client of the in-memory table that checks the protocol's invariants at every write."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import CapacityClass, Run, SessionId, SessionState, Shard, ShardState, Stop
from spotproof.leases.session_items import session_from_item
from spotproof.leases.shard_items import shard_from_item
from spotproof.leases.table import CONDITION_FAILED
from spotproof.retries import error_code
from tests.fakes.aws_errors import WrappedClient


class LeaseOracle(WrappedClient):
    """Compares the row before and after each write, and remembers every write so that a test can send it again."""

    client: InMemoryTable

    def __init__(self, table: InMemoryTable, run: Run) -> None:
        super().__init__(table)
        self.run = run
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.commits: list[int] = []
        self.checked = 0

    def repeat(self, number: int) -> None:
        """A late duplicate of write `number`: whatever the table answers reaches nobody."""
        name, request = self.writes[number]
        try:
            self._checked(getattr(self.client, name), request)
        except ClientError as refusal:
            if error_code(refusal) != CONDITION_FAILED:
                raise

    def _send(self, name: str, send: Any, request: dict[str, Any]) -> Any:
        if name not in ("put_item", "update_item"):
            return send(**request)
        self.writes.append((name, request))
        return self._checked(send, request)

    def _checked(self, send: Any, request: dict[str, Any]) -> Any:
        key = {part: (request.get("Key") or request["Item"])[part] for part in ("pk", "sk")}
        before = self._read(key)
        answer = send(**request)
        after = self._read(key)
        assert after is not None
        if after["sk"]["S"].startswith("S#"):
            row_before = shard_from_item(before) if before else None
            self._check_author(row_before, request.get("ExpressionAttributeValues", {}))
            self._check_row(row_before, shard_from_item(after), after)
        elif "#SESSIONS#" in after["pk"]["S"] and before:
            self._check_session(before, after)
        self.checked += 1
        return answer

    def _read(self, key: Item) -> Item | None:
        item: Item | None = self.client.get_item(TableName=self.client.name, Key=key).get("Item")
        return item

    def _check_author(self, before: Shard | None, values: Item) -> None:
        """I3, from what the writer believed, whatever condition it sent along."""
        if ":seen" in values:
            assert before is not None
            assert before.fencing_token == int(values[":seen"]["N"]), "I2: claimed with a stale token"
        elif ":owner" in values:
            assert before is not None
            assert (before.state, before.owner) == (ShardState.LEASED, values[":owner"]["S"]), "I3: not the owner's"
        if ":token" in values:
            assert before is not None
            assert before.fencing_token == int(values[":token"]["N"]), "I3: written with a stale token"
        if ":reclaim_at" in values:
            assert before is not None
            assert before.reclaim_at is None, "the first reclaim time wins"

    def _check_row(self, before: Shard | None, after: Shard, item: Item) -> None:
        if before is not None:
            assert not before.state.final, f"I1: {before} was final, now {after}"
            assert after.fencing_token >= before.fencing_token, "I2: tokens never go back"
            if (before.owner, before.state) != (after.owner, after.state) and after.state is not ShardState.DONE:
                assert after.fencing_token == before.fencing_token + 1, "I2: each change of hands raises the token"
            if before.checkpoint is not None:
                assert after.checkpoint is not None, "I5: the pointer is never lost"
                moved = after.checkpoint != before.checkpoint
                assert after.checkpoint.seq >= before.checkpoint.seq + moved, "I5: the pointer never goes back"
            assert after.earlier_ms >= before.earlier_ms, "earlier work is not forgotten"
            for counter in ("failures", "interruptions", "losses"):
                assert 0 <= getattr(after, counter) - getattr(before, counter) <= 1
        self._check_class(before, after)
        claimable = after.state is ShardState.READY or after.reclaim_at is not None
        assert ("claimable_pk" in item) == ("claimable_at" in item) == claimable, f"{after}: claimable or not?"
        assert (after.owner is not None) == (after.state in (ShardState.LEASED, ShardState.DONE))
        if after.state is ShardState.DONE:
            assert before is not None
            assert before.owner == after.owner, "I3: only the owner commits"
            self.commits.append(after.index)
        if after.state is ShardState.QUARANTINED:
            options = self.run.options
            assert after.failures >= options.failures_max or after.losses >= options.losses_max, "I8"

    def _check_class(self, before: Shard | None, after: Shard) -> None:
        limit = self.run.options.class_changes_at
        on_demand = after.capacity_class is CapacityClass.ON_DEMAND
        assert on_demand or after.interruptions < limit, f"{after}: interrupted too often to wait for Spot"
        assert not on_demand or after.interruptions >= limit - 1, f"{after}: left to on-demand workers too early"
        assert on_demand or before is None or before.capacity_class is after.capacity_class, "the class went back"

    def _check_session(self, before_item: Item, after_item: Item) -> None:
        before, after = session_from_item(before_item), session_from_item(after_item)
        assert before.state is SessionState.ALIVE, "a session that is over never changes"
        assert after.seq >= before.seq, "late duplicates change nothing"
        if after.held != before.held:
            assert before.stop is None, "no hold after a stop"
            assert after.seq > before.seq, "late duplicates change nothing"
        if before.stop is not None and before.stop.deadline is not None:
            assert after.stop == Stop(kind=before.stop.kind, deadline=before.stop.deadline), "the first deadline wins"

    def check_coverage(self, shards: list[Shard], held: Mapping[SessionId, int | None]) -> None:
        """I11: every lease a session owns is covered by its `held`."""
        for shard in shards:
            if shard.state is ShardState.LEASED:
                assert shard.owner is not None
                assert held[shard.owner] == shard.index, f"I11: {shard} is not covered"
