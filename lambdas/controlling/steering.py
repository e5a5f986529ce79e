"""Everything about workers that is more than one run's: the look, runs that can't begin, workers that wait."""

from dataclasses import dataclass

from lambdas.controlling.beginnings import Beginnings
from lambdas.controlling.capacity import Capacity
from lambdas.controlling.look import Look, Lookout
from lambdas.controlling.round import RESERVE_S, Round
from lambdas.controlling.unbegun import UnbegunRuns
from lambdas.controlling.waits import Waits
from lambdas.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The parts that decide about capacity."""

    lookout: Lookout
    capacity: Capacity
    beginnings: Beginnings
    unbegun: UnbegunRuns
    waits: Waits

    def tend_waiting(self, look: Look, done: Round, *, deadline: float, telemetry: Telemetry) -> None:
        """Runs that can't begin get a worker, and are measured; all that wait are explained."""
        self.beginnings.tend_all(look, done, deadline=deadline, telemetry=telemetry)
        self.unbegun.measure(look, done, deadline=deadline)
        if deadline - self.lookout.clock.monotonic() >= RESERVE_S:
            self.waits.explain_queues(done, now_ms=look.now_ms, telemetry=telemetry)
