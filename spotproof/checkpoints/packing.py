"""Places the packed parts of one save: inside the manifest if they are few, else in objects of a good size."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from spotproof.checkpoints.codec import Packed
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.store import Buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class PackObject:
    """One object to write."""

    key: str
    parts: tuple[Buffer, ...]

    @property
    def size_bytes(self) -> int:
        return sum(memoryview(part).nbytes for part in self.parts)

    @property
    def body(self) -> Buffer:
        """The bytes to put. A single part is not copied: it may be memory that must stay as it is until it was sent."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


class SegmentHandle:
    """A part that was added; its place is known once the packer was sealed."""

    def __init__(self, packed: Packed, count: int) -> None:
        self._packed = packed
        self._count = count
        self._segment: Segment | None = None

    @property
    def segment(self) -> Segment:
        assert self._segment is not None, "seal the packer first"
        return self._segment

    @property
    def size_bytes(self) -> int:
        return self._packed.size_bytes

    @property
    def stored(self) -> Buffer:
        return self._packed.stored

    def place(self, *, key: str, offset: int, inline: str | None = None) -> None:
        self._segment = Segment(
            key=key,
            offset=offset,
            size_bytes=self._packed.size_bytes,
            raw_bytes=self._packed.raw_bytes,
            codec=self._packed.codec,
            xxh3=self._packed.xxh3,
            count=self._count,
            inline=inline,
        )


class Packer:
    """Collects the parts of one save in order, then places them all at once. Not thread-safe."""

    def __init__(self, *, inline_max: int, pack_max: int, key_of: Callable[[int], str]) -> None:
        """Nothing is placed yet.

        Args:
            inline_max: bytes; if all parts together are no bigger, the manifest carries them and there is no object.
            pack_max: bytes of an object; a bigger part gets an object of its own.
            key_of: the key of the object with this number, from 0.
        """
        self._inline_max = inline_max
        self._pack_max = pack_max
        self._key_of = key_of
        self._handles: list[SegmentHandle] = []

    def add(self, packed: Packed, *, count: int = 0) -> SegmentHandle:
        """Take a part with `count` entries in.

        The bytes are not copied: they must stay as they are until the objects are written.
        """
        handle = SegmentHandle(packed, count)
        self._handles.append(handle)
        return handle

    def seal(self) -> list[PackObject]:
        """Place every part, so that all handles know their segment, and return the objects to write."""
        if sum(handle.size_bytes for handle in self._handles) <= self._inline_max:
            for handle in self._handles:
                handle.place(key="", offset=0, inline=base64.b64encode(handle.stored).decode("ascii"))
            return []
        return [self._object(number, group) for number, group in enumerate(self._groups())]

    def _groups(self) -> list[list[SegmentHandle]]:
        """The handles in their order, cut where the next one would not fit any more."""
        groups: list[list[SegmentHandle]] = []
        room = -1
        for handle in self._handles:
            if handle.size_bytes > room:
                groups.append([])
                room = self._pack_max
            groups[-1].append(handle)
            room -= handle.size_bytes
        return groups

    def _object(self, number: int, group: list[SegmentHandle]) -> PackObject:
        key, offset = self._key_of(number), 0
        for handle in group:
            handle.place(key=key, offset=offset)
            offset += handle.size_bytes
        return PackObject(key=key, parts=tuple(handle.stored for handle in group))
