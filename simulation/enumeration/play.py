"""One performance of a small world under one plan of faults."""

import traceback
from dataclasses import dataclass

from simulation.checks.base import Violation
from simulation.enumeration.planned import Plan, PlannedFaults
from simulation.enumeration.script import Script
from simulation.enumeration.small_worlds import SmallWorld
from simulation.kernel.trace import Trace
from simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How it went."""

    sites: tuple[str, ...]  # of calls 1, 2, 3, ...
    violations: tuple[Violation, ...]
    trace: Trace


def play(small: SmallWorld, plan: Plan) -> Play:
    """Run the world to its end, or to the first broken promise. The same plan gives the same trace."""
    faults = PlannedFaults(plan)
    world = World(small.scenario(), call_faults=faults)
    world.gate.observers.append(Script(world, small.cues))
    try:
        violations = world.run_to_end().violations
    except Exception as error:  # of the simulator itself: told like a violation, with its plan
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{error!r} at {place.filename.rpartition('/')[2]}:{place.lineno}"
        violations = (Violation(invariant="simulator", words=words, moment=world.scheduler.now),)
    return Play(sites=tuple(faults.sites), violations=violations, trace=world.trace)
