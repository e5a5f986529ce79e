"""Reading generations: which manifests may stand in for a damaged one, and what a generation holds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from spotproof.checkpoints.manifest import MANIFEST_BYTES_MAX, Manifest, MapEntry, decode_manifest, parse_manifest_key
from spotproof.checkpoints.metered import MeteredStore
from spotproof.checkpoints.segment import Segment, unpack
from spotproof.checkpoints.serializers import serializer_for
from spotproof.checkpoints.serializers.base import Serializer
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_map import apply_changes
from spotproof.contract import checkpoints_prefix
from spotproof.errors import CheckpointCorruptError
from spotproof.leases.model import CheckpointPointer, Lease

TRIED_MAX: Final = 8  # older generations; two are kept, failed saves may have left some more


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One intact generation."""

    manifest: Manifest
    state: State
    values: bytes  # the inline values, encoded


def candidate_keys(objects: MeteredStore, lease: Lease, pointer: CheckpointPointer) -> Iterator[str]:
    """The pointer's manifest, then older ones, newest first. The bucket is listed only if the first was refused."""
    yield pointer.manifest_key
    found = {
        key: parse_manifest_key(key, run_id=lease.run_id, shard=lease.index)
        for key in objects.keys(checkpoints_prefix(lease.run_id, lease.index))
    }
    older = {
        key: each
        for key, each in found.items()
        if each is not None and each.epoch <= lease.fencing_token and each.seq < pointer.seq
    }
    yield from sorted(older, key=lambda key: older[key], reverse=True)[:TRIED_MAX]


def load_generation(objects: MeteredStore, key: str, lease: Lease) -> Generation:
    """The state behind the manifest, every object verified.

    Raises:
        CheckpointCorruptError: anything is missing, damaged, swapped or foreign.
        CheckpointTooNewError: written by a newer schema or serializer.
    """
    data = objects.get(key, size_max=MANIFEST_BYTES_MAX)
    if data is None:
        raise CheckpointCorruptError("the manifest is missing")
    manifest = decode_manifest(data, run_id=lease.run_id, shard=lease.index, key=key)
    serializer = serializer_for(manifest.serializer)
    values = _values(objects, manifest)
    maps = {name: _entries(objects, serializer, entry) for name, entry in manifest.maps.items()}
    state = State(_dict(serializer.decode(values)), maps)
    for name, entry in manifest.maps.items():
        state.map(name).learn_entry_size(size_bytes=entry.base.size_bytes, count=entry.base.count)
    return Generation(manifest=manifest, state=state, values=values)


def values_digest(values: bytes) -> bytes:
    """By which two encodings of all inline values are compared."""
    return hashlib.sha256(values).digest()


def _values(objects: MeteredStore, manifest: Manifest) -> bytes:
    if manifest.values is not None:
        return _read(objects, manifest.values)
    assert manifest.inline is not None, "the manifest's decoder demands one of the two"
    return manifest.inline.encode()


def _entries(objects: MeteredStore, serializer: Serializer, entry: MapEntry) -> dict[Any, Any]:
    entries = _dict(serializer.decode(_read(objects, entry.base)))
    for delta in entry.deltas:
        apply_changes(entries, serializer.decode(_read(objects, delta)))
    if len(entries) != entry.length:
        raise CheckpointCorruptError(f"a map has {len(entries)} keys instead of {entry.length}")
    return entries


def _read(objects: MeteredStore, segment: Segment) -> bytes:
    return unpack(segment, objects.get(segment.key, size_max=segment.size_bytes))


def _dict(value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise CheckpointCorruptError(f"expected a dict, found {type(value).__name__}")
    return value
