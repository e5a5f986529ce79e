"""One data object of a checkpoint: its place, its digests, and how its bytes are packed."""

import hashlib
import re
import zlib
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from spotproof.errors import CheckpointCorruptError

Codec = Literal["raw", "zlib"]
RAW_BYTES_MAX: Final = 4 * 2**30  # beyond it a declared size is taken for a decompression bomb
ZLIB_LEVEL: Final = 1  # speed: the network is rarely slower than a higher level
WORTH_PACKING: Final = 0.9  # packed only if it saves a tenth
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Names and proves one object."""

    key: str
    sha256: str  # hex, of the stored bytes
    size_bytes: int  # stored
    raw_bytes: int  # unpacked
    codec: Codec
    count: int  # entries inside

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Segment":
        """Raises KeyError, TypeError or ValueError for anything but what to_json returned."""
        segment = cls(**body)
        numbers = (segment.size_bytes, segment.raw_bytes, segment.count)
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"sizes and counts must be whole numbers, got {numbers}")
        if segment.codec not in ("raw", "zlib") or not _SHA256.fullmatch(segment.sha256):
            raise ValueError(f"bad codec or digest: {segment.codec!r}, {segment.sha256!r}")
        if not isinstance(segment.key, str) or segment.raw_bytes > RAW_BYTES_MAX:
            raise ValueError(f"bad key or size: {segment.key!r}, {segment.raw_bytes}")
        return segment


_FIELDS: Final = tuple(field.name for field in fields(Segment))


def pack(raw: bytes, *, key: str, count: int) -> tuple[Segment, bytes]:
    """The segment of `raw` and the bytes to store for it."""
    packed = zlib.compress(raw, ZLIB_LEVEL)
    codec: Codec = "zlib" if len(packed) < WORTH_PACKING * len(raw) else "raw"
    stored = packed if codec == "zlib" else raw
    segment = Segment(
        key=key,
        sha256=hashlib.sha256(stored).hexdigest(),
        size_bytes=len(stored),
        raw_bytes=len(raw),
        codec=codec,
        count=count,
    )
    return segment, stored


def unpack(segment: Segment, stored: bytes | None) -> bytes:
    """The raw bytes, once they are proven to be the ones that were written.

    Raises:
        CheckpointCorruptError: missing, damaged, swapped, or larger inside than declared.
    """
    if stored is None:
        raise CheckpointCorruptError(f"object {segment.key} is missing")
    if len(stored) != segment.size_bytes or hashlib.sha256(stored).hexdigest() != segment.sha256:
        raise CheckpointCorruptError(f"object {segment.key} does not match its digest")
    if segment.codec == "raw":
        return stored
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(stored, segment.raw_bytes + 1)
    except zlib.error as error:
        raise CheckpointCorruptError(f"object {segment.key} can't be unpacked: {error}") from error
    if len(raw) != segment.raw_bytes or not inflater.eof:
        raise CheckpointCorruptError(f"object {segment.key} does not unpack to {segment.raw_bytes} bytes")
    return raw
