"""I3, I8 and I10 on taking leases away: fenced first, for the reason that is on record, and not before its time."""

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import session_from_item, shard_from_item
from spotproof.leases.model import Session, SessionState, Shard, StopKind

LOSSES = frozenset({"requeue lost", "quarantine lost"})
TAKINGS = LOSSES | {"requeue interrupted", "requeue to on-demand"}
GONE = "instance_state_change"  # the one function that may fence a session that still heartbeats
CLOCK_SLACK_MS = 2_000  # requests under way, and rounding


class TakingCheck(Check):
    """Knows every session's last version when a shard is taken from it."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._sessions: dict[str, Session] = {}
        self._went_back = False  # the table was restored: flows under way know sessions as they are no more

    def restored(self) -> None:
        self._went_back = True

    def wrote(self, write: TableWrite) -> None:
        if write.new is None or self._went_back:
            return
        intent = "" if write.call is None else write.call.intent
        if "#SESSIONS#" in write.partition:
            session = self._sessions[write.sort] = session_from_item(write.new)
            if intent == "fence session":
                self._fenced(session, write)
        elif write.sort.startswith("S#") and write.old is not None:
            before = shard_from_item(write.old)
            if intent in TAKINGS:
                self._taken(before, intent, write)
            elif intent in ("claim ready", "claim drained"):
                self._claimed(before, intent)

    def _fenced(self, session: Session, write: TableWrite) -> None:
        """Without asking whether it is silent: only when its instance is known to be gone, and with that on record."""
        assert write.call is not None, "an intent comes with a call"
        require, name = self.report.require, f"session {session.session_id}"
        instance = self.world.fleet.instances.get(session.host.instance_id)
        gone = write.call.process.kind == GONE and (instance is None or not instance.is_live)
        require(gone, "I10", f"{name} was fenced by {write.call.process.name} while its instance lived")
        require(session.stop is not None, "I8", f"{name} was fenced without the reason on record")

    def _taken(self, before: Shard, intent: str, write: TableWrite) -> None:
        session = self._sessions.get(before.owner or "")
        if session is None or write.call is None:
            return
        require, name = self.report.require, f"shard {before.index}"
        fenced = session.state is not SessionState.ALIVE
        require(fenced, "I3", f"{name} was taken from {before.owner}, which nobody had fenced")
        explained = session.stop is not None and session.stop.kind is not StopKind.RETIRED
        if intent in LOSSES:
            require(not explained, "I8", f"{name}: a loss was counted although {session.stop} is on record")
        elif write.call.process.kind != GONE:
            require(explained, "I8", f"{name}: a loss without notice was counted as interruption")

    def _claimed(self, before: Shard, intent: str) -> None:
        due = before.claimable_at if intent == "claim ready" else before.reclaim_at
        latest = self.world.epoch_ms() + self.world.skew_max_ms + CLOCK_SLACK_MS
        early = due is None or due > latest
        self.report.require(not early, "I10", f"{intent}: shard {before.index} was claimable from {due} only")
