"""What one seed came to: small, and free of anything that lives only in its process."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulation.checks.base import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one simulated world."""

    seed: int
    violations: tuple[Violation, ...]
    digest: str  # of the trace
    struck: Mapping[tuple[str, str], int]  # (fault, site) -> times
    sites: Mapping[str, int]  # AWS call site -> calls
    calls: int
    steps: int
    virtual_s: float
    last_words: tuple[str, ...]  # the end of the trace, only if something was violated
    facts: Mapping[str, int]  # counted by the world: shards, sessions, kills, ...
