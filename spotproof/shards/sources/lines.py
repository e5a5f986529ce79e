"""Lines of an object, each with its exact place, from plain or gzip bytes.

A line ends after "\\n"; a final line without it counts. Offsets are in the uncompressed bytes.
"""

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from spotproof.errors import InputError
from spotproof.shards.model import InputPart, ObjectPin
from spotproof.shards.sources.objects import InputObjects

BLOCK_BYTES: Final = 4 * 1024**2  # one request
OVERRUN_BYTES: Final = 64 * 1024  # first request beyond the part, for the end of its last line; then doubling
LINE_BYTES_MAX: Final = 256 * 1024**2
_GZIP_WBITS: Final = 31
_INFLATE_BYTES: Final = 1024**2


class Line(NamedTuple):  # made by the million: a tuple takes a third of a frozen dataclass's time
    start: int
    stop: int  # after the line end
    data: bytes  # with its line end


class LineSource:
    """The bytes of one part as blocks, and the lines in them."""

    def __init__(self, *, objects: InputObjects, part: InputPart, block_bytes: int = BLOCK_BYTES) -> None:
        self._objects = objects
        self._part = part
        self._block_bytes = block_bytes
        self.read_bytes = 0  # stored bytes of the part fetched so far

    def lines(self, at: int | None = None) -> Iterator[Line]:
        """Lines whose first byte lies in the part, or, given `at` (a line's start), from there on.

        Raises:
            InputChangedError: the object is not the one that was planned.
            InputError: it is not intact gzip, or a line has no end in sight.
        """
        part = self._part
        start = part.start if at is None else at
        within_line = at is None and start > 0
        origin = start - 1 if within_line else start
        for line in _split(self._blocks(origin), origin, skip_first=within_line, uri=part.pin.uri):
            if not part.gzip and line.start >= part.stop:
                return
            yield line

    def head(self, size_bytes: int) -> bytes:
        """At most about `size_bytes` uncompressed bytes from the start of the object."""
        collected = b""
        for block in self._object_start(size_bytes):
            collected += block
            if len(collected) >= size_bytes:
                break
        return collected[:size_bytes]

    def _object_start(self, size_bytes: int) -> Iterator[bytes]:
        pin = self._part.pin
        plain = self._requests(0, min(size_bytes, pin.size_bytes))
        return _inflate(plain, pin, truncated_ok=size_bytes < pin.size_bytes) if self._part.gzip else plain

    def _blocks(self, origin: int) -> Iterator[bytes]:
        pin = self._part.pin
        if not self._part.gzip:
            return self._requests(origin, pin.size_bytes)
        return _drop(_inflate(self._requests(0, pin.size_bytes), pin), origin)

    def _requests(self, start: int, end: int) -> Iterator[bytes]:
        """Blocks of [start, end): exact up to the part's end, then small and doubling."""
        overrun = OVERRUN_BYTES
        while start < end:
            if start < self._part.stop:
                stop = min(self._part.stop, start + self._block_bytes, end)
            else:
                stop = min(start + overrun, end)
                overrun = min(overrun * 2, self._block_bytes)
            block = self._objects.read(self._part.pin, start, stop)
            self.read_bytes += len(block)
            yield block
            start = stop


def _split(blocks: Iterator[bytes], origin: int, *, skip_first: bool, uri: str) -> Iterator[Line]:
    start = origin
    carried: list[bytes] = []
    carried_bytes = 0
    for block in blocks:
        begin = 0
        while (end := block.find(b"\n", begin)) >= 0:
            data = b"".join([*carried, block[begin : end + 1]]) if carried else block[begin : end + 1]
            stop = start + (carried_bytes + end + 1 - begin)
            if not skip_first:
                yield Line(start, stop, data)
            skip_first, start, begin, carried, carried_bytes = False, stop, end + 1, [], 0
        carried_bytes += len(block) - begin
        if not skip_first:
            carried.append(block[begin:])
            if carried_bytes > LINE_BYTES_MAX:
                raise InputError(
                    f"{uri}: the line at byte {start} is longer than {LINE_BYTES_MAX} bytes; "
                    "is this text? rename it so that it is read as an opaque file"
                )
    if carried_bytes and not skip_first:
        yield Line(start, start + carried_bytes, b"".join(carried))


def _inflate(blocks: Iterator[bytes], pin: ObjectPin, *, truncated_ok: bool = False) -> Iterator[bytes]:
    """Uncompressed blocks of bounded size; several gzip members in a row are one stream."""
    member = zlib.decompressobj(_GZIP_WBITS)
    begun = False
    try:
        for block in blocks:
            begun, pending, more = True, block, True
            while pending or more:
                if member.eof:
                    pending = pending.lstrip(b"\0")  # padding after the last member
                    if not pending:
                        break
                    member = zlib.decompressobj(_GZIP_WBITS)
                data = member.decompress(pending, _INFLATE_BYTES)
                pending = member.unused_data if member.eof else member.unconsumed_tail
                more = len(data) == _INFLATE_BYTES and not member.eof
                if data:
                    yield data
    except zlib.error as error:
        raise InputError(f"{pin.uri} is damaged gzip ({error}); repair or remove it") from error
    if begun and not member.eof and not truncated_ok:
        raise InputError(f"{pin.uri} is cut off in the middle of its gzip data; upload it again")


def _drop(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The stream without its first `count` bytes."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
            count = 0
        else:
            count -= len(block)
