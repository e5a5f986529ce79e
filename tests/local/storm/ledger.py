"""The storm's ledger: every blow and trouble that really took place."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from demo.snapshot import Working
from tests.local.storm.plan import Blow, Step, Trouble

HOLDING: Final = (Blow.FREEZE, Blow.MEMORY, Blow.DISK)  # the worker lives on with what was done to it
TOLD: Final = (Blow.NOTICE, Blow.TERMINATE)  # the worker hears of it in advance
# What counts as an event on a real process; the notice is counted apart.
PROCESS_EVENTS: Final = (Blow.KILL, Blow.TERMINATE, Blow.FREEZE, Blow.MEMORY, Blow.DISK)


@dataclass(slots=True, kw_only=True)
class Dealt:
    """A blow that was dealt. Times: seconds since 1970."""

    step: Step
    at: float
    victim: Working
    pid: int
    over_at: float | None = None  # FREEZE: when the worker was let go on; MEMORY, DISK: when its process was gone
    window_s: float | None = None  # NOTICE: real seconds until the reclaim
    commit_refused: bool | None = None  # FREEZE: whether the table refused the commit under the zombie's lease
    cut_short: bool = False  # the account went down before the blow had its effect

    @property
    def under_way(self) -> bool:
        """Whether the worker is frozen, or still there without memory or disk."""
        return self.step.blow in HOLDING and self.over_at is None


@dataclass(slots=True, kw_only=True)
class TroubleSeen:
    """The account's trouble."""

    trouble: Trouble
    at: float
    what: str  # the function, or the server's process
    effects: int  # failed invocations, or workers that were alive
    over_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What one run went through."""

    run_id: str
    seed: int
    blows: list[Dealt] = field(default_factory=list)
    troubles: list[TroubleSeen] = field(default_factory=list)
    submissions: int = 0  # how often workers were submitted, the first time included


def process_events(ledgers: Iterable[Ledger]) -> Counter[Blow]:
    """How many events of each kind took place."""
    return Counter(dealt.step.blow for ledger in ledgers for dealt in ledger.blows)
