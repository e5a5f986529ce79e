"""What a checker sees, and how it reports."""

from dataclasses import dataclass, field
from typing import Any

from simulation.faults.calls import Call

Item = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken, in words."""

    invariant: str  # "I3", "ledger", "liveness", ...
    words: str
    moment: int  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TableWrite:
    """A write at the moment of its effect. `call` is None when nobody inside the world made it."""

    partition: str
    sort: str
    old: Item | None
    new: Item | None
    call: Call | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """An object's bytes before and after; None: there was, or is, none."""

    bucket: str
    key: str
    old: bytes | None
    new: bytes | None
    call: Call | None


@dataclass(slots=True)
class Report:
    """Where checkers report; the world ends at the first violation."""

    violations: list[Violation] = field(default_factory=list)
    now: int = 0  # kept by the world

    def broken(self, invariant: str, words: str) -> None:
        self.violations.append(Violation(invariant=invariant, words=words, moment=self.now))

    def require(self, holds: bool, invariant: str, words: str) -> None:
        if not holds:
            self.broken(invariant, words)


class Check:
    """One checker; overrides what it needs. `world` is a simulation.world.World."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.report: Report = world.report

    def wrote(self, write: TableWrite) -> None:
        """After every effective write to the table."""

    def changed(self, change: ObjectChange) -> None:
        """After every effective change of an object."""

    def restored(self) -> None:
        """The table went back to an earlier moment: what was remembered of it is void."""

    def calling(self, call: Call) -> None:
        """Before every AWS call."""

    def answered_call(self, call: Call) -> None:
        """After every AWS call whose answer, no refusal, reached the process that made it."""

    def reached_safe_point(self, process: Any) -> None:
        """When the user's function in a worker is about to yield."""

    def exited(self, process: Any) -> None:
        """After the end of a worker (simulation.kernel.process.Process), whatever ended it."""

    def ended(self) -> None:
        """Once, when the run has ended and the world is at rest."""
