"""I9 on stops: a worker that was told to let go does so at its next safe point, or finishes well before its deadline."""

from dataclasses import dataclass
from typing import Any

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import session_from_item
from simulation.faults.calls import Call
from spotproof.checkpoints.budget import RESERVE_SHARE
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Stop, StopKind


@dataclass(slots=True)
class Told:
    """What a process knows of the stop of its session."""

    stop: Stop
    told_ms: (
        int  # by its own clock, as all that follows; at that very moment the thread that heard it may still be alone
    )
    let_go_ms: float | None = None  # a safe point from then on is its last
    last: bool = False  # it has reached that safe point


class StopCheck(Check):
    """Hears the answers that sessions get, and the safe points that follow."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._told: dict[str, Told] = {}  # process ->
        self._answers: dict[str, Any] = {}  # process -> the item that its last heartbeat left, and is answered with

    def wrote(self, write: TableWrite) -> None:
        if write.call is not None and write.call.intent == "heartbeat":
            self._answers[write.call.process.name] = write.new

    def answered_call(self, call: Call) -> None:
        """What was written between a heartbeat and its answer is in the next one (seed 4486)."""
        if call.intent != "heartbeat" or call.process.name in self._told:
            return
        key = call.parameters["Key"]
        item = self._answers.pop(call.process.name, None) or self.world.table.item((key["pk"]["S"], key["sk"]["S"]))
        stop = None if item is None else session_from_item(item).stop
        if stop is not None and stop.kind is not StopKind.RETIRED:  # who is retired ends its shard in peace
            now_ms = to_epoch_ms(call.process.clock.now())
            self._told[call.process.name] = Told(stop=stop, told_ms=now_ms)

    def reached_safe_point(self, process: Any) -> None:
        told, now_ms = self._told.get(process.name), to_epoch_ms(process.clock.now())
        if told is None or now_ms == told.told_ms:
            return
        words = f"{process.name} goes on although it was told of {told.stop}"
        self.report.require(not told.last, "I9", words)
        if told.let_go_ms is None:
            deadline = told.stop.deadline
            told.let_go_ms = now_ms if deadline is None else deadline - (deadline - now_ms) * RESERVE_SHARE
        told.last = now_ms >= told.let_go_ms
