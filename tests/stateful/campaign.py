"""Runs one state machine over many histories and counts what happened in them."""

import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

STEPS: Final = 50
LONG_RUN: Final = 1000  # examples


class CountedMachine(RuleBasedStateMachine):
    """A machine that notes what its histories reached, so that a rule which never bites is found."""

    happened: ClassVar[Counter[str]] = Counter()
    reached: ClassVar[tuple[str, ...]] = ()  # what even the histories of a normal test run must reach
    reached_in_the_long_run: ClassVar[tuple[str, ...]] = ()

    def note(self, what: str) -> None:
        self.happened[what] += 1

    def failing(self) -> bool:
        """Whether a rule has just raised: then the end of the history has nothing to add."""
        return sys.exc_info()[0] is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a number of histories came to."""

    machine: str
    examples: int
    seconds: float  # of this process's CPU
    happened: Counter[str]

    missing: list[str]  # what never happened although it should have


def run_campaign(
    machine: type[CountedMachine], *, examples: int, steps: int = STEPS, first_seed: int | None = None
) -> Campaign:
    """Run the machine; without a seed the histories are the same every time, with one they depend on it.

    Raises:
        AssertionError: an invariant broke; the shortest history that breaks it is in the exception's notes.
    """
    machine.happened = Counter()
    budget = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=first_seed is None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    seeded = machine if first_seed is None else seed(first_seed)(machine)
    logging.disable(logging.WARNING)  # faults by the thousand, each logged, would say nothing
    started = time.process_time()
    try:
        run_state_machine_as_test(seeded, settings=budget)
    finally:
        logging.disable(logging.NOTSET)
    wanted = machine.reached + (machine.reached_in_the_long_run if examples >= LONG_RUN else ())
    return Campaign(
        machine=machine.__name__,
        examples=examples,
        seconds=time.process_time() - started,
        happened=machine.happened,
        missing=[what for what in wanted if not machine.happened[what]],
    )
