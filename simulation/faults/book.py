"""The book of faults: which may strike in this world, how often, and where each did."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class FaultBook:
    """Asked at every place where a fault of the catalogue can strike; says no once the world is at peace.

    `rates`: chance per opportunity, by fault; a fault without a rate never strikes here.
    """

    rates: Mapping[str, float]
    rng: random.Random
    at_peace: bool = False  # the liveness phase: nothing strikes any more
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)  # (fault, site) -> times

    def strikes(self, fault: str, site: str) -> bool:
        """Whether `fault` happens at this opportunity; counted if so."""
        rate = self.rates.get(fault, 0.0)
        if self.at_peace or rate <= 0.0 or self.rng.random() >= rate:
            return False
        self.count(fault, site)
        return True

    def count(self, fault: str, site: str) -> None:
        """Record a fault that was decided elsewhere."""
        self.struck[(fault, site)] += 1

    @property
    def total(self) -> int:
        return sum(self.struck.values())
