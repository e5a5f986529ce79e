"""One named map of a shard's state, with a journal of the keys that changed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof.checkpoints.map_journal import Keys, MapJournal
from spotproof.checkpoints.names import MAP_NAME_MAX, flaw_in_name
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.serializers.typed_json import IMMUTABLE_SCALARS, is_immutable
from spotproof.errors import CheckpointCorruptError, UnsavableValueError

BYTES_PER_ENTRY_GUESS: Final = 64.0
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapImage:
    """What one save has to carry of a map, encoded at the moment it was gathered."""

    encoded: bytes  # of a base: the whole dict; of a delta: [removed keys, updated dict, appended dict]
    base: bool
    count: int  # entries in it
    length: int  # keys of the map
    digests: Mapping[Any, bytes]  # of the values that can change in place, as they were


class StateMap(MutableMapping[Any, Any]):
    """A dict whose changed keys travel, not the whole.

    Behaves like a dict, insertion order included. Keys and values are of the serializer's types. A value that can change
    in place (list, dict) stays under suspicion once it was read or stored, because the caller may still hold it; it
    travels only if its digest differs from what is durable.

    A save takes an image of what changed (`gather`), and what changes from then on belongs to the next one. Once the
    save has ended the map is told how (`settle`): what a failed save carried is due again, in front of the rest.
    """

    def __init__(self, name: str, entries: Mapping[Any, Any] | None = None) -> None:
        self.name = name
        self._entries: dict[Any, Any] = dict(entries or {})
        self._journal = MapJournal()  # since what is durable or, while a save is under way, since its image
        self._in_flight: _Flight | None = None
        self._suspects: dict[Any, None] = {}  # keys whose mutable value left our hands
        self._digests: dict[Any, bytes] = {}  # of suspects' durable values
        self._entry_bytes = BYTES_PER_ENTRY_GUESS

    def __getitem__(self, key: Any) -> Any:
        value = self._entries[key]
        if type(value) not in IMMUTABLE_SCALARS and not is_immutable(value):
            self._suspect(key, value)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        DEFAULT.check(value, at=self._place(key))
        present = key in self._entries
        if not present:
            DEFAULT.check({key: None}, at=f"a key of state.map({self.name!r})")
        self._entries[key] = value
        self._journal.note_set(key, present=present)
        if is_immutable(value):
            self._suspects.pop(key, None)
            self._digests.pop(key, None)
        else:
            self._suspects[key] = None

    def __delitem__(self, key: Any) -> None:
        del self._entries[key]
        self._journal.note_deleted(key)
        self._suspects.pop(key, None)
        self._digests.pop(key, None)

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
        """About how much the next save would carry, from the size of entries seen so far. Cheap at any size."""
        return round(len(self._journal) * self._entry_bytes)

    def learn_entry_size(self, *, size_bytes: int, count: int) -> None:
        """Let later estimates rest on what `count` entries really took."""
        if count:
            self._entry_bytes = max(1.0, size_bytes / count)

    def gather(self, base: bool, *, rebase: Callable[[int], bool] | None = None) -> MapImage | None:
        """What a save has to carry now; the journal starts anew. `settle` must follow before the next call.

        Args:
            base: take the whole map, whether anything changed or not; else the difference to what is durable.
            rebase: whether to take the whole map instead of a difference of about so many bytes; asked only if
                something changed, because a base that only replaces an older one and its deltas can wait.

        Returns:
            None if nothing changed: for a base, if the map is empty and was when it became durable, if it ever did.

        Raises:
            UnsavableValueError: a value was changed into something that can't be saved; nothing was taken.
        """
        assert self._in_flight is None, "settle the save in flight first"
        digests = {key: self._digest(key) for key in self._suspects}
        in_place = self._changed_in_place(digests)
        whole = base or (rebase is not None and self._is_rebase_wanted(in_place, rebase))
        image = self._whole(digests) if whole else self._changes(digests, in_place)
        if image is not None:
            self._in_flight = _Flight(image=image, journal=self._journal)
            self._journal = MapJournal()
        return image

    def settle(self, image: MapImage, durable: bool) -> None:
        """The save that carried `image` has ended; if it is not durable, everything in it is due again."""
        assert self._in_flight is not None, "nothing was gathered"
        assert self._in_flight.image is image, "another image is in flight"
        journal, self._in_flight = self._in_flight.journal, None
        if durable:
            self._digests.update({key: digest for key, digest in image.digests.items() if key in self._suspects})
        else:
            self._journal = journal.followed_by(self._journal)

    def _whole(self, digests: dict[Any, bytes]) -> MapImage | None:
        if not self._entries and not len(self._journal):
            return None
        return self._image(self._entries, base=True, count=len(self._entries), digests=digests)

    def _is_rebase_wanted(self, in_place: Keys, rebase: Callable[[int], bool]) -> bool:
        count = self._journal.changed(in_place)
        return count > 0 and rebase(round(count * self._entry_bytes))

    def _changed_in_place(self, digests: dict[Any, bytes]) -> Keys:
        appended = self._journal.appended
        return {
            key: None for key, digest in digests.items() if digest != self._digests.get(key) and key not in appended
        }

    def _changes(self, digests: dict[Any, bytes], in_place: Keys) -> MapImage | None:
        journal, count = self._journal, self._journal.changed(in_place)
        if not count:
            return None
        updated = journal.updated | in_place
        payload = [
            list(journal.removed),
            {key: self._entries[key] for key in updated},
            {key: self._entries[key] for key in journal.appended},
        ]
        return self._image(payload, base=False, count=count, digests=digests)

    def _image(self, payload: object, *, base: bool, count: int, digests: dict[Any, bytes]) -> MapImage:
        encoded = DEFAULT.encode(payload, at=f"state.map({self.name!r})")
        return MapImage(encoded=encoded, base=base, count=count, length=len(self._entries), digests=digests)

    def _suspect(self, key: Any, value: object) -> None:
        """Remember what the value is before the caller can change it for the first time."""
        self._journal.note_handed_out(key)
        if key not in self._suspects:
            self._suspects[key] = None
            self._digests[key] = _digest_of(value, self._place(key))

    def _digest(self, key: Any) -> bytes:
        return _digest_of(self._entries[key], self._place(key))

    def _place(self, key: object) -> str:
        return f"state.map({self.name!r})[{key!r}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flight:
    """A save under way."""

    image: MapImage
    journal: MapJournal  # from what is durable to the image


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
    try:
        gone = set(removed)
    except TypeError as error:
        raise CheckpointCorruptError(f"a delta removes what is no key: {error}") from error
    if len(gone) != len(removed) or not gone <= entries.keys():
        raise CheckpointCorruptError("a delta removes keys twice, or keys that its base does not have")
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
    flaw = flaw_in_name(name, length_max=MAP_NAME_MAX)
    if flaw is not None:
        raise UnsavableValueError(f"state.map {flaw}")


def _digest_of(value: object, at: str) -> bytes:
    return hashlib.sha256(DEFAULT.encode(value, at=at)).digest()
