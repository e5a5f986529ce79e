"""I1 and I10 on workers: each recognises its own commit, and none leaves for good while work is left."""

from typing import Any

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import run_from_item, session_from_item, shard_from_item
from simulation.faults.calls import Call
from simulation.worker import KIND
from simulation.workload import OUTPUT_PREFIX
from spotproof import contract
from spotproof.leases.model import Run, RunState, SessionId, StopKind
from spotproof.leases.sizing import session_bucket

HANDED_BACK = frozenset({"release", "release to on-demand"})
GOING_ON = frozenset({"hold", "take ticket", "claimable shards", "end session"})


class WorkerCheck(Check):
    """Follows what a worker does after its commit took effect, and with which code it ends."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._owes: dict[str, int] = {}  # process -> shard that it committed and has not begun to publish
        self._sessions: dict[str, SessionId] = {}  # by process
        self._went_back = False  # the table was restored: what a worker saw is not what is stored
        self._was_paused = False  # the run, once

    def restored(self) -> None:
        self._went_back = True
        self._owes.clear()

    def wrote(self, write: TableWrite) -> None:
        if write.call is None or write.new is None:
            return
        if write.sort == contract.RUN_SK:
            self._was_paused = self._was_paused or run_from_item(write.new).state is RunState.PAUSED
        if write.call.intent == "commit":
            self._owes[write.call.process.name] = shard_from_item(write.new).index
        elif write.call.intent == "session":
            self._sessions[write.call.process.name] = SessionId(write.sort)

    def calling(self, call: Call) -> None:
        name = call.process.name
        if name not in self._owes or self._went_back:
            return
        key = str(call.parameters.get("Key") or call.parameters.get("Prefix") or "")
        if key.startswith((OUTPUT_PREFIX, contract.STAGING_PREFIX)) or call.intent in HANDED_BACK:
            del self._owes[name]  # it publishes; or no answer came at all, and it hands back what it believes to hold
        elif self.world.book.struck["K6 newer row", "world"]:
            del self._owes[name]  # it may have seen its row in a newer version, which it does not read
        elif call.intent in GOING_ON:
            self.report.broken("I1", f"{name} took its own commit of shard {self._owes.pop(name)} for somebody else's")

    def _is_sent_away(self, process: str, run: Run) -> bool:
        """By a stop of its session; or it came while the run was paused, and somebody resumed it since."""
        session = self._sessions.get(process)
        if session is None:
            return self._was_paused
        item = self.world.table.item(
            (contract.sessions_pk(run.run_id, session_bucket(session, run.session_buckets)), session)
        )
        stop = None if item is None else session_from_item(item).stop
        return stop is not None and stop.kind in (StopKind.PAUSED, StopKind.RETIRED)

    def exited(self, process: Any) -> None:
        if process.kind != KIND or process.exit_code != contract.EXIT_DONE or self._went_back:
            return
        run: Run | None = self.world.run
        if run is None or run.state is not RunState.RUNNING:
            return
        open_stripes = run.stripes - len(run.closed)
        if self._is_sent_away(process.name, run):
            return
        spare = len(run.exhausted) == run.stripes and run.carer not in (None, self._sessions.get(process.name))
        words = f"{process.name} left for good with {open_stripes} stripes open, and {run.carer} in charge"
        self.report.require(spare or not open_stripes, "I10", words)
