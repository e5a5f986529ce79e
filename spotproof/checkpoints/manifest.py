"""The manifest of one checkpoint: what makes a shard's state whole, as canonical JSON under one digest.

Whatever a later schema adds, the members `schema` and `root` stay: root is the SHA-256 of the canonical JSON (sorted
keys, no spaces, ASCII) of all other members. So damage and a newer schema can be told apart by any version.

Keys of data objects are written without the prefix of the shard, so that no manifest can name anything outside it.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spotproof.checkpoints.entries import (
    BaseSlice,
    BlockDelta,
    ImageEntry,
    MapEntry,
    check_members,
    check_touched,
    image_from_json,
    image_to_json,
    map_from_json,
    map_to_json,
    number,
    slice_size,
    text,
    typed,
)
from spotproof.checkpoints.manifest_keys import (
    ManifestId,
    data_key,
    epoch_of,
    is_data_key,
    manifest_key,
    parse_manifest_key,
)
from spotproof.checkpoints.names import (
    MAP_NAME_MAX,
    flaw_in_name,
    flaw_in_path,
    flaw_in_paths,
)
from spotproof.checkpoints.segment import Segment
from spotproof.clock import parse_utc
from spotproof.contract import checkpoints_prefix
from spotproof.errors import CheckpointCorruptError, CheckpointError, CheckpointTooNewError

__all__ = [
    "INLINE_BYTES_MAX", "MANIFEST_BYTES_MAX", "SCHEMA", "BaseSlice", "BlockDelta", "ImageEntry", "Manifest", "ManifestId",
    "MapEntry", "data_key", "decode_manifest", "encode_manifest", "epoch_of", "manifest_key", "parse_manifest_key", "seal",
]  # fmt: skip

SCHEMA: Final = 2  # 1 knew no images; a checkpoint of it is not read any more
MANIFEST_BYTES_MAX: Final = 16 * 2**20
INLINE_BYTES_MAX: Final = 64 * 2**10  # larger inline values travel as an object of their own
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_FORMAT_ID: Final = re.compile(r"[0-9a-z.-]{1,64}")
_MEMBERS: Final = frozenset(
    {"schema", "run", "shard", "epoch", "seq", "nonce", "parent", "writer", "created", "serializer", "inline", "values"}
    | {"maps", "images", "slice_bytes"}
)


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
    images: dict[str, ImageEntry]  # by kind/name; a file's name is its path
    slice_bytes: int  # of every image's base slices

    @property
    def key(self) -> str:
        return manifest_key(self.run_id, self.shard, self.id)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Everything that this state needs besides the manifest's own text."""
        values = () if self.values is None else (self.values,)
        entries: tuple[MapEntry | ImageEntry, ...] = (*self.maps.values(), *self.images.values())
        return values + tuple(segment for entry in entries for segment in entry.segments)

    @property
    def keys(self) -> set[str]:
        """Every object of this generation."""
        return {self.key, *(segment.key for segment in self.segments if segment.inline is None)}

    @property
    def inline_bytes(self) -> int:
        """Stored bytes of all segments that ride in this manifest; the text of `inline` does not count."""
        return sum(segment.size_bytes for segment in self.segments if segment.inline is not None)

    @property
    def image_bytes(self) -> int:
        """How much memory and disk all images need."""
        return sum(entry.length for entry in self.images.values())


