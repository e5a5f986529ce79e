"""One named map of a shard's state, with a journal of the keys that changed."""

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.serializers.typed_json import IMMUTABLE_SCALARS, is_immutable
from spotproof.errors import CheckpointCorruptError, UnsavableValueError

BYTES_PER_ENTRY_GUESS: Final = 64.0
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapImage:
    """What one save has to carry of a map, and what the journal must know once it is durable."""

    payload: object  # for a base: the whole dict; for a delta: [removed keys, updated dict, appended dict]
    count: int  # entries in the payload
    version: int  # of the map when it was taken
    digests: dict[Any, bytes]  # of the mutable values in the payload


class StateMap(MutableMapping[Any, Any]):
    """A dict whose changed keys travel, not the whole.

    Behaves like a dict, insertion order included. Keys and values are of the serializer's types. A value that can change
    in place (list, dict) stays under suspicion once it was read or stored, because the caller may still hold it; it
    travels only if its digest differs from what is durable.
    """

    def __init__(self, name: str, entries: Mapping[Any, Any] | None = None) -> None:
        self.name = name
        self._entries: dict[Any, Any] = dict(entries or {})
        self._removed: dict[Any, None] = {}  # durable keys that were deleted, or deleted and inserted again
        self._updated: dict[Any, None] = {}  # durable keys, still at their place, with another value
        self._appended: dict[Any, None] = {}  # keys inserted since, in the order of the entries' tail
        self._suspects: dict[Any, None] = {}  # keys whose mutable value left our hands
        self._touched: dict[Any, None] = {}  # suspects that were handed out since the last save, for the estimate
        self._digests: dict[Any, bytes] = {}  # of suspects' durable values
        self._version = 0
        self._rewritten = False  # changed while a save was under way: deltas against it would be wrong
        self._entry_bytes = BYTES_PER_ENTRY_GUESS

    def __getitem__(self, key: Any) -> Any:
        value = self._entries[key]
        if type(value) not in IMMUTABLE_SCALARS and not is_immutable(value):
            self._suspect(key, value)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        DEFAULT.check(value, at=self._place(key))
        if key not in self._entries:
            DEFAULT.check({key: None}, at=f"a key of state.map({self.name!r})")
            self._appended[key] = None
        elif key not in self._appended:
            self._updated[key] = None
        self._entries[key] = value
        self._digests.pop(key, None)
        if is_immutable(value):
            self._suspects.pop(key, None)
        else:
            self._suspects[key] = None
            self._touched[key] = None
        self._version += 1

    def __delitem__(self, key: Any) -> None:
        del self._entries[key]
        if key in self._appended:
            del self._appended[key]
        else:
            self._removed[key] = None
            self._updated.pop(key, None)
        self._suspects.pop(key, None)
        self._touched.pop(key, None)
        self._digests.pop(key, None)
        self._version += 1

    def popitem(self) -> tuple[Any, Any]:
        """Remove the newest entry, as a dict does."""
        key = next(reversed(self._entries), _NOTHING)
        if key is _NOTHING:
            raise KeyError(f"state.map({self.name!r}) is empty")
        return key, self.pop(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __repr__(self) -> str:
        return f"StateMap({self.name!r}, {self._entries!r})"

    @property
    def dirty_bytes(self) -> int:
        """About how much a save would carry now, from the size of entries seen so far."""
        keys = len(self._removed) + len(self._updated) + len(self._appended) + len(self._touched)
        return round(keys * self._entry_bytes)

    def learn_entry_size(self, *, size_bytes: int, count: int) -> None:
        """Let later estimates rest on what `count` entries really took."""
        if count:
            self._entry_bytes = max(1.0, size_bytes / count)

    def whole(self) -> MapImage:
        """The map as a base."""
        suspects = {key: self._digest(key) for key in self._suspects}
        return MapImage(payload=self._entries, count=len(self._entries), version=self._version, digests=suspects)

    def changes(self) -> MapImage | None:
        """The difference to what is durable; None if there is none."""
        digests = {key: self._digest(key) for key in self._suspects}
        updated = dict(self._updated)
        for key, digest in digests.items():
            if key not in self._appended and digest != self._digests.get(key):
                updated[key] = None
        count = len(self._removed) + len(updated) + len(self._appended)
        if not count:
            return None
        payload = [
            list(self._removed),
            {key: self._entries[key] for key in updated},
            {key: self._entries[key] for key in self._appended},
        ]
        return MapImage(payload=payload, count=count, version=self._version, digests=digests)

    @property
    def needs_base(self) -> bool:
        """Whether only a whole image is right next time."""
        return self._rewritten

    def became_durable(self, image: MapImage, *, base: bool) -> None:
        """Forget the journal of what is durable now. Changes made since the image was taken force a base."""
        if image.version != self._version:
            self._rewritten = True
            return
        if base:
            self._rewritten = False
        self._removed.clear()
        self._updated.clear()
        self._appended.clear()
        self._touched.clear()
        self._digests.update(image.digests)

    def _suspect(self, key: Any, value: object) -> None:
        """Remember what the value is before the caller can change it for the first time."""
        self._touched[key] = None
        if key not in self._suspects:
            self._suspects[key] = None
            self._digests[key] = _digest_of(value, self._place(key))

    def _digest(self, key: Any) -> bytes:
        return _digest_of(self._entries[key], self._place(key))

    def _place(self, key: object) -> str:
        return f"state.map({self.name!r})[{key!r}]"


def apply_changes(entries: dict[Any, Any], payload: object) -> None:
    """Bring `entries` to the state after a delta, order included.

    Raises:
        CheckpointCorruptError: the payload is no delta, or does not fit these entries.
    """
    match payload:
        case [list() as removed, dict() as updated, dict() as appended]:
            pass
        case _:
            raise CheckpointCorruptError("a delta must be [removed, updated, appended]")
    if not all(key in entries for key in removed):
        raise CheckpointCorruptError("a delta removes keys that its base does not have")
    for key in removed:
        del entries[key]
    if not all(key in entries for key in updated) or any(key in entries for key in appended):
        raise CheckpointCorruptError("a delta does not fit its base: it updates absent keys or appends present ones")
    entries.update(updated)
    entries.update(appended)


def check_map_name(name: object) -> None:
    """Nothing, for a name that `state.map` takes.

    Raises:
        UnsavableValueError: not text, empty, longer than 200 characters, or not printable.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        raise UnsavableValueError(f"state.map takes a name of 1 to 200 printable characters, got {name!r}")


def _digest_of(value: object, at: str) -> bytes:
    return hashlib.sha256(DEFAULT.encode(value, at=at)).digest()
