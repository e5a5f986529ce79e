"""Segments: a reader believes only what a writer can have written."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from spotproof.checkpoints.segment import FREE_BYTES, OBJECT_BYTES_MAX, RAW_BYTES_MAX, SHRINKAGE_MAX, Segment

PREFIX = "checkpoints/run-1/00000007/"
STORED = Segment(
    key=f"{PREFIX}00000002/d/000000000011-00ff-00", offset=5, size_bytes=10, raw_bytes=20, codec="zstd", xxh3="0f" * 16, count=2
)  # fmt: skip
INLINE = replace(STORED, key="", offset=0, inline=base64.b64encode(b"0123456789").decode())


def with_member(position: int, value: object, *, of: Segment = STORED) -> list[Any]:
    members = of.to_json(prefix=PREFIX)
    members[position] = value
    return members


def read(members: Any) -> Segment:
    return Segment.from_json(members, prefix=PREFIX)


@pytest.mark.parametrize("segment", [STORED, INLINE, replace(STORED, codec="raw", raw_bytes=10)])
def test_a_segment_comes_back_as_written(segment: Segment) -> None:
    assert read(segment.to_json(prefix=PREFIX)) == segment


def test_keys_are_written_without_the_shards_prefix() -> None:
    assert STORED.to_json(prefix=PREFIX)[0] == "00000002/d/000000000011-00ff-00"
    assert read(with_member(0, f"{PREFIX}x")).key == f"{PREFIX}{PREFIX}x"


def test_inline_bytes_are_there_for_those_that_have_them() -> None:
    assert INLINE.inline_bytes == b"0123456789"
    assert STORED.inline_bytes is None


@pytest.mark.parametrize(
    "members",
    [
        None, {}, "x" * 7, [], STORED.to_json(prefix=PREFIX)[:6], [*INLINE.to_json(prefix=PREFIX), ""],
        with_member(0, None), with_member(0, 7), with_member(1, -1), with_member(1, 1.0), with_member(1, OBJECT_BYTES_MAX - 9),
        with_member(2, True), with_member(2, "10"), with_member(2, 20), with_member(2, 0),
        with_member(3, RAW_BYTES_MAX + 1), with_member(3, 10), with_member(3, FREE_BYTES + 1), with_member(4, "zlib"),
        with_member(4, "raw"), with_member(4, None), with_member(4, []), with_member(5, "0F" * 16), with_member(5, "0f" * 15),
        with_member(5, 7), with_member(6, -1), with_member(6, 21), with_member(6, 2**70), with_member(6, None),
    ],
)  # fmt: skip
def test_impossible_segments_are_refused(members: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        read(members)


@pytest.mark.parametrize(
    "members",
    [
        with_member(0, "x", of=INLINE), with_member(1, 1, of=INLINE), with_member(7, "?", of=INLINE), with_member(7, 5, of=INLINE),
        with_member(7, "é", of=INLINE), with_member(7, base64.b64encode(b"012345678").decode(), of=INLINE),
        with_member(7, "MDEyMzQ1Njc4OR==", of=INLINE), [*STORED.to_json(prefix=PREFIX), INLINE.inline],
    ],
)  # fmt: skip
def test_impossible_inline_bytes_are_refused(members: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        read(members)


def test_the_reader_sets_the_most_that_it_takes() -> None:
    members = STORED.to_json(prefix=PREFIX)

    assert Segment.from_json(members, prefix=PREFIX, raw_bytes_max=20) == STORED
    with pytest.raises(ValueError, match="exceed 19 bytes"):
        Segment.from_json(members, prefix=PREFIX, raw_bytes_max=19)


def test_no_small_object_claims_gigabytes() -> None:
    claim = FREE_BYTES + SHRINKAGE_MAX
    enough = claim // SHRINKAGE_MAX

    assert read(replace(STORED, size_bytes=enough, raw_bytes=claim).to_json(prefix=PREFIX)).raw_bytes == claim
    with pytest.raises(ValueError, match="can't be"):
        read(replace(STORED, size_bytes=enough - 1, raw_bytes=claim).to_json(prefix=PREFIX))
