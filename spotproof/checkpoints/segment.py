"""One run of stored bytes of a checkpoint: where they lie, what proves them, and how they are packed."""

import base64
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

Codec = Literal["raw", "zstd"]

RAW_BYTES_MAX: Final = 4 * 2**30  # of a map or of inline values
IMAGE_RAW_BYTES_MAX: Final = 64 * 2**20  # of a base slice or of a block delta
OBJECT_BYTES_MAX: Final = 5 * 2**30  # the most that S3 takes in one PUT: "Uploading objects", S3 user guide
FREE_BYTES: Final = 64 * 2**20  # up to here a segment may shrink as far as it likes; memory for it is always there
SHRINKAGE_MAX: Final = 1024  # past it, the most raw bytes per stored byte: a small object never claims much memory
_XXH3: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Names and proves a part of one object; or carries its bytes itself."""

    key: str  # of the object; "" if the bytes are inline
    offset: int  # in the object; 0 if the bytes are inline
    size_bytes: int  # stored
    raw_bytes: int  # unpacked
    codec: Codec
    xxh3: str  # XXH3-128 of the stored bytes, 32 hexadecimal digits
    count: int  # entries or blocks inside
    inline: str | None = None  # the stored bytes as base64

    @property
    def inline_bytes(self) -> bytes | None:
        """The stored bytes if they ride in the manifest; None if they lie in an object."""
        return None if self.inline is None else base64.b64decode(self.inline)

    def to_json(self, *, prefix: str) -> list[Any]:
        """The members in their order, the key without `prefix`; the inline bytes, if any, at the end."""
        assert self.inline is not None or self.key.startswith(prefix), f"{self.key} must lie below {prefix}"
        key = self.key.removeprefix(prefix)
        members = [key, self.offset, self.size_bytes, self.raw_bytes, self.codec, self.xxh3, self.count]
        return members if self.inline is None else [*members, self.inline]

    @classmethod
    def from_json(cls, members: Any, *, prefix: str, raw_bytes_max: int = RAW_BYTES_MAX) -> "Segment":
        """Raises TypeError or ValueError for anything but what to_json returned; the key's grammar is not looked at."""
        if not isinstance(members, list) or len(members) not in (7, 8):
            raise TypeError(f"a segment has 7 or 8 members, got {members!r:.200}")
        key, offset, size_bytes, raw_bytes, codec, xxh3, count = members[:7]
        inline = members[7] if len(members) == 8 else None
        segment = cls(
            key=prefix + key if inline is None else key,
            offset=offset,
            size_bytes=size_bytes,
            raw_bytes=raw_bytes,
            codec=codec,
            xxh3=xxh3,
            count=count,
            inline=inline,
        )
        _check_members(segment)
        _check_sizes(segment, raw_bytes_max)
        _check_inline(segment)
        return segment


def may_shrink(*, raw_bytes: int, size_bytes: int) -> bool:
    """Whether a packed segment of these sizes is written, and believed: no small object may claim gigabytes."""
    return 0 < size_bytes < raw_bytes and raw_bytes <= max(FREE_BYTES, SHRINKAGE_MAX * size_bytes)


def _check_members(segment: Segment) -> None:
    numbers = (segment.offset, segment.size_bytes, segment.raw_bytes, segment.count)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"offset, sizes and count must be whole numbers, got {numbers!r:.200}")
    if segment.codec not in ("raw", "zstd"):
        raise ValueError(f"unknown codec {segment.codec!r:.80}")
    if not isinstance(segment.xxh3, str) or not _XXH3.fullmatch(segment.xxh3):
        raise ValueError(f"bad digest {segment.xxh3!r:.80}")


def _check_sizes(segment: Segment, raw_bytes_max: int) -> None:
    if segment.raw_bytes > raw_bytes_max or segment.count > segment.raw_bytes:
        raise ValueError(f"{segment.raw_bytes} bytes with {segment.count} entries exceed {raw_bytes_max} bytes")
    if segment.offset + segment.size_bytes > OBJECT_BYTES_MAX:
        raise ValueError(f"no object reaches to {segment.offset} + {segment.size_bytes}")
    if segment.codec == "raw":
        believable = segment.size_bytes == segment.raw_bytes
    else:
        believable = may_shrink(raw_bytes=segment.raw_bytes, size_bytes=segment.size_bytes)
    if not believable:
        raise ValueError(f"{segment.size_bytes} stored bytes can't be {segment.raw_bytes} bytes as {segment.codec}")


def _check_inline(segment: Segment) -> None:
    if segment.inline is None:
        return
    if segment.key != "" or segment.offset != 0:
        raise ValueError("inline bytes have neither key nor offset")
    stored = base64.b64decode(segment.inline, validate=True)
    if len(stored) != segment.size_bytes or base64.b64encode(stored).decode("ascii") != segment.inline:
        raise ValueError("inline bytes are not the canonical base64 of their size")
