"""What is fuzzed: a reader of the product, good inputs to start from, and the refusals that it documents."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Mutation = Callable[[Any, random.Random, Any], Any]  # an input, randomness, another input to take parts from


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader. Whatever `attempt` raises besides `refusals`, a broken promise of its own included, is a finding."""

    name: str
    surface: str  # whose text or bytes these are, for people
    seeds: Sequence[Any]  # each is accepted
    mutate: Mutation
    attempt: Callable[[Any], object]  # what it returns may tell kinds of acceptance apart; it must be hashable
    refusals: tuple[type[Exception], ...]
    share: float = 1.0  # of the inputs, in relation to other targets: slow ones get fewer
    limit_s: float = 2.0  # CPU seconds of one input; more is a hang
