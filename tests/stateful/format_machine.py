"""Formats: whatever becomes of the bytes, a reader finds what was written or one of our two errors, and soon."""

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from spotproof.checkpoints import codec
from spotproof.checkpoints.block_delta import blocks_of, decode_blocks, delta_bytes, write_header
from spotproof.checkpoints.codec import Packed, compress, compress_probed, decompress, decompress_into
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
)
from spotproof.checkpoints.memory.pages import BLOCK, Bytes8, Numbers
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state_map import apply_changes
from spotproof.contract import checkpoints_prefix
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError
from tests.stateful.campaign import CountedMachine
from tests.stateful.forgery import damaged, forged_manifest, forged_values

RUN: Final = "run-1"
SHARD: Final = 7
PREFIX: Final = checkpoints_prefix(RUN, SHARD)
SLICE_BYTES: Final = 4096
RAW_BYTES_MAX: Final = 2**20  # of what a forged segment claims here; a bigger claim costs time and tells nothing new
seeds = st.integers(0, 2**64 - 1)


class Formats(CountedMachine):
    reached = (
        "a damaged manifest is refused",
        "a forged manifest is refused",
        "a forged manifest is read as it is written",
        "a newer manifest is told apart",
        "a damaged object is refused",
        "an impossible segment is refused",
        "a forged frame is refused",
        "a forged frame is read",
        "a forged block delta is refused",
        "a forged block delta is read as it is written",
        "forged values are refused",
        "forged values are read",
        "a forged map delta is refused",
    )

    @initialize(seed=seeds)
    def write_a_checkpoint(self, seed: int) -> None:
        rng = random.Random(seed)
        self.manifest = a_manifest(rng)
        self.data = encode_manifest(self.manifest)
        self.other = encode_manifest(a_manifest(rng))
        assert self._decode(self.data) == self.manifest

    def _decode(self, data: bytes) -> Manifest:
        return decode_manifest(data, run_id=RUN, shard=SHARD, key=self.manifest.key)

    @rule(seed=seeds)
    def damage_the_manifest(self, seed: int) -> None:
        found = damaged(self.data, random.Random(seed), other=self.other)
        if found != self.data:
            self._refuse("a damaged manifest", CheckpointCorruptError, lambda: self._decode(found))

    @rule(seed=seeds)
    def forge_the_manifest(self, seed: int) -> None:
        found = forged_manifest(self.data, random.Random(seed))
        try:
            manifest = self._decode(found)
        except CheckpointCorruptError:
            self.note("a forged manifest is refused")
        except CheckpointTooNewError:
            self.note("a newer manifest is told apart")
        else:
            assert encode_manifest(manifest) == found
            assert all(key.startswith(PREFIX) for key in manifest.keys)
            self.note("a forged manifest is read as it is written")

    @rule(seed=seeds)
    def damage_an_object(self, seed: int) -> None:
        rng = random.Random(seed)
        raw, other = some_bytes(rng), some_bytes(rng)
        packed = rng.choice([compress, compress_probed])(raw)
        segment = a_segment(rng, packed)
        stored = bytes(packed.stored)
        assert unpacked_both_ways(segment, stored) == raw
        found = damaged(stored, rng, other=other)
        if found != stored:
            self._refuse("a damaged object", CheckpointCorruptError, lambda: decompress(segment, found))
            self._refuse("a damaged object", CheckpointCorruptError, lambda: filled(segment, found))

    @rule(seed=seeds)
    def forge_a_frame(self, seed: int) -> None:
        rng = random.Random(seed)
        raw = some_bytes(rng)
        found = damaged(bytes(compress(raw + bytes(4000)).stored), rng, other=raw)
        claim = rng.choice([len(raw) + 4000, rng.randrange(2 * len(raw) + 2), rng.randrange(RAW_BYTES_MAX)])
        members = ["", 0, len(found), claim, "zstd", codec.digest(found), 0, base64.b64encode(found).decode()]
        try:
            segment = Segment.from_json(members, prefix=PREFIX)
        except (TypeError, ValueError):
            self.note("an impossible segment is refused")
            return
        try:
            unpacked = unpacked_both_ways(segment, found)
        except CheckpointCorruptError:
            self.note("a forged frame is refused")
        else:
            assert len(unpacked) == claim
            self.note("a forged frame is read")

    @rule(seed=seeds)
    def forge_a_block_delta(self, seed: int) -> None:
        rng = random.Random(seed)
        numbers = np.array(sorted(rng.sample(range(60), rng.randrange(6))), np.int64)
        data = np.frombuffer(rng.randbytes(len(numbers) * BLOCK), np.uint8)
        raw = encode_blocks(numbers, data)
        found = bytearray(raw)
        for _ in range(rng.randrange(1, 3)):
            found[4 * rng.randrange(len(numbers) + 1)] ^= 1 << rng.randrange(6)
        if rng.random() < 0.2:
            found = bytearray(damaged(raw, rng, other=rng.randbytes(40)))
        try:
            blocks, changes = decode_blocks(found, blocks_max=60)
        except CheckpointCorruptError:
            self.note("a forged block delta is refused")
        else:
            assert encode_blocks(blocks, changes) == found
            assert all(0 <= number < 60 for number in blocks.tolist())
            assert sorted(set(blocks.tolist())) == blocks.tolist()
            self.note("a forged block delta is read as it is written")

    @rule(seed=seeds)
    def forge_values(self, seed: int) -> None:
        rng = random.Random(seed)
        written = DEFAULT.encode([["AA"], {"UA": some_value(rng)}, {("B6", 1): some_value(rng)}], at="x")
        found = forged_values(written, rng) if rng.random() < 0.7 else damaged(written, rng, other=written[::-1])
        try:
            payload = DEFAULT.decode(found)
        except CheckpointCorruptError:
            self.note("forged values are refused")
            return
        self.note("forged values are read")
        try:
            apply_changes({"AA": 1, "UA": 2}, payload)
        except CheckpointCorruptError:
            self.note("a forged map delta is refused")

    def _refuse(self, what: str, error: type[Exception], read: Callable[[], object]) -> None:
        try:
            read()
        except error:
            self.note(f"{what} is refused")
        else:
            raise AssertionError(f"{what} was read")


