"""What can happen to an invocation: drawn when it begins, striking at one of its calls or just before it answers."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulation.faults.book import FaultBook

CALLS_MAX: Final = 24  # invocations that make fewer calls meet their mishap at the end
LIVES_ON_S_MAX: Final = 200.0  # longer than both of Lambda's delays before a retry


class MishapKind(StrEnum):
    """Names begin with the catalogue's id."""

    TIMED_OUT = "L1"  # hangs until the service kills it
    LIVES_ON = "L2"  # hangs, is given up and retried, and then goes on
    OUT_OF_MEMORY = "L8"  # killed at once


@dataclass(slots=True)
class Mishap:
    """Strikes at the call that brings `calls_left` to nothing."""

    kind: MishapKind
    calls_left: int
    lives_on_s: float = 0.0  # after the time-out


def draw_mishap(faults: FaultBook, rng: random.Random, site: str) -> Mishap | None:
    """At most one per invocation."""
    for kind in MishapKind:
        if faults.strikes(kind.value, site):
            draw = rng.random()
            return Mishap(kind, 1 + int(CALLS_MAX * draw * draw), LIVES_ON_S_MAX * rng.random())
    return None
