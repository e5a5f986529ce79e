"""A paused run leases nothing new, beyond the claims that were under way."""

from typing import Final

from simulation.checks.base import Check, Item, TableWrite
from simulation.checks.parsed import run_from_item, shard_from_item
from simulation.faults.calls import Call
from spotproof import contract
from spotproof.leases.model import Run, RunState, ShardState

CLAIMS: Final = frozenset({"claim ready", "claim drained", "shard"})  # "shard": the row of one that was never leased
UNDER_WAY_S: Final = 150.0  # without faults: a round of the controller, a heartbeat, and the requests between


class OrderCheck(Check):
    """Knows which worker has read that the run is paused; sessions that are told so have their own check (I11)."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._paused_at: int | None = None  # microseconds; None while it is not paused
        self._asked_paused: set[int] = set()  # reads of the run that began while it was paused, by call number
        self._knows: set[str] = set()  # processes

    def restored(self) -> None:
        run: Run | None = self.world.run
        paused = run is not None and run.state is RunState.PAUSED
        self._paused_at = self.world.scheduler.now if paused else None
        self._knows.clear()
        self._asked_paused.clear()

    def wrote(self, write: TableWrite) -> None:
        if write.new is None:
            return
        if write.sort == contract.RUN_SK and write.partition == contract.run_pk(self.world.run_id):
            self._run(run_from_item(write.new))
        elif self._paused_at is not None and write.call is not None and self._is_claim(write.new, write.call):
            self._claimed(write.call)

    def calling(self, call: Call) -> None:
        if self._paused_at is not None and call.operation == "get_item" and call.intent == "run":
            self._asked_paused.add(call.number)

    def answered_call(self, call: Call) -> None:
        if call.operation == "get_item" and call.intent == "run":
            self._knows.discard(call.process.name)
            if call.number in self._asked_paused and self._paused_at is not None:
                self._knows.add(call.process.name)

    def _is_claim(self, row: Item, call: Call) -> bool:
        """A hole that a controller fills is leased by nobody."""
        return call.intent in CLAIMS and shard_from_item(row).state is ShardState.LEASED

    def _run(self, run: Run) -> None:
        if run.state is not RunState.PAUSED:
            self._paused_at = None
            self._knows.clear()
            self._asked_paused.clear()
        elif self._paused_at is None:
            self._paused_at = self.report.now

    def _claimed(self, call: Call) -> None:
        name, require = call.process.name, self.report.require
        require(call.is_duplicate or name not in self._knows, "pause", f"{name} knows of the pause: {call.intent}")
        assert self._paused_at is not None, "asked for by the caller"
        since_s = (self.report.now - max(self._paused_at, self._quiet_from())) / 1e6
        require(since_s <= UNDER_WAY_S, "pause", f"{name} leases {since_s:.0f} s after the run was paused")

    def _quiet_from(self) -> int:
        """When the last fault was over, microseconds; never before peace."""
        return int((self.world.scenario.peace_s + self.world.scenario.pause_s) * 1e6)
