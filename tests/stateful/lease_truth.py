"""The oracle of the lease machine: every write checked, and the table's rows kept at hand."""

from typing import Any

from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Run, RunState, Session, SessionId, SessionState, Shard, ShardState, StopKind
from spotproof.leases.run_items import run_from_item
from spotproof.leases.session_items import session_from_item
from spotproof.leases.shard_items import shard_from_item
from tests.fakes.lease_oracle import LeaseOracle


class LeaseTruth(LeaseOracle):
    """Adds what the writes of a run, of sessions and of counters must mean; mirrors what is stored."""

    def __init__(self, table: InMemoryTable, run: Run) -> None:
        super().__init__(table, run)
        self.stored_run: Run | None = None
        self.shards: dict[int, Shard] = {}
        self.sessions: dict[SessionId, Session] = {}

    @property
    def held(self) -> dict[SessionId, int | None]:
        return {name: session.held for name, session in self.sessions.items()}

    def _checked(self, send: Any, request: dict[str, Any]) -> Any:
        values: Item = request.get("ExpressionAttributeValues", {})
        key = {part: (request.get("Key") or request["Item"])[part] for part in ("pk", "sk")}
        answer = super()._checked(send, request)
        item = self._read(key)
        assert item is not None
        if item["sk"]["S"].startswith("S#"):
            self._take_in_row(shard_from_item(item), values)
        elif "#SESSIONS#" in item["pk"]["S"]:
            self._take_in_session(session_from_item(item), values)
        elif item["sk"]["S"] == "META":
            self._take_in_run(run_from_item(item), values)
        return answer

    def _take_in_row(self, after: Shard, values: Item) -> None:
        before = self.shards.get(after.index)
        self.shards[after.index] = after
        assert 0 <= after.index < self.run.shards, "I6: a row beyond the plan"
        if before is None:
            return
        if ":seen" in values and before.state is ShardState.LEASED:
            assert before.reclaim_at is not None, "claimed from a live owner"
            assert before.reclaim_at <= _number(values, ":now"), "claimed before its reclaim time"
        owner = self.sessions.get(before.owner) if before.owner else None
        if after.losses > before.losses:
            assert owner is not None
            assert owner.state is not SessionState.ALIVE, "I10: taken from a live session"
            assert owner.stop is None or owner.stop.kind is StopKind.RETIRED, "I8: an announced end counted as a loss"
        if after.interruptions > before.interruptions and ":seen" not in values and ":token" not in values:
            assert owner is not None
            assert owner.state is not SessionState.ALIVE, "I10: taken from a live session"

    def _take_in_session(self, after: Session, values: Item) -> None:
        before = self.sessions.get(after.session_id)
        self.sessions[after.session_id] = after
        if before is not None and ":expired_at" in values:
            assert before.until < _number(values, ":expired_at"), "I10: rescued while it heartbeats"
        if before is not None and before.hint_until is not None:
            assert after.hint_until is not None
            assert after.hint_until >= before.hint_until, "hints only grow"

    def _take_in_run(self, after: Run, values: Item) -> None:
        before = self.stored_run
        self.stored_run = after
        if before is None:
            return
        if before.state.ended:
            assert after.state is before.state, "an ended run stays as it ended"
        assert before.closed <= after.closed, "a closed stripe stays closed"
        for stripe in after.closed - before.closed:
            for index in range(stripe, self.run.shards, self.run.stripes):
                assert index in self.shards, f"I6: shard {index} lost in a closed stripe"
                assert self.shards[index].state.final, f"I7: shard {index} open in a closed stripe"
        assert after.finalizer_epoch >= before.finalizer_epoch, "epochs never go back"
        if after.finalizer_epoch > before.finalizer_epoch:
            assert len(before.closed) == self.run.stripes, "I7: finalized too early"
            assert not before.state.ended, "I7: finalized after its end"
            assert before.finalizer_until is None or before.finalizer_until < _number(values, ":now"), "two terms"
        if after.state in (RunState.COMPLETE, RunState.FAILED) and not before.state.ended:
            assert before.finalizer_epoch == _number(values, ":epoch"), "I7: ended by an old finalizer"


def _number(values: Item, name: str) -> int:
    return int(values[name]["N"])
