"""Which keys of a map changed since one of its generations, and in what way."""

from dataclasses import dataclass, field
from typing import Any

Keys = dict[Any, None]  # a set that keeps the order of insertion


@dataclass(slots=True)
class MapJournal:
    """What leads from a generation to the live map; the values themselves are the live map's.

    A key of the generation is in `removed`, in `updated` or in neither. `removed` and `appended` share the keys that were
    deleted and inserted again: they moved to the end.
    """

    removed: Keys = field(default_factory=dict)  # keys of the generation that lost their place
    updated: Keys = field(default_factory=dict)  # keys of the generation, still at their place, with another value
    appended: Keys = field(default_factory=dict)  # keys inserted since, in the order of the map's tail
    touched: Keys = field(default_factory=dict)  # other keys whose mutable value was handed out and may have changed

    def __len__(self) -> int:
        """Entries that a delta carries at most."""
        return len(self.removed) + len(self.updated) + len(self.appended) + len(self.touched)

    def changed(self, in_place: Keys) -> int:
        """Entries that a delta carries, now that it is known which values changed in place."""
        return len(self.removed) + len(self.updated | in_place) + len(self.appended)

    def note_set(self, key: Any, *, present: bool) -> None:
        """A key gets a value; `present`: it had one just before."""
        if not present:
            self.appended[key] = None
        elif key not in self.appended:
            self.updated[key] = None
            self.touched.pop(key, None)

    def note_handed_out(self, key: Any) -> None:
        """The caller holds the key's value and can change it in place from now on."""
        if key not in self.appended and key not in self.updated:
            self.touched[key] = None

    def note_deleted(self, key: Any) -> None:
        """A present key goes."""
        if key in self.appended:
            del self.appended[key]
        else:
            self.removed[key] = None
            self.updated.pop(key, None)
            self.touched.pop(key, None)

    def followed_by(self, later: "MapJournal") -> "MapJournal":
        """One journal from this one's generation to the live map, where `later` begins at what this one leads to."""
        appended = {key: None for key in self.appended if key not in later.removed} | later.appended
        removed = self.removed | {key: None for key in later.removed if key not in self.appended}
        updated = {
            key: None for key in self.updated | later.updated if key not in later.removed and key not in self.appended
        }
        touched = {
            key: None
            for key in self.touched | later.touched
            if key not in later.removed and key not in updated and key not in appended
        }
        return MapJournal(removed=removed, updated=updated, appended=appended, touched=touched)
