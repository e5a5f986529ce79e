"""Targets: checkpoints: manifests, segments, values, block deltas, tensors, saved folders."""

import base64
import json
import os
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from spotproof.checkpoints.block_delta import decode_blocks, delta_bytes, write_header
from spotproof.checkpoints.codec import compress, decompress, decompress_into, digest
from spotproof.checkpoints.directory_entries import find_flaw
from spotproof.checkpoints.directory_files import restore
from spotproof.checkpoints.images.array import restored_array
from spotproof.checkpoints.images.tensors import parse_image
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import MANIFEST_BYTES_MAX, decode_manifest
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.serializers import serializer_for
from spotproof.checkpoints.serializers.typed_json import TypedJson
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError, ScratchFullError
from tests.fuzz.mutations import bytes_mutation, json_mutation, value_mutation
from tests.fuzz.target import Target
from tests.stateful.forgery import forged_manifest
from tests.unit.checkpoints.builders import RUN, TINY, make_engine, save

BUCKET: Final = "bytes in a bucket that others may have written"
CORRUPT: Final = (CheckpointCorruptError,)
SHARD: Final = 7
RAW_MAX: Final = 2**22  # of a segment in these inputs
TYPED = TypedJson()


def targets() -> tuple[Target, ...]:
    generations = _generations()
    values = [TYPED.encode(value, at="a seed") for value in _plain_values()]
    return (
        Target(
            name="manifest",
            surface=BUCKET,
            seeds=generations,
            mutate=_manifest_mutation,
            attempt=_decode,
            refusals=(CheckpointCorruptError, CheckpointTooNewError),
        ),
        Target(
            name="segment",
            surface=BUCKET,
            seeds=[_segment(b"spot" * 500), _segment(random.Random(1).randbytes(700)), _segment(b"")],
            mutate=_segment_mutation,
            attempt=_unpack,
            refusals=(CheckpointCorruptError, ValueError, TypeError),
            share=1.5,
        ),
        Target(
            name="values", surface=BUCKET, seeds=values, mutate=json_mutation, attempt=_values, refusals=CORRUPT, share=1.5
        ),
        Target(
            name="block-delta",
            surface=BUCKET,
            seeds=[_delta([0]), _delta([1, 2, 9]), _delta([])],
            mutate=bytes_mutation,
            attempt=_delta_blocks,
            refusals=CORRUPT,
        ),
        Target(
            name="tensors",
            surface=BUCKET,
            seeds=[_tensors({"w": [2, 3], "b": [3]}), _tensors({}), _tensors({"s": []})],
            mutate=_tensors_mutation,
            attempt=_tensor_names,
            refusals=CORRUPT,
        ),
        Target(
            name="array", surface=BUCKET, seeds=[{"shape": [3, 2], "dtype": "<f4", "length": 24}], mutate=value_mutation,
            attempt=_array, refusals=(CheckpointCorruptError, UnfitInputError),
        ),
        Target(
            name="saved-folder",
            surface=BUCKET,
            seeds=_folders(),
            mutate=value_mutation,
            attempt=_restored_folder,
            refusals=(FlawedFolderError, ScratchFullError),
            share=0.1,
        ),
    )  # fmt: skip


class FlawedFolderError(ValueError):
    """The product's own word on a folder that it does not restore."""


class UnfitInputError(ValueError):
    """The mutation left nothing that reaches the reader."""


def _generations() -> list[bytes]:
    """Manifests of a shard whose state has some of everything."""
    objects = InMemoryObjectStore()
    engine = make_engine(objects, sizes=TINY)
    state = engine.restore(None).state
    rng, manifests = random.Random(3), []
    rows = state.array("rows", (60, 32), "float32")
    for number in range(4):
        state["cursor"] = number
        state.map("totals").update({key: rng.random() for key in range(50 * number)})
        state.file("deep/work.bin").write_bytes(rng.randbytes(9000))
        rows[: 15 * number] = number
        manifests.append(objects.objects[save(engine, state).pointer.manifest_key])
    return manifests


def _manifest_mutation(data: bytes, rng: random.Random, other: bytes) -> bytes:
    if rng.random() < 0.3:
        return bytes_mutation(data, rng, other)
    try:
        return forged_manifest(data, rng)
    except (ValueError, KeyError, TypeError, RecursionError):
        return bytes_mutation(data, rng, other)


def _decode(data: bytes) -> object:
    assert len(data) <= MANIFEST_BYTES_MAX
    try:
        body = json.loads(data)
        key = f"checkpoints/{RUN}/{SHARD:08d}/{body['epoch']:08d}/m/{body['seq']:012d}-{body['nonce']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        key = f"checkpoints/{RUN}/{SHARD:08d}/00000001/m/000000000001-x"
    manifest = decode_manifest(data, run_id=RUN, shard=SHARD, key=key)
    serializer_for(manifest.serializer)
    prefix = f"checkpoints/{RUN}/{SHARD:08d}/"
    assert all(each.startswith(prefix) and "/../" not in each for each in manifest.keys), (
        "its objects are the shard's own"
    )
    for segment in manifest.segments:
        if segment.inline is not None and segment.raw_bytes <= RAW_MAX:
            decompress_quietly(segment, segment.inline_bytes)
    return len(manifest.images), len(manifest.maps)


def decompress_quietly(segment: Segment, stored: bytes | None) -> bytes | None:
    """The bytes if they can be unpacked; a refusal is as good."""
    try:
        return decompress(segment, stored)
    except CheckpointCorruptError:
        return None


def _segment(raw: bytes) -> tuple[list[Any], bytes]:
    """A segment's members as a manifest has them, and its stored bytes."""
    packed = compress(raw)
    return ["d/x", 0, packed.size_bytes, packed.raw_bytes, packed.codec, packed.xxh3, 0], bytes(packed.stored)


