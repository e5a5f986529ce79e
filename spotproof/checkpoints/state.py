"""A shard's state as the user's code sees it: one mapping, and named maps beside it."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state_map import StateMap, check_map_name
from spotproof.errors import UnsavableValueError


class State(MutableMapping[str, Any]):
    """Small values inline (`state["cursor"]`), big dicts by name (`state.map("totals")`); the two never clash.

    Empty at first; after an interruption, what was saved. Two places never share one object after a restore: store a
    value once and refer to it by key.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, maps: Mapping[str, Mapping[Any, Any]] | None = None
    ) -> None:
        self._values: dict[str, Any] = dict(values or {})
        self._maps = {name: StateMap(name, entries) for name, entries in (maps or {}).items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise UnsavableValueError(f"state[...] takes text as key, got {key!r}; use state.map(name) for other keys")
        DEFAULT.check(value, at=f"state[{key!r}]")
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"State({self._values!r}, maps={sorted(self._maps)})"

    def map(self, name: str) -> StateMap:
        """The map of that name, empty at first: always the same object within one worker.

        Raises:
            UnsavableValueError: the name is not text of 1 to 200 printable characters.
        """
        check_map_name(name)
        return self._maps.setdefault(name, StateMap(name))

    @property
    def maps(self) -> Mapping[str, StateMap]:
        """All maps that were named so far."""
        return self._maps

    @property
    def dirty_bytes(self) -> int:
        """About how many bytes of changed map entries a save would carry now; inline values always travel."""
        return sum(each.dirty_bytes for each in self._maps.values())

    def encode_values(self) -> bytes:
        """All inline values as bytes.

        Raises:
            UnsavableValueError: a value was changed into something that can't be saved; the text names its key.
        """
        for key, value in self._values.items():
            DEFAULT.check(value, at=f"state[{key!r}]")
        return DEFAULT.encode(self._values, at="state")
