"""I1 and I10 on workers: each recognises its own commit, and none leaves for good while work is left."""

from typing import Any

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import shard_from_item
from simulation.faults.calls import Call
from simulation.worker import KIND
from simulation.workload import OUTPUT_PREFIX
from spotproof import contract
from spotproof.leases.model import Run, RunState

GOING_ON = frozenset({"hold", "take ticket", "claimable shards", "end session"})


class WorkerCheck(Check):
    """Follows what a worker does after its commit took effect, and with which code it ends."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._owes: dict[str, int] = {}  # process -> shard that it committed and has not begun to publish
        self._sessions: dict[str, str] = {}  # process -> session id
        self._went_back = False  # the table was restored: what a worker saw is not what is stored

    def restored(self) -> None:
        self._went_back = True
        self._owes.clear()

    def wrote(self, write: TableWrite) -> None:
        if write.call is None or write.new is None:
            return
        if write.call.intent == "commit":
            self._owes[write.call.process.name] = shard_from_item(write.new).index
        elif write.call.intent == "session":
            self._sessions[write.call.process.name] = write.sort

    def calling(self, call: Call) -> None:
        name = call.process.name
        if name not in self._owes or self._went_back:
            return
        key = str(call.parameters.get("Key") or call.parameters.get("Prefix") or "")
        if key.startswith((OUTPUT_PREFIX, contract.STAGING_PREFIX)) or call.intent == "release":
            del self._owes[name]  # it publishes; or no answer came at all, and it hands back what it believes to hold
        elif self.world.book.struck["K6 newer row", "world"]:
            del self._owes[name]  # it may have seen its row in a newer version, which it does not read
        elif call.intent in GOING_ON:
            self.report.broken("I1", f"{name} took its own commit of shard {self._owes.pop(name)} for somebody else's")

    def exited(self, process: Any) -> None:
        if process.kind != KIND or process.exit_code != contract.EXIT_DONE or self._went_back:
            return
        run: Run | None = self.world.run
        if run is None or run.state is not RunState.RUNNING:
            return
        open_stripes = run.stripes - len(run.closed)
        spare = len(run.exhausted) == run.stripes and run.carer not in (None, self._sessions.get(process.name))
        words = f"{process.name} left for good with {open_stripes} stripes open, and {run.carer} in charge"
        self.report.require(spare or not open_stripes, "I10", words)