def _segment_mutation(value: tuple[list[Any], bytes], rng: random.Random, other: tuple[list[Any], bytes]) -> Any:
    """Damaged bytes, under their old digest or under a right one; or other members."""
    members, stored = value
    if rng.random() < 0.7:
        stored = bytes_mutation(stored, rng, other[1])
        if rng.random() < 0.9 and isinstance(members, list) and len(members) >= 6:
            members = [*members[:2], len(stored), *members[3:5], digest(stored), *members[6:]]
        if rng.random() < 0.3 and isinstance(members, list) and len(members) >= 4:
            members = [*members[:3], rng.choice((0, 1, 255, 2000, 2**20, 2**40)), *members[4:]]
    if rng.random() < 0.3:
        members = value_mutation(members, rng, None)
    if rng.random() < 0.1 and isinstance(members, list):
        members = ["", *members[1:7], base64.b64encode(stored).decode()]
    return members, stored


def _unpack(value: tuple[list[Any], bytes]) -> object:
    """Both ways of unpacking say the same: the same bytes, or no."""
    members, stored = value
    segment = Segment.from_json(members, prefix="p/", raw_bytes_max=RAW_MAX)
    target = bytearray(segment.raw_bytes)
    raw = decompress_quietly(segment, stored)
    decompress_into(segment, stored, memoryview(target))
    assert raw == bytes(target), "two ways of unpacking, one result"
    return segment.codec


def _plain_values() -> list[Any]:
    from datetime import UTC, date, datetime
    from decimal import Decimal

    return [
        {"cursor": 7, "name": "é", "none": None, "yes": True, "real": 0.5},
        [1, (2, 3), {"a": b"\x00\xff"}, float("inf"), 2**70, -(2**80)],
        {("a", 1): Decimal("1.50"), 5: date(2026, 11, 22), "t": datetime(2026, 11, 22, 12, tzinfo=UTC)},
        {"text": "\ud800", "deep": [[[[]]]]},
    ]


def _values(data: bytes) -> object:
    """What is read can be written, and reads as the same again."""
    value = TYPED.decode(data)
    again = TYPED.encode(value, at="the input")
    assert TYPED.encode(TYPED.decode(again), at="the input") == again, "one value, one text"
    return type(value).__name__


def _delta(numbers: list[int]) -> bytes:
    raw = np.zeros(delta_bytes(len(numbers)), np.uint8)
    write_header(raw, np.array(numbers, np.int64))
    return raw.tobytes()


def _delta_blocks(data: bytes) -> object:
    numbers, blocks = decode_blocks(data, blocks_max=10)
    assert all(0 <= number < 10 for number in numbers), "no block beyond the image"
    assert len(blocks) == 256 * len(numbers)
    return len(numbers)


def _tensors(shapes: Mapping[str, list[int]]) -> bytes:
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(offset)


def _tensors_mutation(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Damage, or another header under a right length."""
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.4 or length > len(data):
        return bytes_mutation(data, rng, other)
    text = json_mutation(data[8 : 8 + length], rng, other[8:])
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _tensor_names(data: bytes) -> object:
    parsed = parse_image(np.frombuffer(data, np.uint8))
    for tensor in parsed.values():
        assert len(tensor.data) <= len(data), "no tensor is larger than its image"
        tensor.to_numpy()
    return len(parsed)


def _array(body: Any) -> object:
    if not isinstance(body, dict) or type(body.get("length")) is not int or not 0 <= body["length"] <= RAW_MAX:
        raise UnfitInputError("the length of an image is checked before")
    live = restored_array({name: each for name, each in body.items() if name != "length"}, body["length"])
    return live.kind


def _folders() -> list[dict[str, Any]]:
    return [
        {"a": ["folder", 0o755], "a/b.txt": ["file", 0o644, 5, "text"], "a/link": ["link", "b.txt"]},
        {"x": ["file", 0o600, 0, ""], "up": ["link", "./x"], "d": ["folder", 0o700], "d/up": ["link", "../x"]},
    ]


def _restored_folder(entries: Any) -> object:
    """What is restored lies below its folder, links followed; nothing beside it changes."""
    if not isinstance(entries, dict):
        raise FlawedFolderError("no folder")
    as_saved = {path: _entry(entry) for path, entry in entries.items()}
    flaw = find_flaw(as_saved, set())
    if flaw is not None:
        raise FlawedFolderError(flaw.text)
    with tempfile.TemporaryDirectory() as home:
        root = Path(home) / "root"
        (Path(home) / "neighbour").write_text("as it was")
        try:
            restore(root, as_saved)
        finally:
            _open_up(root)
        assert sorted(os.listdir(home)) == ["neighbour", "root"], "nothing beside the folder"
        assert (Path(home) / "neighbour").read_text() == "as it was"
        real = os.path.realpath(root)
        outside = [path for path in as_saved if not os.path.realpath(root / path).startswith(real)]
        assert outside == [], "no path leads out of the folder"
    return len(as_saved)


def _entry(entry: Any) -> Any:
    """JSON has neither tuples nor bytes."""
    if not isinstance(entry, list):
        return entry
    parts = [
        each.encode("utf-8", "replace") if place == 3 and isinstance(each, str) else each
        for place, each in enumerate(entry)
    ]
    return tuple(parts)


def _open_up(root: Path) -> None:
    """So that the folder can be deleted, whatever modes were restored."""
    for folder, _, _ in os.walk(root):
        for each in os.scandir(folder):
            if each.is_dir(follow_symlinks=False):
                os.chmod(each.path, 0o700)
