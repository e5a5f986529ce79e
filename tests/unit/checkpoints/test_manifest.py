"""Manifests: strict on reading, whatever happened to the bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from spotproof.checkpoints.manifest import (
    BaseSlice,
    BlockDelta,
    ImageEntry,
    Manifest,
    ManifestId,
    MapEntry,
    data_key,
    decode_manifest,
    encode_manifest,
    epoch_of,
    manifest_key,
    parse_manifest_key,
    seal,
)
from spotproof.checkpoints.segment import Segment
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError

ID = ManifestId(epoch=3, seq=12, nonce="abc")
PREFIX = "checkpoints/run-1/00000007/"
KEY = f"{PREFIX}00000003/m/000000000012-abc"


def segment(key: str = f"{PREFIX}00000002/d/000000000011-00ff-00", **changes: Any) -> Segment:
    usual = Segment(key=key, offset=0, size_bytes=10, raw_bytes=20, codec="zstd", xxh3="0" * 32, count=2)
    return replace(usual, **changes)


def inline_segment() -> Segment:
    return segment("", size_bytes=3, inline="AAAA")


def image(**changes: Any) -> ImageEntry:
    """Two and a half slices: one written, one of zeros, one missing; changed by the saves 9 and 11."""
    usual = ImageEntry(
        kind="array",
        descr={"dtype": "<f8", "shape": [1280]},
        length=10_240,
        slices=(BaseSlice(seq=8, segment=segment(raw_bytes=4096)), BaseSlice(seq=0, segment=None)),
        deltas=(
            BlockDelta(seq=9, length=9000, touched=frozenset({0, 1}), segments=(segment(), inline_segment())),
            BlockDelta(seq=11, length=10_240, touched=frozenset(), segments=()),
        ),
    )
    return replace(usual, **changes)


def manifest(base: Segment | None = None, **changes: Any) -> Manifest:
    usual = Manifest(
        run_id="run-1",
        shard=7,
        id=ID,
        parent=f"{PREFIX}00000002/m/000000000011-00ff",
        writer="session-é",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        serializer="typed-json-1",
        inline='{"d":[]}',
        values=None,
        maps={"totals": MapEntry(base=base or segment(), deltas=(segment(),), length=3)},
        images={"array/weights": image(), "file/folder/work.sqlite": image(kind="file", descr={"mode": 420})},
        slice_bytes=4096,
    )
    return replace(usual, **changes)


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
    with pytest.raises(CheckpointTooNewError, match="schema 3"):
        decode(resealed(schema=3, maps="something else"))


@pytest.mark.parametrize("other", [{"run": "run-2"}, {"shard": 8}, {"epoch": 4}, {"seq": 13}, {"nonce": "abd"}])
def test_a_newer_manifest_at_anothers_place_is_damage_that_no_newer_worker_mends(other: dict[str, Any]) -> None:
    with pytest.raises(CheckpointCorruptError, match="schema 3 was written for another key"):
        decode(resealed(schema=3, maps="something else", **other))


def test_manifests_of_other_runs_shards_and_keys_are_refused() -> None:
    data = encode_manifest(manifest())

    with pytest.raises(CheckpointCorruptError, match="belongs to run run-1 shard 7"):
        decode(data, run_id="run-2")
    with pytest.raises(CheckpointCorruptError, match="belongs to run run-1 shard 7"):
        decode(data, shard=8)
    with pytest.raises(CheckpointCorruptError, match="was written as"):
        decode(data, key=KEY.replace("12-abc", "13-abc"))


def test_the_schema_before_images_is_not_read_any_more() -> None:
    with pytest.raises(CheckpointCorruptError, match="schema 1, which is not read any more"):
        decode(resealed(schema=1))


def test_keys_in_the_text_are_relative_so_a_manifest_can_only_name_its_own_shards_objects() -> None:
    text = encode_manifest(manifest()).decode()

    assert text.count(PREFIX) == 1, "only the parent is named in full"
    assert decode(encode_manifest(manifest())).maps["totals"].base.key == segment().key


@pytest.mark.parametrize(
    "key",
    [
        "checkpoints/run-1/00000008/00000002/d/000000000011-00ff-00", "../00000008/00000002/d/000000000011-00ff-00",
        "00000002/m/000000000011-00ff", "00000002/d/000000000011-00ff", "00000002/d/11-00ff-00", "2/d/000000000011-00ff-00",
        "00000002/d/000000000011-00ff-00/x", "00000002/d/000000000011-00ff-00\n", "0000000२/d/000000000011-00ff-00", "secrets", "",
    ],
)  # fmt: skip
def test_what_is_no_data_object_of_the_shard_is_never_read(key: str) -> None:
    for place in (
        {"maps": {"totals": MapEntry(base=segment(PREFIX + key), deltas=(), length=3)}},
        {"images": {"array/weights": image(slices=(BaseSlice(seq=8, segment=segment(PREFIX + key)),))}},
        {"inline": None, "values": segment(PREFIX + key)},
    ):
        with pytest.raises(CheckpointCorruptError, match="which is no data object of its shard"):
            decode(encode_manifest(manifest(**place)))


@pytest.mark.parametrize("parent", ["", "x", KEY.replace("/m/", "/d/"), KEY.replace("00000007", "00000008")])
def test_a_parent_is_a_manifest_of_the_same_shard(parent: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="which is no manifest of its shard"):
        decode(encode_manifest(manifest(parent=parent)))
    assert decode(encode_manifest(manifest(parent=None))).parent is None


def test_the_number_in_a_data_key_may_grow() -> None:
    keys = [data_key("run-1", 7, ID, number) for number in (0, 99, 100, 65_536)]

    assert [key.rpartition("-")[2] for key in keys] == ["00", "99", "100", "65536"]
    for key in keys:
        assert decode(encode_manifest(manifest(segment(key)))).maps["totals"].base.key == key


def member(name: str, **changes: object) -> dict[str, object]:
    """The member `images` or `maps` with changes inside its first entry."""
    body = json.loads(encode_manifest(manifest()))[name]
    first = "array/weights" if name == "images" else "totals"
    return {name: {**body, first: {**body[first], **changes}}}


RAW_SEGMENT = segment().to_json(prefix=PREFIX)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "1"}, {"schema": True}, {"schema": None}, {"seq": "12"}, {"seq": -1}, {"seq": 2**63}, {"shard": None},
        {"epoch": True}, {"created": "2026-01-01"}, {"created": 5}, {"created": "2026-01-01T00:00:00Z"}, {"created": "0001-01-01T00:00:00+14:00"}, {"inline": None},
        {"inline": 5}, {"maps": []}, {"maps": {"x": {}}}, {"maps": {"x": 5}}, {"values": {"key": "k"}}, {"values": RAW_SEGMENT},
        {"writer": 1}, {"writer": "\ud800"}, {"inline": "\ud800"}, {"nonce": "\ud800"},
        *({"serializer": name} for name in ("", "Typed-json-1", "a b", "x" * 65, "\ud800", "é")), {"serializer": None}, {"images": []}, {"images": {"x": {}}}, {"images": None}, {"extra": 1},
        {"slice_bytes": 0}, {"slice_bytes": 0, "images": {}}, {"slice_bytes": 4095}, {"slice_bytes": 2**26 + 4096}, {"slice_bytes": None}, {"slice_bytes": 4096.0},
        member("maps", base=None), member("maps", deltas=None), member("maps", deltas={}), member("maps", length=-1),
        member("maps", length=True), member("maps", extra=1), member("maps", base=[*RAW_SEGMENT[:3], 2**40, *RAW_SEGMENT[4:]]),
        member("images", kind="pickle"), member("images", kind=None), member("images", kind=[]), member("images", descr=None),
        member("images", descr=[]), member("images", length=2**40 + 1), member("images", length=-1), member("images", length="1"),
        member("images", slices=None), member("images", slices=[[8]]), member("images", slices=[None]),
        member("images", slices=[[8, RAW_SEGMENT[:6]]]), member("images", slices=[[13, None]]), member("images", slices=[[-1, None]]),
        member("images", slices=[[0, None]] * 4), member("images", slices=[[8, [*RAW_SEGMENT[:3], 4097, *RAW_SEGMENT[4:]]]]),
        member("images", deltas=None), member("images", deltas=[[9, 9000]]), member("images", deltas=[[9, 9000, "1", None]]),
        member("images", deltas=[[9, 2**40 + 1, "1", []]]), member("images", deltas=[[9, -1, "1", []]]), member("images", deltas=[[13, 0, "1", []]]),
        member("images", deltas=[[9, 0, "1", []], [9, 0, "1", []]]), member("images", deltas=[[10, 0, "1", []], [9, 0, "1", []]]),
        *(member("images", deltas=[[9, 9000, bits, []]]) for bits in ("", "-1", "01", "0x1", "1_1", "F", "g", "8", 1, None)),
        member("images", deltas=[["9", 0, "1", []]]), member("images", extra=1),
        member("images", deltas=[[9, 0, "1", [[*RAW_SEGMENT[:3], 2**26 + 1, *RAW_SEGMENT[4:]]]]]),
    ],
)  # fmt: skip
def test_members_of_wrong_types_are_corrupt_even_under_a_right_digest(changes: dict[str, object]) -> None:
    with pytest.raises(CheckpointCorruptError):
        decode(resealed(**changes))


@pytest.mark.parametrize("name", sorted(json.loads(encode_manifest(manifest())).keys() - {"root"}))
def test_no_member_may_be_missing(name: str) -> None:
    body = json.loads(encode_manifest(manifest()))
    del body[name]

    with pytest.raises(CheckpointCorruptError):
        decode(seal({key: value for key, value in body.items() if key != "root"}))


def test_slices_may_reach_as_far_as_the_image_ever_did() -> None:
    long_ago = BlockDelta(seq=9, length=16_384, touched=frozenset({3}), segments=())
    slices = tuple(BaseSlice(seq=0, segment=None) for _ in range(4))

    shrunk = image(length=100, slices=slices, deltas=(long_ago,))

    assert decode(encode_manifest(manifest(images={"array/x": shrunk}))).images == {"array/x": shrunk}
    with pytest.raises(CheckpointCorruptError, match="100 bytes have no more than 1 slices of 4096"):
        decode(encode_manifest(manifest(images={"array/x": replace(shrunk, deltas=())})))


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "..", "../x", "a/../x", "a/..", ".", "./x", "a/./x", "a//x", "a/", "a\\x", "a\0x", "a\nx", "\x7f",
        "\ud800", "x" * 1025, "é" * 600, "a/" + "x" * 256, "é" * 128, "/".join(["é" * 100] * 6),
    ],
)  # fmt: skip
def test_a_file_never_leads_out_of_its_folder(path: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="malformed manifest"):
        decode(encode_manifest(manifest(images={f"file/{path}": image(kind="file")})))


@pytest.mark.parametrize(
    "path", ["x", "a/b/c.sqlite", "...", ".hidden", "a b", "é", "x" * 255, "/".join(["x" * 204] * 5)]
)
def test_ordinary_paths_are_taken(path: str) -> None:
    assert list(decode(encode_manifest(manifest(images={f"file/{path}": image(kind="file")}))).images) == [
        f"file/{path}"
    ]


def test_a_file_is_no_other_files_folder() -> None:
    for paths in (("a", "a/b"), ("a/b/c", "a"), ("a-b", "a/b", "a/b/c/d")):
        with pytest.raises(CheckpointCorruptError, match="lies below another file"):
            decode(encode_manifest(manifest(images={f"file/{path}": image(kind="file") for path in paths})))
    siblings = {f"file/{path}": image(kind="file") for path in ("a/b", "a/bc", "ab", "a/c/d")}
    assert decode(encode_manifest(manifest(images=siblings))).images.keys() == siblings.keys()


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "\ud800"])
def test_names_that_no_code_can_have_given_are_corrupt(name: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="printable"):
        decode(encode_manifest(manifest(images={f"array/{name}": image()})))
    with pytest.raises(CheckpointCorruptError, match="printable"):
        decode(encode_manifest(manifest(maps={name: MapEntry(base=segment(), deltas=(), length=0)})))


@pytest.mark.parametrize("name", ["x", "file/x", "tensors/x", "/array/x", "", "Array/x"])
def test_the_name_of_an_image_says_its_kind(name: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="an image of kind array is called"):
        decode(encode_manifest(manifest(images={name: image()})))


def test_an_image_has_no_more_slices_than_a_terabyte_has() -> None:
    most = image(length=2**28, slices=(), deltas=())
    deltas = tuple(BlockDelta(seq=seq, length=2**28, touched=frozenset({65_535}), segments=()) for seq in range(13))

    assert decode(encode_manifest(manifest(images={"array/x": most}))).images == {"array/x": most}
    assert decode(encode_manifest(manifest(images={"array/x": replace(most, deltas=deltas)}))).image_bytes == 2**28
    with pytest.raises(CheckpointCorruptError, match="65537 slices"):
        decode(encode_manifest(manifest(images={"array/x": replace(most, length=2**28 + 1)})))


def test_deltas_that_claim_to_touch_everything_take_no_memory() -> None:
    everything = [[seq, 2**28, "f" * 2**16, []] for seq in range(70)]

    with pytest.raises(CheckpointCorruptError, match="72 deltas touch"):
        decode(resealed(**member("images", length=2**28, slices=[], deltas=everything)))


def test_what_a_generation_needs_is_known_before_anything_is_read() -> None:
    some = manifest(inline=None, values=segment(f"{PREFIX}00000003/d/000000000012-abc-00"))

    assert some.keys == {KEY, segment().key, f"{PREFIX}00000003/d/000000000012-abc-00"}
    assert some.inline_bytes == 2 * 3
    assert some.image_bytes == 2 * 10_240
    assert len(some.segments) == 1 + 2 + 2 * 3


def test_values_that_json_does_not_know_never_reach_the_bucket() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_manifest(manifest(images={"array/x": image(descr={"scale": float("nan")})}))


@pytest.mark.parametrize(
    "data", [b"null", b"[]", b"7", b"", b"\xff", b"[" * 100_000, b'{"root":"x"}', b'{"a":NaN}', b'{"a":1e999}']
)
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


@pytest.mark.parametrize(
    ("key", "epoch"),
    [(KEY, 3), (f"{PREFIX}00000012/d/x", 12), (f"{PREFIX}x/m/y", None), (f"{PREFIX}٣/m/y", None), ("x", None)],
)
def test_every_key_of_the_shard_tells_its_epoch(key: str, epoch: int | None) -> None:
    assert epoch_of(key, run_id="run-1", shard=7) == epoch
