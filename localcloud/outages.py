"""Where no instance can be launched for the moment, although the market has some."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Launches for one Auto Scaling group, that is for one compute environment, fail in these zones."""

    group: str
    zones: frozenset[str]


class Outages:
    """The outages in force; several may overlap."""

    def __init__(self) -> None:
        self._in_force: list[Outage] = []

    def begin(self, *, group: str, zones: Collection[str]) -> Outage:
        """From now on no launch for the group in the zones."""
        outage = Outage(group=group, zones=frozenset(zones))
        self._in_force.append(outage)
        return outage

    def end(self, outage: Outage) -> None:
        """Take back one that `begin` made; doing it twice is harmless."""
        self._in_force = [each for each in self._in_force if each is not outage]

    def covers(self, *, group: str, zone: str) -> bool:
        """Whether a launch for the group in the zone must fail now."""
        return any(each.group == group and zone in each.zones for each in self._in_force)

    def clear(self) -> None:
        """End all of them."""
        self._in_force.clear()
