"""What befalls the hosts and jobs of a small world, told from the calls its processes make."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from simulation.faults.calls import Call
from simulation.kernel.process import Process
from simulation.world import World

Turn = Callable[[World, Process], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Give `turn` to the process that begins the `nth` call at `site`, `after_s` later."""

    site: str
    turn: Turn
    nth: int = 1
    after_s: float = 0.0


class Script:
    """simulation.gate.CallObserver that plays cues; a cue whose call never comes is never played."""

    def __init__(self, world: World, cues: Sequence[Cue]) -> None:
        self._world = world
        self._cues = cues
        self._begun: Counter[str] = Counter()

    def calling(self, call: Call) -> None:
        """A call begins; whether it will fail does not matter."""
        site = call.site
        self._begun[site] += 1
        for cue in self._cues:
            if cue.site == site and cue.nth == self._begun[site]:
                self._world.scheduler.after(cue.after_s, partial(cue.turn, self._world, call.process))

    def answered_call(self, call: Call) -> None:
        """Cues are given when calls begin."""
