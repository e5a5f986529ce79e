"""How the bytes of a segment are packed with zstd, and proven before they are unpacked.

Nothing here trusts what it reads: a digest, the sizes in the manifest and the frame's own header must agree before
memory is taken, and a frame must end where its segment ends.
"""

from dataclasses import dataclass
from typing import Final

import xxhash
import zstandard

from spotproof.checkpoints.segment import Codec, Segment, may_shrink
from spotproof.checkpoints.store import Buffer
from spotproof.errors import CheckpointCorruptError

FAST: Final = -1  # level for block deltas and base slices: two to three times as fast as level 1
TEXT: Final = 1  # level for JSON
WORTH_PACKING: Final = 0.9  # packed only if it saves a tenth
PROBE_PIECES: Final = 4
PROBE_PIECE_BYTES: Final = 16 * 2**10
PROBE_SHRINKAGE_MIN: Final = 1.15  # below it, packing the whole would cost more time than it saves
_BLOCK_HEADER_BYTES: Final = 3
_RLE_BLOCK: Final = 1
_RESERVED_BLOCK: Final = 3
_BLOCK_CONTENT_MIN: Final = 256  # bytes, on average; our compressor's blocks hold 128 KiB, so more headers are no frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Bytes as they are stored. If `codec` is raw they may be the caller's own memory, which must then stay as it is."""

    stored: Buffer
    codec: Codec
    raw_bytes: int
    xxh3: str  # of the stored bytes

    @property
    def size_bytes(self) -> int:
        return memoryview(self.stored).nbytes


def compress(raw: Buffer, *, level: int = FAST) -> Packed:
    """The bytes packed (`level` is FAST or TEXT), or as they are if that does not save a tenth."""
    raw_bytes = memoryview(raw).nbytes
    stored = zstandard.ZstdCompressor(level=level).compress(raw)
    if len(stored) >= WORTH_PACKING * raw_bytes or not may_shrink(raw_bytes=raw_bytes, size_bytes=len(stored)):
        return as_it_is(raw)
    return Packed(stored=stored, codec="zstd", raw_bytes=raw_bytes, xxh3=digest(stored))


def compress_probed(raw: Buffer) -> Packed:
    """As `compress`, but bytes whose samples hardly shrink are taken as they are, without a copy."""
    return compress(raw) if _seems_to_shrink(memoryview(raw)) else as_it_is(raw)


def as_it_is(raw: Buffer) -> Packed:
    """The bytes unpacked."""
    return Packed(stored=raw, codec="raw", raw_bytes=memoryview(raw).nbytes, xxh3=digest(raw))


def digest(stored: Buffer) -> str:
    """XXH3-128, hexadecimal: proof against accidents, not against people who may write to the bucket."""
    return xxhash.xxh3_128_hexdigest(stored)


def verify(segment: Segment, stored: Buffer | None) -> None:
    """Nothing, if these are the bytes that were stored for the segment.

    Raises:
        CheckpointCorruptError: missing, cut short, damaged or swapped.
    """
    if stored is None:
        raise CheckpointCorruptError(f"{_place(segment)} is missing")
    if memoryview(stored).nbytes != segment.size_bytes or digest(stored) != segment.xxh3:
        raise CheckpointCorruptError(f"{_place(segment)} does not match its digest")


def decompress(segment: Segment, stored: Buffer | None) -> bytes:
    """The raw bytes, once they are proven to be the ones that were written.

    Raises:
        CheckpointCorruptError: missing, damaged, swapped, or other inside than declared.
    """
    verify(segment, stored)
    assert stored is not None, "verify refuses None"
    if segment.codec == "raw":
        return bytes(stored)
    _check_frame(segment, stored)
    try:
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _not_unpackable(segment, str(error)) from error


def decompress_into(segment: Segment, stored: Buffer | None, target: memoryview) -> None:
    """Write the raw bytes, proven as by `decompress`, to `target`, which has just their size.

    What is in `target` after an error is undefined.

    Raises:
        CheckpointCorruptError: missing, damaged, swapped, or other inside than declared.
    """
    assert target.nbytes == segment.raw_bytes, "the target has the size of the raw bytes"
    verify(segment, stored)
    assert stored is not None, "verify refuses None"
    if segment.codec == "raw":
        target.cast("B")[:] = memoryview(stored).cast("B")
        return
    _check_frame(segment, stored)
    if _frame_bytes(memoryview(stored), segment) != segment.size_bytes:
        raise _not_unpackable(segment, "its frame does not end where the segment ends")
    try:
        written = zstandard.ZstdDecompressor().stream_reader(stored).readinto(target)
    except zstandard.ZstdError as error:
        raise _not_unpackable(segment, str(error)) from error
    if written != segment.raw_bytes:
        raise _not_unpackable(segment, f"it holds {written} bytes instead of {segment.raw_bytes}")


def _seems_to_shrink(raw: memoryview) -> bool:
    """Whether samples from all over the bytes shrink enough; the first pages alone are often unlike the rest."""
    stride = raw.nbytes // PROBE_PIECES
    if stride <= PROBE_PIECE_BYTES:
        return True
    sample = b"".join(raw[number * stride : number * stride + PROBE_PIECE_BYTES] for number in range(PROBE_PIECES))
    packed = zstandard.ZstdCompressor(level=FAST).compress(sample)
    return len(sample) >= PROBE_SHRINKAGE_MIN * len(packed)


def _check_frame(segment: Segment, stored: Buffer) -> None:
    """Compare what the frame says of itself with the manifest, before any memory is taken for it."""
    try:
        frame = zstandard.get_frame_parameters(stored)
    except zstandard.ZstdError as error:
        raise _not_unpackable(segment, str(error)) from error
    if frame.content_size != segment.raw_bytes:
        raise _not_unpackable(segment, f"its frame claims {frame.content_size} bytes instead of {segment.raw_bytes}")
    if frame.has_checksum or frame.dict_id:
        raise _not_unpackable(segment, "its frame has a checksum or a dictionary, which no worker ever wrote")


def _frame_bytes(stored: memoryview, segment: Segment) -> int:
    """Where the first frame ends, by its block headers (RFC 8878, 3.1.1.2); the decoder that fills a target hides it."""
    position = zstandard.frame_header_size(stored)
    for _ in range(segment.raw_bytes // _BLOCK_CONTENT_MIN + 16):
        header = int.from_bytes(stored[position : position + _BLOCK_HEADER_BYTES], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        position += _BLOCK_HEADER_BYTES + (1 if kind == _RLE_BLOCK else size)
        if kind == _RESERVED_BLOCK or position > stored.nbytes:
            raise _not_unpackable(segment, "its frame is cut short")
        if last:
            return position
    raise _not_unpackable(segment, "its frame consists of tiny blocks")


def _not_unpackable(segment: Segment, reason: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{_place(segment)} can't be unpacked: {reason}")


def _place(segment: Segment) -> str:
    if segment.inline is not None:
        return "a segment inside the manifest"
    return f"object {segment.key} at {segment.offset}"
