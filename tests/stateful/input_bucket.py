"""A small S3 in this process, as far as planning and reading shards need it, that fails or dies at a chosen request."""

# ruff: noqa: N803 - S3's names

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.fakes.crashing_store import Crash

PAGE_KEYS: Final = 2  # of a listing: every input takes several


@dataclass
class Interference:
    """What happens at the n-th request of a step: to it, or meanwhile."""

    at: int
    what: Callable[[], None]
    before: bool


@dataclass
class InputBucket:
    """Objects by bucket and key. Only plans are written through the client, and never with other bytes (I4)."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    requests: int = 0
    interference: Interference | None = None

    def get_object(self, *, Bucket: str, Key: str, Range: str, IfMatch: str | None = None) -> dict[str, Any]:
        with self._disturbed():
            data = self.objects.get((Bucket, Key))
            if data is None:
                raise refused("NoSuchKey", 404)
            if IfMatch is not None and IfMatch != etag(data):
                raise refused("PreconditionFailed", 412)
            return {"Body": io.BytesIO(_cut(data, Range)), "ETag": etag(data)}

    def put_object(self, *, Bucket: str, Key: str, Body: Any, IfNoneMatch: str, ContentType: str) -> dict[str, Any]:
        with self._disturbed():
            if (Bucket, Key) in self.objects:
                raise refused("PreconditionFailed", 412)
            self.objects[Bucket, Key] = Body.read()
            return {}

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str,
        EncodingType: str,
        ContinuationToken: str = "",
    ) -> dict[str, Any]:
        with self._disturbed():
            keys = sorted(
                (key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix)),
                key=lambda key: key.encode(),
            )
            left = [key for key in keys if key.encode() > ContinuationToken.encode()]
            page = left[:PAGE_KEYS]
            answer: dict[str, Any] = {"Contents": [self._entry(Bucket, key) for key in page]}
            if len(left) > PAGE_KEYS:
                answer |= {"IsTruncated": True, "NextContinuationToken": page[-1]}
            return answer

    def _entry(self, bucket: str, key: str) -> dict[str, Any]:
        data = self.objects[bucket, key]
        return {"Key": quote_plus(key, safe="/"), "ETag": etag(data), "Size": len(data)}

    @contextmanager
    def _disturbed(self) -> Iterator[None]:
        self.requests += 1
        struck = self.interference if self.interference and self.interference.at == self.requests else None
        if struck is not None and struck.before:
            struck.what()
        yield
        if struck is not None and not struck.before:
            struck.what()


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def refused(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "S3")


def time_out() -> None:
    raise ReadTimeoutError(endpoint_url="http://s3.test")


def die() -> None:
    raise Crash


def _cut(data: bytes, byte_range: str) -> bytes:
    first, _, last = byte_range.removeprefix("bytes=").partition("-")
    if not first:
        return data[-int(last) :]
    if int(first) >= len(data):
        raise refused("InvalidRange", 416)
    return data[int(first) : int(last) + 1]