def encode_manifest(manifest: Manifest) -> bytes:
    prefix = checkpoints_prefix(manifest.run_id, manifest.shard)
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
        "values": None if manifest.values is None else manifest.values.to_json(prefix=prefix),
        "maps": {name: map_to_json(entry, prefix=prefix) for name, entry in manifest.maps.items()},
        "images": {name: image_to_json(entry, prefix=prefix) for name, entry in manifest.images.items()},
        "slice_bytes": manifest.slice_bytes,
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
        raise CheckpointCorruptError(f"manifest has schema {body['schema']}, which is not read any more")
    if body["schema"] > SCHEMA:
        raise _too_new(body, run_id=run_id, shard=shard, key=key)
    try:
        manifest = _from_json(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointCorruptError(f"malformed manifest: {type(error).__name__}: {error}") from error
    _check_place(manifest, run_id=run_id, shard=shard, key=key)
    return manifest


def _too_new(body: dict[str, Any], *, run_id: str, shard: int, key: str) -> CheckpointError:
    """An upgrade helps, unless another key's manifest sits here: that is damage to a newer worker, too.

    Every schema keeps the members that a manifest's key is made of, by these names.
    """
    at = parse_manifest_key(key, run_id=run_id, shard=shard)
    place = {} if at is None else {"run": run_id, "shard": shard, "epoch": at.epoch, "seq": at.seq, "nonce": at.nonce}
    if any(body.get(name, value) != value for name, value in place.items()):
        return CheckpointCorruptError(f"manifest of schema {body['schema']} was written for another key than {key}")
    return CheckpointTooNewError(
        f"checkpoint {key} has schema {body['schema']}, this worker knows {SCHEMA}: upgrade it"
    )


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
    check_members(body, set(_MEMBERS))
    run_id, shard = text(body["run"]), number(body["shard"])
    prefix = checkpoints_prefix(run_id, shard)
    manifest = Manifest(
        run_id=run_id,
        shard=shard,
        id=ManifestId(epoch=number(body["epoch"]), seq=number(body["seq"]), nonce=text(body["nonce"])),
        parent=None if body["parent"] is None else text(body["parent"]),
        writer=text(body["writer"]),
        created=_moment(body["created"]),
        serializer=_format_id(body["serializer"]),
        inline=None if body["inline"] is None else text(body["inline"]),
        values=None if body["values"] is None else Segment.from_json(body["values"], prefix=prefix),
        maps={name: map_from_json(entry, prefix=prefix) for name, entry in typed(body["maps"], dict).items()},
        images=_images_from_json(body, prefix),
        slice_bytes=slice_size(body["slice_bytes"]),
    )
    if (manifest.inline is None) == (manifest.values is None):
        raise ValueError("exactly one of inline and values must be there")
    _check_names(manifest)
    return manifest


def _moment(value: Any) -> datetime:
    moment = parse_utc(value)
    if moment.isoformat() != value:
        raise ValueError(f"expected a moment as isoformat writes it, got {value!r:.200}")
    return moment


def _format_id(value: Any) -> str:
    if not _FORMAT_ID.fullmatch(text(value)):
        raise ValueError(f"no format of values is called {value!r:.200}")
    return text(value)


def _images_from_json(body: dict[str, Any], prefix: str) -> dict[str, ImageEntry]:
    seq, slice_bytes = number(body["seq"]), slice_size(body["slice_bytes"])
    check_touched(typed(body["images"], dict))
    return {
        name: image_from_json(entry, prefix=prefix, seq=seq, slice_bytes=slice_bytes)
        for name, entry in body["images"].items()
    }


def _check_names(manifest: Manifest) -> None:
    """What the user's code could not have named is not unpacked: least of all a path that leads elsewhere."""
    flaws = [flaw_in_name(name, length_max=MAP_NAME_MAX) for name in manifest.maps]
    files = []
    for name, entry in manifest.images.items():
        kind, _, own_name = name.partition("/")
        if kind != entry.kind:
            raise ValueError(f"an image of kind {entry.kind} is called {name!r:.200}")
        if entry.kind == "file":
            files.append(own_name)
        else:
            flaws.append(flaw_in_name(own_name, length_max=MAP_NAME_MAX))
    flaws += [*map(flaw_in_path, files), flaw_in_paths(files)]
    for flaw in flaws:
        if flaw is not None:
            raise ValueError(f"a checkpoint {flaw}")


def _check_place(manifest: Manifest, *, run_id: str, shard: int, key: str) -> None:
    if (manifest.run_id, manifest.shard) != (run_id, shard):
        raise CheckpointCorruptError(f"manifest belongs to run {manifest.run_id} shard {manifest.shard}")
    if manifest.key != key:
        raise CheckpointCorruptError(f"manifest was written as {manifest.key}, not as {key}")
    if manifest.parent is not None and parse_manifest_key(manifest.parent, run_id=run_id, shard=shard) is None:
        raise CheckpointCorruptError(f"manifest follows {manifest.parent!r:.200}, which is no manifest of its shard")
    for key in manifest.keys - {manifest.key}:
        if not is_data_key(key, run_id=run_id, shard=shard):
            raise CheckpointCorruptError(f"manifest names {key!r:.200}, which is no data object of its shard")


def _canonical(body: object) -> bytes:
    return _ENCODER.encode(body).encode("ascii")


def _root(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()
