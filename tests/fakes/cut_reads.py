"""An S3 client whose connection breaks while a body is on its way, with botocore's and urllib3's own streams."""

import io
from http.client import IncompleteRead
from typing import Any

from botocore.response import StreamingBody
from urllib3 import HTTPResponse


class CutReads:
    """Passes calls on to `inner`; cuts the bodies of as many reads as `cuts` has, after so many bytes each."""

    def __init__(self, inner: Any, *cuts: int) -> None:
        self._inner = inner
        self._cuts = list(cuts)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._inner, operation)

    def get_object(self, **parameters: Any) -> Any:
        answer = self._inner.get_object(**parameters)
        if self._cuts:
            data = answer["Body"].read()
            answer["Body"] = cut_body(data, after_bytes=self._cuts.pop(0))
        return answer


class CutStream(io.BytesIO):
    """http.client's response when the connection ends too early: only a read of everything notices."""

    def __init__(self, data: bytes, *, missing: int) -> None:
        super().__init__(data)
        self._missing = missing

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(amt)
        if amt is None and self._missing:
            raise IncompleteRead(data, self._missing)
        return data


def cut_body(data: bytes, *, after_bytes: int) -> StreamingBody:
    """What botocore hands out when `data` was announced and less than it arrives."""
    wire = HTTPResponse(
        body=CutStream(data[:after_bytes], missing=len(data) - after_bytes),
        headers={"content-length": str(len(data))},
        preload_content=False,
        decode_content=False,
        enforce_content_length=True,
    )
    return StreamingBody(wire, content_length=len(data))  # type: ignore[arg-type]
