"""Packed bytes: they come back exactly, and nothing but what was written is ever unpacked."""

import random
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints import codec
from spotproof.checkpoints.codec import Packed, as_it_is, compress, compress_probed, decompress, decompress_into, verify
from spotproof.checkpoints.segment import FREE_BYTES, SHRINKAGE_MAX, Segment
from spotproof.errors import CheckpointCorruptError

NOISE = random.Random(4).randbytes(200_000)
SMALL_NUMBERS = bytes(byte & 3 for byte in NOISE)


def segment_of(packed: Packed) -> Segment:
    return Segment(
        key="k", offset=0, size_bytes=packed.size_bytes, raw_bytes=packed.raw_bytes, codec=packed.codec,
        xxh3=packed.xxh3, count=0,
    )  # fmt: skip


def declared(stored: bytes, *, raw_bytes: int) -> Segment:
    """The segment that a liar would write for these bytes: its digest is right."""
    return Segment(
        key="k", offset=0, size_bytes=len(stored), raw_bytes=raw_bytes, codec="zstd", xxh3=codec.digest(stored), count=0
    )


def both_ways(segment: Segment, stored: bytes | None) -> list[bytes]:
    target = bytearray(segment.raw_bytes)
    decompress_into(segment, stored, memoryview(target))
    return [decompress(segment, stored), bytes(target)]


def refused(segment: Segment, stored: bytes | None, match: str) -> None:
    with pytest.raises(CheckpointCorruptError, match=match):
        decompress(segment, stored)
    with pytest.raises(CheckpointCorruptError, match=match):
        decompress_into(segment, stored, memoryview(bytearray(segment.raw_bytes)))


@given(st.binary(max_size=400) | st.integers(0, 5000).map(lambda size: bytes(size)), st.sampled_from([-1, 1]))
def test_any_bytes_come_back(raw: bytes, level: int) -> None:
    packed = compress(raw, level=level)

    assert both_ways(segment_of(packed), bytes(packed.stored)) == [raw, raw]


@pytest.mark.parametrize("raw", [NOISE, SMALL_NUMBERS, b"", b"a", bytes(3 * 2**17 + 5)])
def test_any_kind_of_memory_is_packed(raw: bytes) -> None:
    for memory in (raw, bytearray(raw), memoryview(bytearray(raw))):
        for packed in (compress(memory), compress_probed(memory), as_it_is(memory)):
            assert packed.raw_bytes == len(raw)
            assert both_ways(segment_of(packed), bytes(packed.stored)) == [raw, raw]


def test_what_shrinks_is_packed_and_what_does_not_stays_as_it_is() -> None:
    assert compress(SMALL_NUMBERS).codec == "zstd"
    assert compress(SMALL_NUMBERS).size_bytes < len(SMALL_NUMBERS) / 2
    assert compress(NOISE).codec == "raw"


def test_noise_is_taken_without_a_copy() -> None:
    memory = memoryview(bytearray(NOISE))

    assert compress_probed(memory).stored is memory
    assert compress(memory).stored is memory
    assert as_it_is(memory).stored is memory


@pytest.mark.parametrize("blank", [slice(0, 66_000), slice(-66_000, None)])
def test_the_probe_looks_at_more_than_one_end(blank: slice) -> None:
    half = bytearray(NOISE)
    half[blank] = bytes(len(half[blank]))

    assert compress_probed(half).codec == "zstd"


def test_a_probe_of_noise_does_not_pack_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(raw: object) -> Packed:
        raise AssertionError("packed although the samples did not shrink")

    monkeypatch.setattr(codec, "compress", never)

    assert compress_probed(NOISE).codec == "raw"


