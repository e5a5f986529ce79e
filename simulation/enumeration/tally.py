"""What an enumeration of one small world came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.enumeration.units import Broken, Findings


@dataclass(slots=True, kw_only=True)
class Tally:
    """Added up over the world's units."""

    world: str
    calls: int  # of the undisturbed world
    scene_begins: int  # call number
    singles: int = 0
    pairs: int = 0  # played
    pairs_all: int = 0  # of the scene
    pairs_whole: int = 0  # that there are, whatever the scene
    reached: set[str] = field(default_factory=set)
    broken: list[Broken] = field(default_factory=list)

    def add(self, found: Findings) -> None:
        self.singles += 1
        self.pairs += found.pairs
        self.pairs_all += found.pairs_all
        self.pairs_whole += found.pairs_whole
        self.reached |= found.reached
        self.broken += found.broken

    def words(self) -> str:
        """One line."""
        return (
            f"{self.world:<12} {self.calls:4} calls, {len(self.reached):3} sites, {self.singles:4} singles, "
            f"{self.pairs:6} of {self.pairs_all:6} pairs played, {len(self.broken)} broken"
        )

    def facts(self) -> Mapping[str, Any]:
        """For a file of results."""
        return {
            "calls": self.calls,
            "scene_begins_at_call": self.scene_begins,
            "sites_reached": len(self.reached),
            "singles": self.singles,
            "pairs_played": self.pairs,
            "pairs_of_the_scene": self.pairs_all,
            "pairs_of_the_whole_world": self.pairs_whole,
            "violations": len(self.broken),
        }
