"""The deployment's job queues: for each family of hosts one on Spot, and the on-demand one that its workers fall back to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spotproof import contract
from spotproof.errors import ConfigurationError

_PAIR: Final = re.compile(r"([a-z0-9_]{1,32})=([^/=,\s]+)/([^/=,\s]+)/([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePair:
    """The queues of one family, by name."""

    family: str = ""  # the first one has no name here: it is what there is without families
    spot: str
    on_demand: str
    memory_mib_max: int = 0  # that one worker can have on the family's hosts; 0: unknown

    def worker_memory_mib_max(self, vcpus: float) -> int:
        """The most memory of a worker with so many vCPUs; on Fargate it depends on them."""
        if self.family != contract.FAMILY_FARGATE:
            return self.memory_mib_max
        sizes = contract.FARGATE_MEMORY_MIB.get(round(vcpus))
        return self.memory_mib_max if sizes is None else sizes[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePairs:
    """All pairs. Queues are asked for by name or ARN."""

    pairs: tuple[QueuePair, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all queues."""
        return tuple(name for pair in self.pairs for name in (pair.spot, pair.on_demand))

    @property
    def spot_names(self) -> tuple[str, ...]:
        return tuple(pair.spot for pair in self.pairs)

    def is_spot(self, queue: str) -> bool:
        return any(pair.spot == _name(queue) for pair in self.pairs)

    def is_on_demand(self, queue: str) -> bool:
        return any(pair.on_demand == _name(queue) for pair in self.pairs)

    def pair_of(self, queue: str) -> QueuePair:
        """The pair that the queue is in; the first one for a queue that is not ours."""
        return next((pair for pair in self.pairs if _name(queue) in (pair.spot, pair.on_demand)), self.pairs[0])

    def on_demand_for(self, queue: str) -> str:
        """Where workers of this queue fall back to: hosts of their own family."""
        return self.pair_of(queue).on_demand


def parse_further(text: str) -> tuple[QueuePair, ...]:
    """The pairs of `family=spot/on-demand/memory MiB,…`; none of an empty text.

    Raises:
        ConfigurationError: it is malformed, or names a family or a queue twice.
    """
    found = [_PAIR.fullmatch(part) for part in text.split(",")] if text else []
    pairs = tuple(
        QueuePair(family=match[1], spot=match[2], on_demand=match[3], memory_mib_max=int(match[4]))
        for match in found
        if match is not None
    )
    if len(pairs) < len(found) or _has_twins(pair.family for pair in pairs) or _has_twins(_names(pairs)):
        raise ConfigurationError(
            f"environment variable {contract.ENV_FAMILY_QUEUES} must be family=spot/on-demand/memory MiB,… with "
            f"different names, got {text[:200]!r}"
        )
    return pairs


def _names(pairs: Iterable[QueuePair]) -> Iterable[str]:
    return (name for pair in pairs for name in (pair.spot, pair.on_demand))


def _has_twins(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) < len(listed)


def _name(queue: str) -> str:
    """A queue's name, from it or from its ARN."""
    return queue.rpartition("/")[2]