def test_every_flipped_bit_every_truncation_and_a_tail_are_noticed() -> None:
    for raw in (SMALL_NUMBERS[:300], NOISE[:60]):
        packed = compress(raw)
        stored = bytes(packed.stored)
        for position in range(len(stored) * 8):
            damaged = bytearray(stored)
            damaged[position // 8] ^= 1 << position % 8
            refused(segment_of(packed), bytes(damaged), "does not match its digest")
        for damaged_too in [*(stored[:size] for size in range(len(stored))), stored + b"x"]:
            refused(segment_of(packed), damaged_too, "does not match its digest")


def test_a_missing_object_is_corrupt() -> None:
    refused(segment_of(compress(NOISE)), None, "object k at 0 is missing")
    with pytest.raises(CheckpointCorruptError, match="missing"):
        verify(segment_of(compress(NOISE)), None)


def test_a_frame_that_claims_more_than_the_manifest_takes_no_memory() -> None:
    bomb = bytearray(zstandard.compress(bytes(1000), 3))
    claiming = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + bomb[7:]
    assert zstandard.get_frame_parameters(claiming).content_size == 2**40

    refused(declared(claiming, raw_bytes=1000), claiming, "claims 1099511627776 bytes instead of 1000")


def test_a_bomb_is_stopped_at_the_declared_size() -> None:
    bomb = zstandard.compress(bytes(50 * 2**20), 19)

    refused(declared(bomb, raw_bytes=100), bomb, "claims 52428800 bytes instead of 100")


def test_a_frame_with_less_or_more_inside_than_it_claims_is_corrupt() -> None:
    honest = zstandard.ZstdCompressor(level=1).compress(bytes(300) + NOISE[:300])
    assert honest[4:7] == b"\x60" + (600 - 256).to_bytes(2, "little")

    for claim in (599, 601, 60_000):
        lying = honest[:5] + (claim - 256).to_bytes(2, "little") + honest[7:]
        refused(declared(lying, raw_bytes=claim), lying, "can't be unpacked")


def test_anything_after_the_frame_is_corrupt() -> None:
    frame = bytes(compress(SMALL_NUMBERS).stored)
    skippable = b"\x50\x2a\x4d\x18\x00\x00\x00\x00"

    for tail in (b"\x00", frame, skippable, zstandard.compress(b"")):
        refused(declared(frame + tail, raw_bytes=len(SMALL_NUMBERS)), frame + tail, "can't be unpacked")


@pytest.mark.parametrize("stored", [b"", b"\x28", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00", b"x" * 99])
def test_bytes_that_are_no_frame_are_corrupt(stored: bytes) -> None:
    refused(declared(stored, raw_bytes=100), stored, "can't be unpacked")


def test_a_frame_cut_short_under_a_right_digest_is_corrupt() -> None:
    frame = bytes(compress(SMALL_NUMBERS).stored)

    for size in [*range(20), *range(20, len(frame), 997), len(frame) - 1]:
        refused(declared(frame[:size], raw_bytes=len(SMALL_NUMBERS)), frame[:size], "can't be unpacked")


def test_a_frame_of_a_dictionary_or_with_a_checksum_was_never_ours() -> None:
    checked = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(SMALL_NUMBERS)
    dictionary = zstandard.train_dictionary(
        512, [SMALL_NUMBERS[start : start + 300] for start in range(0, 90_000, 300)]
    )
    foreign = zstandard.ZstdCompressor(level=1, dict_data=dictionary).compress(SMALL_NUMBERS)

    for stored in (checked, foreign):
        refused(declared(stored, raw_bytes=len(SMALL_NUMBERS)), stored, "which no worker ever wrote")


def test_a_frame_of_countless_empty_blocks_is_given_up() -> None:
    stored = b"\x28\xb5\x2f\xfd\x20\x64" + bytes(3) * 1_000_000

    with pytest.raises(CheckpointCorruptError, match="tiny blocks"):
        decompress_into(declared(stored, raw_bytes=100), stored, memoryview(bytearray(100)))


def test_nothing_is_packed_tighter_than_a_reader_believes() -> None:
    blank = bytes(FREE_BYTES + 1)

    assert compress(blank).codec == "raw"
    assert compress(blank[:-1]).codec == "zstd"
    assert len(blank) > SHRINKAGE_MAX * compress(blank[:-1]).size_bytes


def test_a_digest_of_another_part_is_noticed() -> None:
    first, other = compress(NOISE[:500]), compress(NOISE[500:1000])

    with pytest.raises(CheckpointCorruptError, match="does not match its digest"):
        verify(segment_of(first), other.stored)
    with pytest.raises(CheckpointCorruptError, match="does not match its digest"):
        verify(replace(segment_of(first), size_bytes=499, raw_bytes=499), first.stored)
    with pytest.raises(CheckpointCorruptError, match="inside the manifest"):
        verify(replace(segment_of(first), key="", inline="AA=="), b"\x00")
