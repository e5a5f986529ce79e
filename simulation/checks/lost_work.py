"""I9 and the ledger on time: what was lost is booked as redone, and no more is at risk than an interval."""

import math
from dataclasses import dataclass, field
from typing import Any

from simulation.checks.base import Check, TableWrite
from simulation.checks.generations import GenerationCheck
from simulation.checks.parsed import shard_from_item
from simulation.checks.progress import ProgressCheck
from simulation.faults.calls import Call
from simulation.workload import Diary
from spotproof.checkpoints.policy import CAP_S
from spotproof.checkpoints.presets import plan_saves

ROUNDING_MS = 5
QUIET_AFTER_S = 30.0  # after peace: requests that were under way have ended
SAVING_S = 5.0  # a save without faults takes a fraction of it; the policy waits for twenty times its cost


@dataclass(slots=True)
class Stretch:
    """One lease's work in one process. Times: seconds of its monotonic clock."""

    shard: int
    began_s: float
    first_batch_s: float = 0.0  # how long it took: all of it inside the user's function
    last_s: float = 0.0
    safe_s: float = 0.0  # when it stood where it is known to be durable
    saved: bool = False
    is_quiet: bool = False  # no fault made saving expensive any more when it stood there
    points: dict[int, tuple[float, bool]] = field(
        default_factory=dict
    )  # position -> when it was there, and whether all was quiet


class LostWorkCheck(Check):
    """Times the job itself, and compares with what workers book and save."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._now: dict[str, Stretch] = {}  # process -> what it works on
        plan = plan_saves(world.options)  # type: ignore[attr-defined]
        self._interval_s = math.inf if not plan.saves else plan.interval_s or CAP_S
        self._lost_s: dict[str, float] = {}  # process -> at least so much of its work came to nothing

    def diary(self, process: Any, other: Diary) -> "TimedDiary":
        return TimedDiary(self, process, other)

    def wrote(self, write: TableWrite) -> None:
        if write.call is None or write.new is None or write.call.intent not in ("record checkpoint", "commit"):
            return
        stretch = self._now.get(write.call.process.name)
        if stretch is None or stretch.shard != shard_from_item(write.new).index:
            return
        stretch.saved = True
        if write.call.intent == "record checkpoint":
            # It saved behind the job's back what it had at an earlier safe point; among faults that was expensive.
            stretch.safe_s, stretch.is_quiet = stretch.points.get(self._position(write), (stretch.safe_s, False))

    def calling(self, call: Call) -> None:
        if call.intent != "end session":
            return
        name = call.process.name
        self._close(name)
        values = call.parameters["ExpressionAttributeValues"]
        lost_ms, booked_ms = self._lost_s.pop(name, 0.0) * 1000, int(values[":redone_ms"]["N"])
        enough = booked_ms >= lost_ms - ROUNDING_MS
        self.report.require(enough, "ledger", f"{name} lost {lost_ms:.0f} ms of work and booked {booked_ms} ms of it")

    def began(self, process: Any, shard: int) -> None:
        self._close(process.name)
        now_s = process.clock.monotonic()
        self._now[process.name] = Stretch(
            shard=shard, began_s=now_s, last_s=now_s, safe_s=now_s, is_quiet=self._is_quiet()
        )

    def stood_at(self, process: Any, position: int) -> None:
        """The process is about to reach a safe point with so many records folded."""
        self._now[process.name].points[position] = (process.clock.monotonic(), self._is_quiet())

    def reached_safe_point(self, process: Any) -> None:
        stretch = self._now[process.name]
        now_s = process.clock.monotonic()
        batch_s, stretch.last_s = now_s - stretch.last_s, now_s
        if not stretch.first_batch_s:
            stretch.first_batch_s = batch_s
        if stretch.is_quiet and self.world.checks[ProgressCheck].holds(process.name, stretch.shard):
            allowed_s = max(self._interval_s, SAVING_S) + 2 * batch_s + SAVING_S
            at_risk_s = now_s - stretch.safe_s
            words = f"{process.name} has {at_risk_s:.1f} s of work at risk, {allowed_s:.1f} s are allowed"
            self.report.require(at_risk_s <= allowed_s, "I9", words)

    def _position(self, write: TableWrite) -> int:
        """Of the checkpoint that the row names now."""
        pointer = shard_from_item(write.new).checkpoint
        saved = None if pointer is None else self.world.checks[GenerationCheck].generation(pointer.manifest_key)
        return -1 if saved is None else saved.position

    def _is_quiet(self) -> bool:
        return bool(self.world.scheduler.now / 1e6 > self.world.scenario.peace_s + QUIET_AFTER_S)

    def _close(self, process: str) -> None:
        """The process goes on to another lease, or ends: what it neither saved nor committed is lost."""
        stretch = self._now.pop(process, None)
        if stretch is not None and not stretch.saved:
            self._lost_s[process] = self._lost_s.get(process, 0.0) + stretch.first_batch_s


class TimedDiary:
    """simulation.workload.Diary of one worker process, for two checkers."""

    def __init__(self, check: LostWorkCheck, process: Any, other: Diary) -> None:
        self._check = check
        self._process = process
        self._other = other

    def began(self, shard: int, position: int, digest: int) -> None:
        self._check.began(self._process, shard)
        self._other.began(shard, position, digest)

    def folded(self, shard: int, records: int, position: int, digest: int) -> None:
        self._check.stood_at(self._process, position)
        for check in self._check.world.checks.values():
            check.reached_safe_point(self._process)
        self._other.folded(shard, records, position, digest)

    def returned(self, shard: int) -> None:
        self._other.returned(shard)
