"""What the adversary does: a schedule that a seed fixes, and which target each step takes."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from demo.snapshot import Snapshot, Working


class Kind(StrEnum):
    NOTICE = "notice"  # the full sequence: notice, two minutes, reclaim
    KILL = "kill"  # the instance is gone at once, nobody was told
    REBALANCE = "rebalance"  # a recommendation, and nothing happens
    PAUSE = "pause"  # a worker is stopped beyond its session's end, and then goes on


class Delivery(StrEnum):
    """What happens to the notice's event on its way to the Lambda."""

    ONCE = "once"
    TWICE = "twice"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One disturbance. It waits until the run has moved on by `gap` safe points since the step before."""

    kind: Kind
    gap: int
    pick: float  # in [0, 1): which of the possible targets
    delivery: Delivery = Delivery.ONCE


STEPS: Final = {Kind.NOTICE: 3, Kind.KILL: 2, Kind.REBALANCE: 1, Kind.PAUSE: 1}
GAPS: Final = (2, 7)
SHARDS_PER_STEP: Final = 1.2


def plan_steps(seed: int) -> tuple[Step, ...]:
    """The schedule of a seed: always the same steps for the same seed, and every kind as often as STEPS says.

    The pause comes first of all, because its worker must stay away until its session has run out.
    """
    rng = random.Random(seed)
    kinds = [kind for kind, count in STEPS.items() for _ in range(count) if kind is not Kind.PAUSE]
    rng.shuffle(kinds)
    deliveries = [Delivery.ONCE, Delivery.TWICE, Delivery.LOST]
    rng.shuffle(deliveries)
    return tuple(
        Step(
            kind=kind,
            gap=rng.randint(*GAPS),
            pick=rng.random(),
            delivery=deliveries.pop() if kind is Kind.NOTICE else Delivery.ONCE,
        )
        for kind in (Kind.PAUSE, *kinds)
    )


def is_urgent(snapshot: Snapshot, *, steps_left: int) -> bool:
    """Whether the run nears its end faster than the schedule: then nothing waits for more progress."""
    return snapshot.open <= SHARDS_PER_STEP * steps_left


def choose_target(step: Step, snapshot: Snapshot, *, spared: Collection[str], urgent: bool = False) -> Working | None:
    """The working session that the step hits, None while there is none worth hitting.

    Sessions with a saved checkpoint are taken: there must be progress to lose, and a notice to a worker that
    has done nothing shows nothing. Only when it is urgent, any working session will do. A session that does not know
    its instance can't be told from the others there.

    Args:
        spared: instances that were hit before, or must be left alone.
    """
    possible = [each for each in snapshot.working if each.instance_id not in ("", *spared)]
    worthwhile = [each for each in possible if each.checkpoints >= 1]
    chosen = sorted(worthwhile or (possible if urgent else ()), key=lambda each: each.shard)
    return chosen[int(step.pick * len(chosen))] if chosen else None


def is_due(step: Step, snapshot: Snapshot, *, progress_before: int) -> bool:
    """Whether the run has moved on far enough since the step before."""
    return snapshot.progress >= progress_before + step.gap
