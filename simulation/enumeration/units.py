"""The work of an enumeration in units: a first fault, alone and together with every second one."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from simulation.enumeration.planned import Plan, faults_at
from simulation.enumeration.play import Play, play
from simulation.enumeration.scene import Scene
from simulation.enumeration.small_worlds import SMALL_WORLDS
from simulation.faults.calls import CallFault

BROKEN_MAX = 3  # told per unit: one bug breaks many plans


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Every `of`-th pair, from number `part` on (0 to `of` - 1); 0 of 0: none."""

    part: int
    of: int

    def has(self, number: int) -> bool:
        return self.of > 0 and number % self.of == self.part


ALL = Share(part=0, of=1)
NONE = Share(part=0, of=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A first fault in one small world, and which of its pairs to play."""

    world: str
    call: int
    fault: CallFault
    scene: Scene
    share: Share

    @property
    def offset(self) -> int:
        """Where its pairs begin in the round of the shares: anywhere, but always there."""
        return zlib.crc32(f"{self.world} {self.call} {self.fault}".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A plan that broke a promise."""

    world: str
    plan: Plan
    sites: tuple[str, ...]  # of its faults
    invariant: str
    words: str


@dataclass(slots=True, kw_only=True)
class Findings:
    """What one unit came to."""

    unit: Unit
    pairs: int = 0  # played
    pairs_all: int = 0  # of the scene
    pairs_whole: int = 0  # that there are, whatever the scene
    reached: set[str] = field(default_factory=set)  # sites, in the world with the first fault alone
    broken: list[Broken] = field(default_factory=list)


def units_of(world: str, sites: Sequence[str], scene: Scene, share: Share) -> Iterator[Unit]:
    """One for every call of the undisturbed world and every fault."""
    for call, site in enumerate(sites, start=1):
        for fault in faults_at(site):
            yield Unit(world=world, call=call, fault=fault, scene=scene, share=share)


def carry_out(unit: Unit) -> Findings:
    """Play the single, and every second fault at every call that this disturbed world makes afterwards."""
    small, first = SMALL_WORLDS[unit.world], {unit.call: unit.fault}
    alone = play(small, first)
    found = Findings(unit=unit, reached=set(alone.sites))
    _note(found, first, alone)
    if alone.violations:
        return found
    scene = unit.scene
    opened = scene.has(unit.call, alone.sites[unit.call - 1])
    for call, site in enumerate(alone.sites[unit.call :], start=unit.call + 1):
        found.pairs_whole += len(faults_at(site))
        if not opened or not scene.has(call, site):
            continue
        for fault in faults_at(site):
            found.pairs_all += 1
            if unit.share.has(unit.offset + found.pairs_all):
                found.pairs += 1
                plan = {**first, call: fault}
                _note(found, plan, play(small, plan))
    return found


def _note(found: Findings, plan: Plan, played: Play) -> None:
    if not played.violations or len(found.broken) >= BROKEN_MAX:
        return
    first = played.violations[0]
    sites = tuple(played.sites[call - 1] for call in sorted(plan))
    found.broken.append(
        Broken(world=found.unit.world, plan=plan, sites=sites, invariant=first.invariant, words=first.words)
    )
