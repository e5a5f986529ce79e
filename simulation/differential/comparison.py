"""One seed on two data planes: what differed, and how much was asked."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Final

from simulation.differential.contents import differing_contents
from simulation.differential.scenarios import comparable_scenario
from simulation.differential.twin import Asked, DataPlane, attach
from simulation.outcome import Outcome
from simulation.world import World, silence

MODEST: Final = range(60, 200)  # requests to the data plane of a world worth comparing in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of a seed. `problems`: in words; empty if both sides agreed in everything."""

    seed: int
    problems: tuple[str, ...]
    asked: Counter[Asked]  # (service, operation, what was answered) -> times
    faults: int


def compare(seed: int, plane: DataPlane) -> Comparison:
    """Play the seed on the simulated data plane alone, then on both, and compare answers, traces and contents."""
    alone = World(comparable_scenario(seed))
    outcome = _played(alone)
    both = World(comparable_scenario(seed))
    asked = attach(both, plane)
    problems = [f"{each.invariant}: {each.words}" for each in (*outcome.violations, *_played(both).violations)]
    if not problems:
        problems = [*_differing_traces(alone, both), *differing_contents(both, plane)]
    return Comparison(seed=seed, problems=tuple(problems), asked=asked, faults=sum(outcome.struck.values()))


@lru_cache
def modest_seeds(number: int) -> tuple[int, ...]:
    """The first so many seeds whose worlds are neither trivial nor long."""
    return tuple(islice((seed for seed in count(1) if _requests(seed) in MODEST), number))


def _requests(seed: int) -> int:
    """To table and buckets; found by playing the seed."""
    sites = _played(World(comparable_scenario(seed))).sites
    return sum(calls for site, calls in sites.items() if site.split(" ")[1].startswith(("dynamodb.", "s3.")))


def _played(world: World) -> Outcome:
    silence()
    return world.run_to_end()


def _differing_traces(alone: World, both: World) -> list[str]:
    if alone.trace.digest() == both.trace.digest():
        return []
    for mine, theirs in zip(alone.trace, both.trace, strict=False):
        if mine != theirs:
            return [f"the traces part: alone {mine.words()!r}, with the other side {theirs.words()!r}"]
    return [f"one trace is longer: {len(alone.trace)} and {len(both.trace)} events"]
