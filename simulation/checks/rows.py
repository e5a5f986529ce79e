"""I1, I2, I3, I5, I8 and the class on shard rows, at every write, from the row before and after alone."""

from simulation.checks.base import Check, Item, TableWrite
from simulation.checks.parsed import shard_from_item
from spotproof.leases.model import CapacityClass, Shard, ShardState

OWNER_ONLY = frozenset({"record checkpoint", "commit", "fail", "fail for good", "release", "release to on-demand"})
COUNTED = {  # what each transition may count
    "fail": "failures",
    "fail for good": "failures",
    "release": "interruptions",
    "release to on-demand": "interruptions",
    "claim drained": "interruptions",
    "requeue interrupted": "interruptions",
    "requeue to on-demand": "interruptions",
    "requeue lost": "losses",
    "quarantine lost": "losses",
}
COUNTERS = ("failures", "interruptions", "losses")
HOPELESS = ("input: ", "configuration: ")  # failures that no repetition can mend


class RowCheck(Check):
    """Compares a shard's row before and after each write."""

    def wrote(self, write: TableWrite) -> None:
        if not write.sort.startswith("S#") or write.new is None:
            return
        before = None if write.old is None else shard_from_item(write.old)
        after = shard_from_item(write.new)
        if before is not None:
            self._transition(before, after)
            self._counters(before, after, "" if write.call is None else write.call.intent)
            self._kept(before, after)
        self._class(before, after)
        self._told(after, write)
        self._author(before, after, write)
        self._shape(after, write.new)

    def _transition(self, before: Shard, after: Shard) -> None:
        name = f"shard {after.index}"
        require = self.report.require
        require(not before.state.final, "I1", f"{name} was {before.state} and was written again as {after.state}")
        require(after.fencing_token >= before.fencing_token, "I2", f"{name}: token went back")
        moved = (before.owner, before.state) != (after.owner, after.state) and after.state is not ShardState.DONE
        raised = after.fencing_token == before.fencing_token + 1
        require(not moved or raised, "I2", f"{name} changed hands without a new token: {before} -> {after}")
        if before.checkpoint is not None:
            later = after.checkpoint is not None and after.checkpoint.seq >= before.checkpoint.seq
            require(later, "I5", f"{name}: pointer went back from {before.checkpoint} to {after.checkpoint}")

    def _counters(self, before: Shard, after: Shard, intent: str) -> None:
        """Each transition counts what it stands for, and nothing else."""
        for counter in COUNTERS:
            step = getattr(after, counter) - getattr(before, counter)
            due = (0, 1) if intent == "release" else (1,)  # a release may be voluntary
            right = step in (due if COUNTED.get(intent) == counter else (0,))
            self.report.require(right, "I8", f"shard {after.index}: {intent} moved {counter} by {step}")

    def _kept(self, before: Shard, after: Shard) -> None:
        kept = after.earlier_ms >= before.earlier_ms
        self.report.require(kept, "ledger", f"shard {after.index}: earlier work shrank to {after.earlier_ms} ms")

    def _told(self, after: Shard, write: TableWrite) -> None:
        """Whoever commits says what the shard took; without it nobody knows its cost, nor what the next ones need."""
        if write.call is not None and write.call.intent == "commit":
            told = after.usage is not None and after.usage.session == after.owner
            self.report.require(told, "ledger", f"shard {after.index} was committed without its usage")

    def _class(self, before: Shard | None, after: Shard) -> None:
        """It follows from the interruptions alone, and never goes back."""
        limit, on_demand = self.world.options.class_changes_at, after.capacity_class is CapacityClass.ON_DEMAND
        require = self.report.require
        require(on_demand or after.interruptions < limit, "class", f"{after} goes on waiting for Spot")
        require(not on_demand or after.interruptions >= limit - 1, "class", f"{after} was left to on-demand too early")
        went_back = before is not None and before.capacity_class is CapacityClass.ON_DEMAND and not on_demand
        require(not went_back, "class", f"{after} waits for Spot again")

    def _author(self, before: Shard | None, after: Shard, write: TableWrite) -> None:
        """I3, from what the writer believed, whatever condition it sent along."""
        if write.call is None:
            return
        values: Item = write.call.parameters.get("ExpressionAttributeValues", {})
        name = f"shard {after.index}: {write.call.intent} by {write.call.process.name}"
        require = self.report.require
        if write.call.intent in OWNER_ONLY or ":token" in values:
            owner, token = values.get(":owner", {}).get("S"), int(values.get(":token", {}).get("N", -1))
            held = before is not None and before.state is ShardState.LEASED
            mine = held and before is not None and (before.owner, before.fencing_token) == (owner, token)
            require(mine, "I3", f"{name} was accepted, but {before} was not its own")
        elif ":seen" in values:
            fresh = before is not None and before.fencing_token == int(values[":seen"]["N"])
            require(fresh, "I2", f"{name} with a stale token")
        elif ":owner" in values:
            theirs = before is not None and before.owner == values[":owner"]["S"]
            require(theirs, "I3", f"{name} took the lease of somebody else than it named")

    def _shape(self, after: Shard, item: Item) -> None:
        claimable = after.state is ShardState.READY or after.reclaim_at is not None
        listed = "claimable_pk" in item and "claimable_at" in item
        self.report.require(listed == claimable, "I10", f"{after}: claimable {claimable}, in the index {listed}")
        if after.state is ShardState.LEASED and after.reclaim_at is not None:
            due = after.claimable_at == after.reclaim_at
            self.report.require(due, "I10", f"{after}: drained, but not claimable when its host is gone")
        owned = after.state in (ShardState.LEASED, ShardState.DONE)
        self.report.require((after.owner is not None) == owned, "I3", f"{after}: owner and state do not agree")
        if after.state is ShardState.QUARANTINED:
            options = self.world.options
            hopeless = (after.last_error or "").startswith(HOPELESS)
            earned = hopeless or after.failures >= options.failures_max or after.losses >= options.losses_max
            self.report.require(earned, "I8", f"{after} was quarantined too early")
