"""How many inputs each target gets, so that a campaign has the number that was asked for."""

import math
from collections.abc import Mapping, Sequence

from tests.fuzz.target import Target


def inputs_by_target(surfaces: Mapping[str, Sequence[Target]], *, count: int) -> dict[str, dict[str, int]]:
    """Surface to target to its part of `count` inputs, by the shares of all; at least the good inputs of each."""
    shares = sum(target.share for targets in surfaces.values() for target in targets)
    return {
        surface: {target.name: max(len(target.seeds), math.ceil(count * target.share / shares)) for target in targets}
        for surface, targets in surfaces.items()
        if targets
    }