def unpacked_both_ways(segment: Segment, stored: bytes) -> bytes:
    target = filled(segment, stored)
    raw = decompress(segment, stored)
    assert raw == target
    return raw


def filled(segment: Segment, stored: bytes) -> bytes:
    target = bytearray(segment.raw_bytes)
    decompress_into(segment, stored, memoryview(target))
    return bytes(target)


def some_bytes(rng: random.Random) -> bytes:
    noise = rng.randbytes(rng.choice((0, 1, 30, 700, 5000)))
    return noise if rng.random() < 0.3 else bytes(byte & 3 for byte in noise) + bytes(rng.randrange(300))


def some_value(rng: random.Random) -> object:
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(9999))
    return rng.choice(
        [rng.randrange(-9, 9), 2**70, 0.5, float("nan"), "text", b"\x00\xff", [1, (2, [3])], {"k": [None, True]}, when]
    )


def a_segment(rng: random.Random, packed: Packed, *, seq: int = 12) -> Segment:
    inline = rng.random() < 0.3
    key = data_key(RUN, SHARD, ManifestId(epoch=rng.randrange(1, 4), seq=seq, nonce="0f"), rng.choice((0, 3, 100)))
    return Segment(
        key="" if inline else key,
        offset=0 if inline else rng.randrange(99),
        size_bytes=packed.size_bytes,
        raw_bytes=packed.raw_bytes,
        codec=packed.codec,
        xxh3=packed.xxh3,
        count=rng.randrange(packed.raw_bytes + 1),
        inline=base64.b64encode(packed.stored).decode() if inline else None,
    )


def a_manifest(rng: random.Random) -> Manifest:
    seq = rng.randrange(1, 20)

    def segment() -> Segment:
        return a_segment(rng, compress(some_bytes(rng)[:SLICE_BYTES]), seq=seq)

    def image(kind: Any) -> ImageEntry:
        length = rng.randrange(5 * SLICE_BYTES)
        slices = -(-length // SLICE_BYTES)
        seqs = sorted(rng.sample(range(seq + 1), min(seq, rng.randrange(4))))
        touched = [frozenset(rng.sample(range(slices), rng.randrange(slices + 1))) for _ in seqs]
        return ImageEntry(
            kind=kind,
            descr={"shape": [length], "dtype": "|u1"},
            length=length,
            slices=tuple(
                BaseSlice(seq=rng.randrange(seq + 1), segment=rng.choice([None, segment()]))
                for _ in range(rng.randrange(slices + 1))
            ),
            deltas=tuple(
                BlockDelta(seq=each, length=rng.randrange(length + 1), touched=numbers, segments=(segment(),))
                for each, numbers in zip(seqs, touched, strict=True)
            ),
        )

    names = rng.sample(["array/a", "array/b", "file/work.sqlite", "file/deep/er/x", "tensors/model"], rng.randrange(4))
    values = rng.choice([None, segment()])
    return Manifest(
        run_id=RUN,
        shard=SHARD,
        id=ManifestId(epoch=rng.randrange(1, 5), seq=seq, nonce="0f0f"),
        parent=rng.choice([None, f"{PREFIX}00000001/m/000000000001-aa"]),
        writer="session",
        created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(99)),
        serializer="typed-json-1",
        inline='{"d":[]}' if values is None else None,
        values=values,
        maps={
            name: MapEntry(
                base=segment(), deltas=tuple(segment() for _ in range(rng.randrange(3))), length=rng.randrange(9)
            )
            for name in rng.sample(["totals", "routes"], rng.randrange(3))
        },
        images={name: image(name.partition("/")[0]) for name in names},
        slice_bytes=SLICE_BYTES,
    )


def encode_blocks(numbers: Numbers, data: Bytes8) -> bytes:
    raw = np.empty(delta_bytes(len(numbers)), np.uint8)
    blocks_of(raw, len(numbers))[:] = data
    write_header(raw, numbers)
    return raw.tobytes()
