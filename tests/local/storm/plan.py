"""What the storm does: a plan that a seed fixes, and whom each blow strikes."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from demo.snapshot import Snapshot, Working


class Blow(StrEnum):
    """What happens to one worker."""

    KILL = "SIGKILL"  # the host is gone at once: SIGKILL to everything on it, nobody is told
    TERMINATE = "SIGTERM"  # the host is scaled in: SIGTERM, and SIGKILL when the grace is over
    FREEZE = "SIGSTOP"  # the worker stands still until it is fenced, then SIGCONT: a zombie
    MEMORY = "out of memory"  # no page more for the worker (RLIMIT_AS), for as long as it lives
    DISK = "disk full"  # every write to its scratch file ends with ENOSPC, for as long as it lives
    NOTICE = "spot notice"  # the notice, the window, the reclaim: SIGKILL to what is left


class Trouble(StrEnum):
    """What happens to the account in the middle of a run."""

    NONE = "none"
    THROTTLED = "function throttled"  # a function has no concurrency for a while
    RAISING = "function raising"  # every invocation of a function raises for a while
    OUTAGE = "account stopped"  # SIGSTOP to the account's server beyond the session's ttl, then SIGCONT
    RESTART = "account killed"  # SIGKILL to the account's server; a new one gets an older table and the objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One blow. It waits until the run has saved or committed `gap` times since the one before."""

    blow: Blow
    gap: int
    pick: float  # in [0, 1): which of the possible victims
    lead_s: float = 120.0  # NOTICE: simulated seconds until the reclaim; less than EC2's two minutes is a late notice


@dataclass(frozen=True, slots=True, kw_only=True)
class StormPlan:
    """The blows of one run in order, and the account's trouble once `trouble_after` of them are dealt."""

    seed: int
    steps: tuple[Step, ...]
    trouble: Trouble
    trouble_after: int
    function: str  # which one is in trouble


MIX: Final[Mapping[Blow, int]] = {
    Blow.KILL: 4,
    Blow.TERMINATE: 2,
    Blow.FREEZE: 2,
    Blow.MEMORY: 1,
    Blow.DISK: 1,
    Blow.NOTICE: 2,
}
GAPS: Final = (1, 2)
LEADS_S: Final = (120.0, 60.0, 45.0)
# Which blows make each function run; the finalizer runs at the end of every run.
FUNCTIONS: Final[Mapping[str, Collection[Blow]]] = {
    "InstanceStateChange": (Blow.KILL, Blow.TERMINATE),
    "SpotInterruption": (Blow.NOTICE,),
    "RunFinished": tuple(Blow),
}


def plan_storm(seed: int, *, trouble: Trouble, mix: Mapping[Blow, int] = MIX) -> StormPlan:
    """The plan of a seed: always the same for the same seed, trouble and mix."""
    rng = random.Random(seed)
    blows = [blow for blow, count in mix.items() for _ in range(count)]
    rng.shuffle(blows)
    steps = tuple(
        Step(blow=blow, gap=rng.randint(*GAPS), pick=rng.random(), lead_s=rng.choice(LEADS_S)) for blow in blows
    )
    trouble_after = rng.randint(2, len(steps) // 2)
    to_come = {step.blow for step in steps[trouble_after:]}
    functions = [name for name, causes in FUNCTIONS.items() if to_come & set(causes)]
    # A finalizer that fails makes a run last a minute longer, until the controller finds it: once in a while is enough.
    function = rng.choices(functions, weights=[1 if name == "RunFinished" else 3 for name in functions])[0]
    return StormPlan(seed=seed, steps=steps, trouble=trouble, trouble_after=trouble_after, function=function)


def choose_victim(step: Step, snapshot: Snapshot, *, spared: Collection[str], urgent: bool) -> Working | None:
    """The working session that the blow strikes; None while there is none worth striking.

    One with a saved checkpoint is taken, because there must be something to lose; when the run nears its end, any.

    Args:
        spared: ids of instances and jobs that were struck and have not come back as others yet.
    """
    possible = [
        each
        for each in snapshot.working
        if each.instance_id and each.instance_id not in spared and each.batch_job_id not in spared
    ]
    worthwhile = [each for each in possible if each.checkpoints >= 1]
    chosen = sorted(worthwhile or (possible if urgent else []), key=lambda each: each.shard)
    return chosen[int(step.pick * len(chosen))] if chosen else None


def is_due(step: Step, snapshot: Snapshot, *, progress_before: int) -> bool:
    """Whether the run has moved on far enough since the blow before."""
    return snapshot.progress >= progress_before + step.gap
