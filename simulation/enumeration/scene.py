"""The part of a small world in which pairs of faults strike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lambdas.finalizer import SERVICE as FINALIZER
from simulation.enumeration.small_worlds import SmallWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """From call number `begin` on; without the finalizer's calls unless they belong to it.

    What lies before is the same in every world that has one worker, or two, up to there: one world has it as its scene.
    """

    begin: int
    with_finalizer: bool

    def has(self, number: int, site: str) -> bool:
        return number >= self.begin and (self.with_finalizer or not site.startswith(FINALIZER))


WHOLE: Final = Scene(begin=1, with_finalizer=True)


def scene_of(small: SmallWorld, sites: Sequence[str]) -> Scene:
    """`sites`: of the undisturbed world's calls."""
    begin = sites.index(small.since) + 1 if small.since else 1
    return Scene(begin=begin, with_finalizer=small.with_finalizer)
