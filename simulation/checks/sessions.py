"""I10 and I11 on sessions: none is fenced while it heartbeats, and every lease is covered by its session's `held`."""

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import session_from_item, shard_from_item
from spotproof.leases.model import Session, SessionState, Shard, ShardState

CLOCK_SLACK_MS = 2_000  # requests under way, and rounding


class SessionCheck(Check):
    """Follows sessions and the leases they own."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._sessions: dict[str, Session] = {}
        self._leases: dict[str, set[int]] = {}  # by owner
        self._promised: dict[str, int] = {}  # until when a session's own last word says it is alive, epoch ms
        self._went_back = (
            False  # the table was restored: a request under way may come from a session that is unknown now
        )

    def restored(self) -> None:
        self._went_back = True
        self._promised.clear()
        self._sessions.clear()
        self._leases.clear()
        for item in self.world.table.items():
            if "#SESSIONS#" in item["pk"]["S"]:
                session = session_from_item(item)
                self._sessions[session.session_id] = session
            elif item["sk"]["S"].startswith("S#"):
                shard = shard_from_item(item)
                if shard.state is ShardState.LEASED and shard.owner is not None:
                    self._leases.setdefault(shard.owner, set()).add(shard.index)

    def wrote(self, write: TableWrite) -> None:
        if write.new is None:
            return
        if "#SESSIONS#" in write.partition:
            self._session(write, session_from_item(write.new))
        elif write.sort.startswith("S#"):
            before = None if write.old is None else shard_from_item(write.old)
            self._lease(before, shard_from_item(write.new))

    def _session(self, write: TableWrite, after: Session) -> None:
        before = self._sessions.get(after.session_id)
        self._sessions[after.session_id] = after
        self._heard(write, after)
        require, name = self.report.require, f"session {after.session_id}"
        if before is None:
            return
        require(before.state is SessionState.ALIVE, "I3", f"{name} was over and was written again")
        require(after.seq >= before.seq, "I3", f"{name}: a late duplicate changed it")
        if after.held != before.held:
            require(before.stop is None, "I11", f"{name} took a new hold after a stop")
            still = self._leases.get(after.session_id, set())
            require(
                self._went_back or not still - {after.held},
                "I11",
                f"{name} holds {after.held} but still leases {sorted(still)}",
            )
        if before.stop is not None and before.stop.deadline is not None:
            require(after.stop == before.stop, "I10", f"{name}: the first deadline did not win")
        if write.call is not None and write.call.intent == "fence expired session":
            true_ms = self.world.epoch_ms()
            until = self._promised.get(after.session_id, before.until)
            silent = until < true_ms + self.world.skew_max_ms + CLOCK_SLACK_MS
            require(silent, "I10", f"{name} was rescued {until - true_ms} ms before its time was over")

    def _heard(self, write: TableWrite, after: Session) -> None:
        if write.call is None or write.call.intent not in ("session", "hold", "heartbeat"):
            return
        values = write.call.parameters.get("ExpressionAttributeValues", {})
        said = int(values[":until"]["N"]) if ":until" in values else after.until
        self._promised[after.session_id] = said

    def _lease(self, before: Shard | None, after: Shard) -> None:
        if before is not None and before.owner is not None:
            self._leases.get(before.owner, set()).discard(after.index)
        if after.state is ShardState.LEASED and after.owner is not None:
            self._leases.setdefault(after.owner, set()).add(after.index)
            session = self._sessions.get(after.owner)
            covered = self._went_back or (session is not None and session.held == after.index)
            self.report.require(covered, "I11", f"{after} is not covered by the `held` of {session}")
