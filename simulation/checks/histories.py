"""Histories: every capacity decision has its reason on record, once."""

from typing import Any, Final

from simulation.checks.base import Check, TableWrite
from simulation.faults.calls import Call
from spotproof import contract
from spotproof.leases.history_items import history_from_item
from spotproof.leases.model import RunState

ADDED: Final = "on-demand added"
PAUSED: Final = "paused"
BEGINS: Final = "runs by activity"  # the controller's round
SLOT_MS_MAX: Final = 90_000  # of the slots of time in which two controllers decide one thing once


class HistoryCheck(Check):
    """Follows what controllers decide, and what they note.

    What a fault keeps from being noted is noted by the next round that finds it so; without faults the deed's own round
    does it.
    """

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._owes: dict[str, str] = {}  # controller process -> the deed that it has not tried to note yet
        self._jobs: set[str] = set()  # Batch jobs that an entry names
        self.entries = 0

    def restored(self) -> None:
        self._owes.clear()
        self._jobs.clear()

    def wrote(self, write: TableWrite) -> None:
        if write.new is None or write.call is None:
            return
        if write.partition == contract.history_pk(self.world.run_id):
            self._noted(write)
        elif write.call.process.kind == "controller" and self.world.book.at_peace:
            deed = self._deed(write)
            if deed:
                self._owes[write.call.process.name] = deed

    def calling(self, call: Call) -> None:
        if call.intent == "history":
            self._owes.pop(call.process.name, None)
        elif call.intent == BEGINS and call.process.name in self._owes:
            deed = self._owes.pop(call.process.name)
            self.report.broken("history", f"{call.process.name} begins another round and has not noted: {deed}")

    def _deed(self, write: TableWrite) -> str:
        """What has to be noted; empty if nothing."""
        new: dict[str, Any] = write.new or {}
        if write.sort.startswith("KEY#fallback") and "job_id" in new and "job_id" not in (write.old or {}):
            return f"{write.sort} gave {new['job_id']['S']}"
        was = (write.old or {}).get("state")
        if write.sort == contract.RUN_SK and new["state"] == {"S": RunState.PAUSED.value} and was != new["state"]:
            return "the pause"
        return ""

    def _noted(self, write: TableWrite) -> None:
        assert write.new is not None, "asked for by the caller"
        entry, require = history_from_item(write.new), self.report.require
        require(write.old is None, "history", f"the entry {entry.key} was written twice")
        require(bool(entry.reason.strip()), "history", f"the entry {entry.key} has no reason")
        ahead_ms = entry.at - int(entry.key.partition("/")[0])  # keys name the slot of time that deciders share
        require(0 <= ahead_ms <= SLOT_MS_MAX, "history", f"the entry {entry.key} does not sort by its time {entry.at}")
        self.entries += 1
        cause = entry.facts.get("cause", "")
        self.world.decided(f"{entry.kind}: {cause}" if cause else entry.kind)
        job = entry.facts.get("batch_job_id", "")
        if entry.kind == ADDED and job:
            require(job not in self._jobs, "history", f"the addition of {job} was noted twice")
            self._jobs.add(job)
