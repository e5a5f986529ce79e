"""Bodies of GetObject answers, as botocore hands them out."""

from collections.abc import Iterator
from typing import Final

from botocore.exceptions import ResponseStreamingError
from urllib3.exceptions import IncompleteRead, ProtocolError

CHUNK_BYTES: Final = 1024  # of botocore's StreamingBody


class WireBody:
    """The stream below, as urllib3 reads it: breaks when the connection ends before `content_length` bytes."""

    __slots__ = ("_content_length", "_data", "_position", "closed")

    def __init__(self, data: bytes, content_length: int) -> None:
        self._data = data
        self._content_length = content_length
        self._position = 0
        self.closed = False

    def read(self, amt: int | None = None) -> bytes:
        if self.closed:
            raise ValueError("read of a body that was closed")
        start = self._position
        stop = len(self._data) if amt is None or amt < 0 else min(start + amt, len(self._data))
        self._position = stop
        cut = len(self._data) < self._content_length
        if cut and stop == len(self._data) and (amt is None or (stop == start and amt)):
            missing = IncompleteRead(stop, self._content_length - stop)
            raise ProtocolError(f"Connection broken: {missing!r}", missing)
        return self._data[start:stop]

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self.closed = True


class ObjectBody:
    """The part of botocore.response.StreamingBody that the product reads with.

    As there, entering it as a context gives the stream below, whose errors are urllib3's and not botocore's; and a
    limited read of a cut body gives what came, without an error.
    """

    __slots__ = ("_wire",)

    def __init__(self, data: bytes, *, content_length: int) -> None:
        self._wire = WireBody(data, content_length)

    def read(self, amt: int | None = None) -> bytes:
        """At most `amt` bytes, or all that are left.

        Raises:
            ResponseStreamingError: the connection broke before the announced length.
        """
        try:
            return self._wire.read(amt)
        except ProtocolError as error:
            raise ResponseStreamingError(error=error) from error

    def iter_chunks(self, chunk_size: int = CHUNK_BYTES) -> Iterator[bytes]:
        while chunk := self.read(chunk_size):
            yield chunk

    def __iter__(self) -> Iterator[bytes]:
        return self.iter_chunks()

    def tell(self) -> int:
        return self._wire.tell()

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> WireBody:
        return self._wire

    def __exit__(self, *_: object) -> None:
        self._wire.close()
