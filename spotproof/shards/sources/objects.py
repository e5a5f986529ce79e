"""Input objects in S3: listing a prefix, and reading exactly the bytes that a plan pinned."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from spotproof.errors import AwsMissingError, InputChangedError, InputError
from spotproof.retries import Retrier, as_aws_error, error_code
from spotproof.shards.model import ObjectPin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CHANGED_CODES: Final = frozenset({"PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416"})
_KEY_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Uri:
    bucket: str
    key: str  # a prefix, maybe empty


def parse_s3_uri(text: str) -> S3Uri:
    """The bucket and key of `s3://bucket/key`.

    Raises:
        InputError: it is not such an address.
    """
    match = re.fullmatch(r"s3://([^/]*)(?:/(.*))?", text, re.DOTALL)
    if match is None:
        raise InputError(f"input {text!r} is not an S3 address; write s3://bucket/prefix")
    bucket, key = match[1], match[2] or ""
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"input {text!r}: {bucket!r} is not a bucket name; write s3://bucket/prefix")
    if len(key.encode("utf-8", "surrogatepass")) > _KEY_BYTES_MAX or "\0" in key:
        raise InputError(f"input {text[:80]!r}: S3 keys have at most {_KEY_BYTES_MAX} bytes and no NUL")
    return S3Uri(bucket=bucket, key=key)


def is_hidden(key: str, prefix: str) -> bool:
    """Whether a key is not data: a marker or hidden file or folder below the prefix, or a zero-byte "directory"."""
    below = key[len(prefix) :].split("/")
    return key.endswith("/") or any(name.startswith((".", "_")) and "=" not in name for name in below)


class InputObjects:
    """Reads of input objects, each through the retrier and pinned to the ETag of the plan."""

    def __init__(self, *, s3: "S3Client", retrier: Retrier) -> None:
        self._s3 = s3
        self._retrier = retrier

    def list(self, input_uri: str) -> Iterator[ObjectPin]:
        """Data objects at or under the address, in key order, page by page.

        Raises:
            InputError: bad address, or the bucket does not exist.
            AwsAccessError: the caller may not list it.
        """
        uri = parse_s3_uri(input_uri)
        token: str | None = None
        while True:
            page = self._list_page(uri, token)
            for entry in page.get("Contents", ()):
                key = unquote_plus(entry["Key"])
                if _is_at_or_under(key, uri.key) and not is_hidden(key, uri.key):
                    yield ObjectPin(bucket=uri.bucket, key=key, etag=entry["ETag"], size_bytes=int(entry["Size"]))
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return

    def _list_page(self, uri: S3Uri, token: str | None) -> Any:
        more = {} if token is None else {"ContinuationToken": token}
        doing = f"listing s3://{uri.bucket}/{uri.key}"
        try:
            return self._retrier.call(
                doing,
                self._s3.list_objects_v2,
                Bucket=uri.bucket,
                Prefix=uri.key,
                EncodingType="url",  # keys may hold characters that XML can't
                **more,
            )
        except AwsMissingError as error:
            raise InputError(f"input bucket {uri.bucket!r} does not exist; check the address and region") from error
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error

    def read(self, pin: ObjectPin, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the pinned object.

        Raises:
            InputChangedError: the object is gone or is not the one that was planned.
            AwsAccessError: the caller may not read it.
        """
        if start >= stop:
            return b""
        doing = f"reading {pin.uri}"
        try:
            data: bytes = self._retrier.call(doing, self._get, pin=pin, start=start, stop=stop)
        except AwsMissingError as error:
            raise _changed(pin, "its bucket is gone") from error
        except ClientError as error:
            if error_code(error) in _CHANGED_CODES:
                raise _changed(pin, "it was replaced or deleted") from error
            raise as_aws_error(error, doing=doing) from error
        return data

    def _get(self, *, pin: ObjectPin, start: int, stop: int) -> bytes:
        answer = self._s3.get_object(
            Bucket=pin.bucket, Key=pin.key, IfMatch=pin.etag, Range=f"bytes={start}-{stop - 1}"
        )
        if answer["ETag"] != pin.etag:  # a server that ignores If-Match must not pass
            raise _changed(pin, f"its ETag is {answer['ETag']}")
        data = answer["Body"].read()
        if len(data) != stop - start:
            raise _changed(pin, "its size differs")
        return data

    def open(self, pin: ObjectPin) -> "ObjectFile":
        """The whole object as a seekable file."""
        return ObjectFile(self, pin)


def _is_at_or_under(key: str, prefix: str) -> bool:
    """`a/b` stands for the object a/b and the folder a/b/, not for a/bc."""
    return not prefix or prefix.endswith("/") or key == prefix or key[len(prefix)] == "/"


def _changed(pin: ObjectPin, what: str) -> InputChangedError:
    return InputChangedError(
        f"{pin.uri} changed since the run was planned: {what}; restore that version or start a new run"
    )


class ObjectFile(io.RawIOBase):
    """A pinned object as a read-only seekable file of ranged requests, with one window of bytes in memory."""

    READ_AHEAD_BYTES: Final = 1024 * 1024

    def __init__(self, objects: InputObjects, pin: ObjectPin) -> None:
        super().__init__()
        self.pin = pin
        self._objects = objects
        self._position = 0
        self._window = b""
        self._window_start = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.pin.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset} is before the start of {self.pin.uri}")
        self._position = base + offset
        return self._position

    def load(self, start: int, stop: int) -> None:
        """Hold bytes [start, stop) in memory; reads within them need no request."""
        self._window = self._objects.read(self.pin, start, stop)
        self._window_start = start

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        end = self.pin.size_bytes
        stop = end if size is None or size < 0 else min(end, self._position + size)
        if stop <= self._position:
            return b""
        window_stop = self._window_start + len(self._window)
        if not (self._window_start <= self._position and stop <= window_stop):
            self.load(self._position, min(end, max(stop, self._position + self.READ_AHEAD_BYTES)))
        low = self._position - self._window_start
        data = self._window[low : low + stop - self._position]
        self._position = stop
        return data


def empty_input(input_uri: str) -> InputError:
    return InputError(f"no data objects under {input_uri}; check the address (names starting with _ or . are skipped)")
