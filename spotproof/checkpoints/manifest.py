"""The manifest of one checkpoint: what makes a shard's state whole, as canonical JSON under one digest.

Whatever a later schema adds, the members `schema` and `root` stay: root is the SHA-256 of the canonical JSON (sorted
keys, no spaces, ASCII) of all other members. So damage and a newer schema can be told apart by any version.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from spotproof.checkpoints.segment import Segment
from spotproof.clock import parse_utc
from spotproof.contract import checkpoints_prefix
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError

SCHEMA: Final = 1
MANIFEST_BYTES_MAX: Final = 16 * 2**20
INLINE_BYTES_MAX: Final = 64 * 2**10  # larger inline values travel as an object of their own
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_MANIFEST_TAIL: Final = re.compile(r"(\d{8,})/m/(\d{12,})-([0-9A-Za-z]+)")
_DATA_TAIL: Final = re.compile(r"\d{8,}/d/\d{12,}-[0-9A-Za-z]+-\d{2,}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ManifestId:
    """What a manifest's key says. Epochs and sequence numbers order the generations of a shard."""

    epoch: int  # the writer's fencing token
    seq: int
    nonce: str = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One map: a base and what changed since, oldest first."""

    base: Segment
    deltas: tuple[Segment, ...]
    length: int  # keys after the last delta

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (self.base, *self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One durable state of one shard."""

    run_id: str
    shard: int
    id: ManifestId
    parent: str | None  # key of the generation before
    writer: str  # session id
    created: datetime
    serializer: str
    inline: str | None  # the inline values as the serializer's text, or
    values: Segment | None  # an object that holds them; exactly one of the two
    maps: dict[str, MapEntry]

    @property
    def key(self) -> str:
        return manifest_key(self.run_id, self.shard, self.id)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every object that this state needs besides the manifest."""
        values = () if self.values is None else (self.values,)
        return values + tuple(segment for entry in self.maps.values() for segment in entry.segments)

    @property
    def keys(self) -> set[str]:
        """Every object of this generation."""
        return {self.key, *(segment.key for segment in self.segments)}


def manifest_key(run_id: str, shard: int, manifest_id: ManifestId) -> str:
    prefix = checkpoints_prefix(run_id, shard)
    return f"{prefix}{manifest_id.epoch:08d}/m/{manifest_id.seq:012d}-{manifest_id.nonce}"


def data_key(run_id: str, shard: int, manifest_id: ManifestId, number: int) -> str:
    """Unique to the writer and the save, so that no object is ever written twice with other bytes."""
    prefix = checkpoints_prefix(run_id, shard)
    return f"{prefix}{manifest_id.epoch:08d}/d/{manifest_id.seq:012d}-{manifest_id.nonce}-{number:02d}"


def parse_manifest_key(key: str, *, run_id: str, shard: int) -> ManifestId | None:
    """What the key says; None for any object that is no manifest of this shard."""
    prefix = checkpoints_prefix(run_id, shard)
    match = _MANIFEST_TAIL.fullmatch(key.removeprefix(prefix)) if key.startswith(prefix) else None
    return match and ManifestId(epoch=int(match[1]), seq=int(match[2]), nonce=match[3])


def epoch_of(key: str, *, run_id: str, shard: int) -> int | None:
    """The epoch that any key of this shard carries; None for a foreign key."""
    prefix = checkpoints_prefix(run_id, shard)
    epoch = key.removeprefix(prefix).partition("/")[0] if key.startswith(prefix) else ""
    return int(epoch) if epoch.isdecimal() else None


def encode_manifest(manifest: Manifest) -> bytes:
    body = {
        "schema": SCHEMA,
        "run": manifest.run_id,
        "shard": manifest.shard,
        "epoch": manifest.id.epoch,
        "seq": manifest.id.seq,
        "nonce": manifest.id.nonce,
        "parent": manifest.parent,
        "writer": manifest.writer,
        "created": manifest.created.isoformat(),
        "serializer": manifest.serializer,
        "inline": manifest.inline,
        "values": None if manifest.values is None else manifest.values.to_json(),
        "maps": {name: _entry_to_json(entry) for name, entry in manifest.maps.items()},
    }
    return seal(body)


def seal(body: dict[str, Any]) -> bytes:
    """The bytes of a manifest with these members: canonical, under their digest."""
    return _canonical({**body, "root": _root(body)})


def decode_manifest(data: bytes, *, run_id: str, shard: int, key: str) -> Manifest:
    """The manifest that was written under `key` for this shard.

    Raises:
        CheckpointCorruptError: damaged, malformed, of another run, shard or key, or naming objects outside the shard.
        CheckpointTooNewError: intact, but of a newer schema.
    """
    body = _verified(data)
    if body["schema"] < SCHEMA:
        raise CheckpointCorruptError(f"manifest has schema {body['schema']}, which no worker ever wrote")
    if body["schema"] > SCHEMA:
        raise CheckpointTooNewError(
            f"checkpoint {key} has schema {body['schema']}, this worker knows {SCHEMA}: upgrade it"
        )
    try:
        manifest = _from_json(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointCorruptError(f"malformed manifest: {type(error).__name__}: {error}") from error
    _check_place(manifest, run_id=run_id, shard=shard, key=key)
    return manifest


def _verified(data: bytes) -> dict[str, Any]:
    """The members besides root, once root and the canonical form were checked."""
    try:
        body = json.loads(data)
        canonical = _canonical(body)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"manifest is not JSON: {error}") from error
    if not isinstance(body, dict) or canonical != data:
        raise CheckpointCorruptError("manifest is not the canonical JSON object that was written")
    root = body.pop("root", None)
    if root != _root(body) or type(body.get("schema")) is not int:
        raise CheckpointCorruptError("manifest does not match its digest")
    return body


def _from_json(body: dict[str, Any]) -> Manifest:
    manifest = Manifest(
        run_id=_typed(body["run"], str),
        shard=_typed(body["shard"], int),
        id=ManifestId(epoch=_typed(body["epoch"], int), seq=_typed(body["seq"], int), nonce=_typed(body["nonce"], str)),
        parent=None if body["parent"] is None else _typed(body["parent"], str),
        writer=_typed(body["writer"], str),
        created=parse_utc(body["created"]),
        serializer=_typed(body["serializer"], str),
        inline=None if body["inline"] is None else _typed(body["inline"], str),
        values=None if body["values"] is None else Segment.from_json(body["values"]),
        maps={name: _entry_from_json(entry) for name, entry in body["maps"].items()},
    )
    if (manifest.inline is None) == (manifest.values is None):
        raise ValueError("exactly one of inline and values must be there")
    return manifest


def _check_place(manifest: Manifest, *, run_id: str, shard: int, key: str) -> None:
    if (manifest.run_id, manifest.shard) != (run_id, shard):
        raise CheckpointCorruptError(f"manifest belongs to run {manifest.run_id} shard {manifest.shard}")
    if manifest.key != key:
        raise CheckpointCorruptError(f"manifest was written as {manifest.key}, not as {key}")
    prefix = checkpoints_prefix(run_id, shard)
    for segment in manifest.segments:
        if not segment.key.startswith(prefix) or not _DATA_TAIL.fullmatch(segment.key.removeprefix(prefix)):
            raise CheckpointCorruptError(f"manifest names {segment.key!r}, which is not below {prefix}")


def _entry_to_json(entry: MapEntry) -> dict[str, Any]:
    return {
        "base": entry.base.to_json(),
        "deltas": [delta.to_json() for delta in entry.deltas],
        "length": entry.length,
    }


def _entry_from_json(entry: dict[str, Any]) -> MapEntry:
    return MapEntry(
        base=Segment.from_json(entry["base"]),
        deltas=tuple(Segment.from_json(delta) for delta in entry["deltas"]),
        length=_typed(entry["length"], int),
    )


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value


def _canonical(body: object) -> bytes:
    return _ENCODER.encode(body).encode("ascii")


def _root(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()
