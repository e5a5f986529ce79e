"""What one save has to write, computed before anything is sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spotproof.checkpoints.generations import values_digest
from spotproof.checkpoints.manifest import INLINE_BYTES_MAX, Manifest, ManifestId, MapEntry, data_key
from spotproof.checkpoints.segment import Segment, pack
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_map import MapImage, StateMap
from spotproof.leases.model import Lease

CHAIN_MAX: Final = 16  # deltas; each costs one request at restore
DELTAS_TO_BASE_MAX: Final = 0.5  # the base is rewritten once its deltas would exceed this share of it


@dataclass(frozen=True, slots=True, kw_only=True)
class MapChange:
    """What a save does for one map; the map's journal is told once the pointer has moved."""

    target: StateMap
    image: MapImage
    base: bool
    entry: MapEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Objects to write before the manifest, and the manifest that makes them count."""

    objects: tuple[tuple[Segment, bytes], ...]
    manifest: Manifest
    changes: tuple[MapChange, ...]
    values_digest: bytes


class Drafter:
    """Compares a state with the generation that is on record."""

    def __init__(self, *, lease: Lease, manifest_id: ManifestId, current: Manifest | None, may_rebase: bool) -> None:
        self._lease = lease
        self._id = manifest_id
        self._current = current
        self._may_rebase = may_rebase
        self._objects: list[tuple[Segment, bytes]] = []

    def draft(self, state: State, *, digest_on_record: bytes, created: datetime) -> Draft | None:
        """What to write; None if the state is the one on record.

        Raises:
            UnsavableValueError: the state holds a type that can't be saved; the text names its place.
        """
        values = state.encode_values()
        digest = values_digest(values)
        changes = tuple(change for each in state.maps.values() if (change := self._change(each)) is not None)
        if not changes and digest == digest_on_record:
            return None
        inline, segment = self._place_values(values, unchanged=digest == digest_on_record)
        known = {} if self._current is None else self._current.maps
        manifest = Manifest(
            run_id=self._lease.run_id,
            shard=self._lease.index,
            id=self._id,
            parent=None if self._current is None else self._current.key,
            writer=self._lease.owner,
            created=created,
            serializer=DEFAULT.format_id,
            inline=inline,
            values=segment,
            maps={**known, **{change.target.name: change.entry for change in changes}},
        )
        return Draft(objects=tuple(self._objects), manifest=manifest, changes=changes, values_digest=digest)

    def _change(self, each: StateMap) -> MapChange | None:
        entry = None if self._current is None else self._current.maps.get(each.name)
        if entry is None:
            return self._base(each) if len(each) else None
        if each.needs_base:
            return self._base(each)
        image = each.changes()
        return None if image is None else self._delta(each, image, entry)

    def _delta(self, each: StateMap, image: MapImage, entry: MapEntry) -> MapChange:
        segment, stored = self._pack(each, image)
        if self._may_rebase and is_rebase_due(entry, segment):
            return self._base(each)
        self._objects.append((segment, stored))
        longer = MapEntry(base=entry.base, deltas=(*entry.deltas, segment), length=len(each))
        return MapChange(target=each, image=image, base=False, entry=longer)

    def _base(self, each: StateMap) -> MapChange:
        image = each.whole()
        segment, stored = self._pack(each, image)
        self._objects.append((segment, stored))
        entry = MapEntry(base=segment, deltas=(), length=len(each))
        return MapChange(target=each, image=image, base=True, entry=entry)

    def _pack(self, each: StateMap, image: MapImage) -> tuple[Segment, bytes]:
        raw = DEFAULT.encode(image.payload, at=f"state.map({each.name!r})")
        return pack(raw, key=self._next_key(), count=image.count)

    def _place_values(self, values: bytes, *, unchanged: bool) -> tuple[str | None, Segment | None]:
        """Small values ride in the manifest; big ones get an object, written again only if they changed."""
        if len(values) <= INLINE_BYTES_MAX:
            return values.decode(), None
        if unchanged and self._current is not None and self._current.values is not None:
            return None, self._current.values
        segment, stored = pack(values, key=self._next_key(), count=1)
        self._objects.append((segment, stored))
        return None, segment

    def _next_key(self) -> str:
        return data_key(self._lease.run_id, self._lease.index, self._id, len(self._objects))


def is_rebase_due(entry: MapEntry, delta: Segment) -> bool:
    """Whether one more delta makes restoring cost more than writing the map anew."""
    deltas_bytes = delta.size_bytes + sum(each.size_bytes for each in entry.deltas)
    return len(entry.deltas) >= CHAIN_MAX or deltas_bytes > DELTAS_TO_BASE_MAX * entry.base.size_bytes
