"""A bucket on S3 whose checkpoints travel through obstore: a tenth of the work of boto3 for each byte written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from botocore.exceptions import ClientError, IncompleteReadError
from obstore.exceptions import BaseError

from spotproof.checkpoints.multipart import ABSENT_CODES, TAKEN_CODES
from spotproof.checkpoints.obstore_errors import as_boto_error
from spotproof.checkpoints.s3 import OUTSIDE_CODES, S3ObjectStore, as_store_error
from spotproof.checkpoints.store import OCTETS, Buffer, ObjectFacts, check_range, check_size
from spotproof.clients import READ_TIMEOUT_S, Clients
from spotproof.concurrency import ThreadSpawner
from spotproof.retries import Retrier, error_code

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")
CHUNK_BYTES: Final = 512 * 1024  # read at once; as fast as the whole range in one piece, and no second copy of it
ANSWER_TIMEOUT_S: Final = 3600.0  # of a whole read; one that stands still ends after READ_TIMEOUT_S
WRITE_BYTES_PER_S_MIN: Final = 256 * 1024  # of one write among many; slower ones are taken for dead
WRITE_CLASSES: Final = (2**20, 2**24, 2**28, 2**32)  # bytes; each has its timeout and its connections


class ObstoreObjectStore:
    """One bucket. What is large goes through obstore, everything else through boto3; retries are the Retrier's."""

    def __init__(self, *, clients: Clients, bucket: str, retrier: Retrier) -> None:
        """Makes no request.

        Raises:
            ConfigurationError: the endpoint is not local and not HTTPS.
        """
        self.bucket = bucket
        self._clients = clients
        self._retrier = retrier
        self._reading = clients.obstore(bucket, timeout_s=ANSWER_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S)
        self._writing: dict[int, S3Store] = {}
        self._making = ThreadSpawner().lock()

    def put(self, key: str, data: Buffer) -> None:
        self._write(key, data, attributes={"Content-Type": OCTETS}, mode="overwrite")

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if isinstance(content, Path):
            return self._small.put_if_absent(key, content, content_type=content_type, metadata=metadata)
        attributes = {**(metadata or {}), "Content-Type": content_type}
        try:
            self._write(key, content, attributes=attributes, mode="create", passing=TAKEN_CODES)
        except ClientError:
            return False
        return True

    def get(self, key: str, *, size_max: int) -> bytes | None:
        def read() -> bytes:
            answer = obstore.get(self._reading, _checked(key))
            check_size(key, answer.meta["size"], size_max=size_max)
            return bytes(answer.bytes())

        try:
            return self._call(f"read s3://{self.bucket}/{key}", "GetObject", read, passing=ABSENT_CODES)
        except ClientError:
            return None

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        wanted = target.nbytes
        if not wanted:  # a range of no bytes can't be asked for
            return self.head(key) is not None

        def read() -> None:
            answer = obstore.get(self._reading, _checked(key), options={"range": (offset, offset + wanted)})
            first, stop = answer.range
            check_range(key, offset=offset, wanted=wanted, got=stop - first)
            _fill(target.cast("B"), answer.stream(min_chunk_size=CHUNK_BYTES))

        passing = ABSENT_CODES | OUTSIDE_CODES
        try:
            self._call(f"read s3://{self.bucket}/{key}", "GetObject", read, passing=passing)
        except ClientError as error:
            if error_code(error) in OUTSIDE_CODES:
                check_range(key, offset=offset, wanted=wanted, got=0)
            return False
        return True

    def head(self, key: str) -> ObjectFacts | None:
        return self._small.head(key)

    def delete_many(self, keys: Iterable[str]) -> None:
        self._small.delete_many(keys)

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        return self._small.list(prefix)

    @cached_property
    def _small(self) -> S3ObjectStore:
        return S3ObjectStore(client=self._clients.s3, bucket=self.bucket, retrier=self._retrier)

    def _writer_of(self, size_bytes: int) -> "S3Store":
        """The client for writes of this size. obstore has timeouts per client, and a large write takes its time."""
        largest = next((each for each in WRITE_CLASSES if size_bytes <= each), WRITE_CLASSES[-1])
        with self._making:
            if largest not in self._writing:
                timeout_s = READ_TIMEOUT_S + largest / WRITE_BYTES_PER_S_MIN
                self._writing[largest] = self._clients.obstore(self.bucket, timeout_s=timeout_s)
            return self._writing[largest]

    def _write(
        self, key: str, data: Buffer, *, attributes: dict[str, str], mode: Any, passing: frozenset[str] = frozenset()
    ) -> None:
        memory = memoryview(data).cast("B")
        store = self._writer_of(memory.nbytes)

        def write() -> None:
            obstore.put(store, _checked(key), memory, attributes=attributes, mode=mode, use_multipart=False)

        self._call(f"write s3://{self.bucket}/{key}", "PutObject", write, passing=passing)

    def _call(self, doing: str, operation: str, request: Callable[[], T], *, passing: frozenset[str]) -> T:
        """The answer; ClientErrors with a code in `passing` reach the caller, others become ours."""

        def attempt() -> T:
            try:
                return request()
            except (BaseError, FileNotFoundError) as error:
                refreshing = self._clients.credentials.failure
                raise as_boto_error(error, operation=operation, refreshing=refreshing) from error

        try:
            return self._retrier.call(doing, attempt)
        except ClientError as error:
            if error_code(error) in passing:
                raise
            raise as_store_error(error, doing=doing) from error


def _fill(target: memoryview, chunks: Iterable[Any]) -> None:
    position = 0
    for chunk in chunks:
        target[position : position + len(chunk)] = memoryview(chunk)
        position += len(chunk)
    if position != len(target):
        raise IncompleteReadError(actual_bytes=position, expected_bytes=len(target))


def _checked(key: str) -> str:
    """The key, which obstore would trim: an object would be written that boto3 does not find."""
    if key.strip("/") != key:
        raise ValueError(f"key must not begin or end with a slash, got {key!r}")
    return key
