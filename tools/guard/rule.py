"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.guard.assembly import Assembly, Resource

Check = Callable[[Resource, Assembly], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One demand on all resources of some types."""

    name: str
    kinds: tuple[str, ...]  # CloudFormation types
    demand: str  # what must hold, and what happens otherwise
    check: Check  # each text it yields is one thing that does not hold
    strict: bool = False  # asked only of `-c compliance=strict`


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """A resource that does not meet a rule."""

    where: str  # stack/logical id
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.what}"
