"""Manifests: strict on reading, whatever happened to the bytes."""

import json
from datetime import UTC, datetime

import pytest

from spotproof.checkpoints.manifest import (
    Manifest,
    ManifestId,
    MapEntry,
    decode_manifest,
    encode_manifest,
    manifest_key,
    parse_manifest_key,
    seal,
)
from spotproof.checkpoints.segment import Segment, pack, unpack
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError

ID = ManifestId(epoch=3, seq=12, nonce="abc")
PREFIX = "checkpoints/run-1/00000007/"
KEY = f"{PREFIX}00000003/m/000000000012-abc"


def segment(key: str = f"{PREFIX}00000002/d/000000000011-00ff-00") -> Segment:
    return Segment(key=key, sha256="0" * 64, size_bytes=10, raw_bytes=20, codec="zlib", count=2)


def manifest(base: Segment | None = None) -> Manifest:
    return Manifest(
        run_id="run-1",
        shard=7,
        id=ID,
        parent=None,
        writer="session-é",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        serializer="typed-json-1",
        inline='{"d":[]}',
        values=None,
        maps={"totals": MapEntry(base=base or segment(), deltas=(segment(),), length=3)},
    )


def decode(data: bytes, *, run_id: str = "run-1", shard: int = 7, key: str = KEY) -> Manifest:
    return decode_manifest(data, run_id=run_id, shard=shard, key=key)


def resealed(**changes: object) -> bytes:
    """An intact manifest by another author: changed members under a right digest."""
    body = json.loads(encode_manifest(manifest()))
    del body["root"]
    body.update(changes)
    return seal(body)


def test_a_manifest_comes_back_as_written() -> None:
    assert manifest().key == KEY
    assert decode(encode_manifest(manifest())) == manifest()
    assert parse_manifest_key(KEY, run_id="run-1", shard=7) == ID


def test_every_single_flipped_bit_is_noticed() -> None:
    data = encode_manifest(manifest())

    for position in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(CheckpointCorruptError):
            decode(bytes(damaged))


def test_every_truncation_and_any_tail_is_noticed() -> None:
    data = encode_manifest(manifest())

    for damaged in [*(data[:size] for size in range(len(data))), data + b" ", data + data]:
        with pytest.raises(CheckpointCorruptError):
            decode(damaged)


def test_an_intact_newer_schema_is_too_new_and_not_corrupt() -> None:
    with pytest.raises(CheckpointTooNewError, match="schema 2"):
        decode(resealed(schema=2, maps="something else"))


def test_manifests_of_other_runs_shards_and_keys_are_refused() -> None:
    data = encode_manifest(manifest())

    with pytest.raises(CheckpointCorruptError, match="belongs to run run-1 shard 7"):
        decode(data, run_id="run-2")
    with pytest.raises(CheckpointCorruptError, match="belongs to run run-1 shard 7"):
        decode(data, shard=8)
    with pytest.raises(CheckpointCorruptError, match="was written as"):
        decode(data, key=KEY.replace("12-abc", "13-abc"))


@pytest.mark.parametrize(
    "key",
    [
        "checkpoints/run-1/00000008/00000002/d/000000000011-00ff-00",
        f"{PREFIX}../00000008/d/000000000011-00ff-00",
        f"{PREFIX}00000002/m/000000000011-00ff",
        "secrets",
        "",
    ],
)
def test_objects_outside_the_shard_are_never_read(key: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="which is not below"):
        decode(encode_manifest(manifest(segment(key))))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "1"}, {"schema": True}, {"seq": "12"}, {"shard": None}, {"created": "2026-01-01"}, {"created": 5}, {"inline": None},
        {"maps": []}, {"maps": {"x": {}}}, {"maps": {"x": 5}}, {"values": {"key": "k"}}, {"writer": 1},
        {"maps": {"x": {"base": {**segment().to_json(), "raw_bytes": 2**40}, "deltas": [], "length": 1}}},
        {"maps": {"x": {"base": {**segment().to_json(), "codec": "exec"}, "deltas": [], "length": 1}}},
        {"maps": {"x": {"base": {**segment().to_json(), "size_bytes": -1}, "deltas": [], "length": 1}}},
        {"maps": {"x": {"base": {**segment().to_json(), "sha256": "0"}, "deltas": [], "length": 1}}},
    ],
)  # fmt: skip
def test_members_of_wrong_types_are_corrupt_even_under_a_right_digest(changes: dict[str, object]) -> None:
    with pytest.raises(CheckpointCorruptError):
        decode(resealed(**changes))


@pytest.mark.parametrize("data", [b"null", b"[]", b"7", b"", b"\xff", b"[" * 100_000, b'{"root":"x"}'])
def test_other_json_is_corrupt(data: bytes) -> None:
    with pytest.raises(CheckpointCorruptError):
        decode(data)


@pytest.mark.parametrize(
    "key", ["", "x", PREFIX, KEY + "/x", KEY.replace("/m/", "/d/"), KEY.replace("00000007", "00000008"), KEY[:-4]]
)
def test_keys_that_are_no_manifest_of_the_shard_are_told_apart(key: str) -> None:
    assert parse_manifest_key(key, run_id="run-1", shard=7) is None


def test_generations_sort_by_epoch_then_sequence() -> None:
    ids = [ManifestId(epoch=e, seq=s, nonce=n) for e, s, n in [(2, 1, "a"), (1, 9, "z"), (2, 3, "0")]]

    assert [(each.epoch, each.seq) for each in sorted(ids)] == [(1, 9), (2, 1), (2, 3)]
    assert manifest_key("run-1", 7, ID) == KEY


def test_packed_data_is_smaller_and_comes_back_and_incompressible_data_stays_raw() -> None:
    packed, stored = pack(b"ab" * 1000, key="k", count=1)
    raw, raw_stored = pack(bytes(range(200)), key="k", count=1)

    assert packed.codec == "zlib"
    assert packed.size_bytes == len(stored) < 200
    assert unpack(packed, stored) == b"ab" * 1000
    assert raw.codec == "raw"
    assert unpack(raw, raw_stored) == bytes(range(200))


def test_a_decompression_bomb_is_stopped_at_the_declared_size() -> None:
    import hashlib
    import zlib

    bomb = zlib.compress(bytes(50 * 2**20), 9)
    declared = Segment(
        key="k", sha256=hashlib.sha256(bomb).hexdigest(), size_bytes=len(bomb), raw_bytes=100, codec="zlib", count=1
    )

    with pytest.raises(CheckpointCorruptError, match="does not unpack to 100 bytes"):
        unpack(declared, bomb)


def test_a_missing_or_swapped_object_is_corrupt() -> None:
    first, stored = pack(b"first", key="k", count=1)
    _, other = pack(b"other", key="k", count=1)

    for found in (None, other, stored + b"x", b""):
        with pytest.raises(CheckpointCorruptError):
            unpack(first, found)
