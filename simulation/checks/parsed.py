"""Items as the model sees them, parsed once: several checkers look at the same write."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from spotproof.leases import run_items, session_items, shard_items
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.model import Run, Session, Shard

T = TypeVar("T")
KEPT: Final = 64
CURRENT: Final = {"N": str(SCHEMA)}


class Parsed(Generic[T]):
    """The model of the last items asked for. Items are values that nobody changes, so identity is enough."""

    def __init__(self, parse: Callable[[Any], T]) -> None:
        self._parse = parse
        self._known: dict[int, tuple[Any, T]] = {}  # the item is kept, so its id stays its own

    def __call__(self, item: Any) -> T:
        known = self._known.get(id(item))
        if known is not None:
            return known[1]
        if len(self._known) >= KEPT:
            self._known.clear()
        model = self._parse({**item, "schema": CURRENT})  # of a newer version (K6) checkers read what they know
        self._known[id(item)] = (item, model)
        return model


shard_from_item: Final[Parsed[Shard]] = Parsed(shard_items.shard_from_item)
session_from_item: Final[Parsed[Session]] = Parsed(session_items.session_from_item)
run_from_item: Final[Parsed[Run]] = Parsed(run_items.run_from_item)
