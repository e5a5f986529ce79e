"""Many seeds: spread over processes, added up, stopped by none of them alone."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from simulation.outcome import Outcome
from simulation.scratch import scratch_kept

SCENARIO: Final = "scenario"  # the site of what a world has from its beginning
DECISION: Final = "decision"  # the site of what the product decided: no fault, but counted like one
CHUNK: Final = 25  # seeds handed to a process at once


@dataclass(slots=True)
class Tally:
    """What a campaign came to."""

    seeds: int = 0
    calls: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)  # (fault, site) -> times
    sites: Counter[str] = field(default_factory=Counter)  # AWS call sites -> calls
    failures: list[Outcome] = field(default_factory=list)
    digests: list[tuple[int, str]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.calls += outcome.calls
        self.steps += outcome.steps
        self.virtual_s += outcome.virtual_s
        self.struck.update(outcome.struck)
        self.sites.update(outcome.sites)
        self.digests.append((outcome.seed, outcome.digest))
        if outcome.violations:
            self.failures.append(outcome)

    @property
    def faults_per_job(self) -> float:
        """What struck in the course of a job; what a world is like from its beginning, and what was decided, does not count."""
        return sum(times for (_, site), times in self.struck.items() if site not in (SCENARIO, DECISION)) / max(
            1, self.seeds
        )


def run_seeds(
    seeds: Iterable[int], *, run: Callable[[int], Outcome], processes: int | None = None
) -> Iterator[Outcome]:
    """The outcome of each seed, in order; `run` must be importable by name."""
    workers = processes or os.cpu_count() or 1
    if workers == 1:
        yield from map(run, seeds)
        return
    # Not multiprocessing.Pool: ended by an error, it may wait for its own task thread for ever.
    fork = multiprocessing.get_context("fork")
    with scratch_kept(), ProcessPoolExecutor(workers, mp_context=fork) as pool:
        yield from pool.map(run, seeds, chunksize=CHUNK)
