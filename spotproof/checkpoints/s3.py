"""A bucket on S3, with conditional writes and our own retries."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, FlexibleChecksumError

from spotproof.checkpoints.multipart import ABSENT_CODES, TAKEN_CODES, MultipartWrite, Part, cut_into_parts
from spotproof.checkpoints.store import OCTETS, Buffer, ObjectFacts, Undeleted, check_range, check_size
from spotproof.errors import AwsError, AwsMissingError, CheckpointCorruptError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

SINGLE_WRITE_MAX: Final = 256 * 2**20  # bytes; larger files go in parts, each of which can be tried again
PART_BYTES: Final = 64 * 2**20
OUTSIDE_CODES: Final = frozenset({"InvalidRange", "416"})
DELETE_MAX: Final = 1000  # keys per DeleteObjects request (S3 API reference)


class S3ObjectStore:
    """One bucket. 409 and 5xx answers are retried by the Retrier, 412 means the key is taken."""

    def __init__(
        self,
        *,
        client: "S3Client",
        bucket: str,
        retrier: Retrier,
        single_write_max: int = SINGLE_WRITE_MAX,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.bucket = bucket
        self._single_write_max = single_write_max
        self._part_bytes = part_bytes
        self._client = client
        self._retrier = retrier

    def put(self, key: str, data: Buffer) -> None:
        body = _as_body(data)
        self._call(f"write s3://{self.bucket}/{key}", self._client.put_object, Key=key, Body=body, ContentType=OCTETS)

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if isinstance(content, Path) and content.stat().st_size > self._single_write_max:
            return self._write_in_parts(key, content, content_type, metadata or {})

        def write(**parameters: Any) -> None:
            if isinstance(content, Path):
                with content.open("rb") as body:  # opened again for every attempt
                    self._client.put_object(Body=body, **parameters)
            else:
                self._client.put_object(Body=_as_body(content), **parameters)

        try:
            self._call(
                f"write s3://{self.bucket}/{key}",
                write,
                passing=TAKEN_CODES,
                Key=key,
                ContentType=content_type,
                Metadata=dict(metadata or {}),
                IfNoneMatch="*",
            )
        except ClientError:
            return False
        return True

    def _write_in_parts(self, key: str, path: Path, content_type: str, metadata: Mapping[str, str]) -> bool:
        def send(part: Part, **parameters: Any) -> str:
            def upload(**parameters: Any) -> str:
                with path.open("rb") as file:  # opened again for every attempt
                    file.seek(part.first)
                    return self._client.upload_part(Body=file.read(part.size_bytes), **parameters)["ETag"]

            return self._retrier.call(f"write a part of s3://{self.bucket}/{key}", upload, **parameters)

        write = MultipartWrite(client=self._client, retrier=self._retrier, bucket=self.bucket, key=key)
        parts = cut_into_parts(path.stat().st_size, part_bytes=self._part_bytes)
        return write.if_absent(parts, send, content_type=content_type, metadata=metadata)

    def get(self, key: str, *, size_max: int) -> bytes | None:
        def check(size_bytes: int) -> None:
            check_size(key, size_bytes, size_max=size_max)

        try:
            data: bytes = self._read(key, check, passing=ABSENT_CODES)
        except ClientError:
            return None
        return data

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        wanted = target.nbytes
        if not wanted:  # a range of no bytes can't be asked for
            return self.head(key) is not None

        def check(got: int) -> None:
            check_range(key, offset=offset, wanted=wanted, got=got)

        passing = ABSENT_CODES | OUTSIDE_CODES
        try:
            data = self._read(key, check, passing=passing, Range=f"bytes={offset}-{offset + wanted - 1}")
        except ClientError as error:
            if error_code(error) in OUTSIDE_CODES:
                check(0)
            return False
        target.cast("B")[:] = data
        return True

    def _read(self, key: str, check: Callable[[int], None], *, passing: frozenset[str], **parameters: Any) -> bytes:
        """The body that GetObject announced, after `check` saw its length."""

        def read(**parameters: Any) -> bytes:
            answer = self._client.get_object(**parameters)
            with closing(answer["Body"]) as body:  # as its own context it gives the stream below, which checks nothing
                check(answer["ContentLength"])
                try:
                    return body.read()
                except FlexibleChecksumError as error:
                    raise CheckpointCorruptError(f"object {key} does not match its checksum: {error}") from error

        data: bytes = self._call(f"read s3://{self.bucket}/{key}", read, passing=passing, Key=key, **parameters)
        return data

    def head(self, key: str) -> ObjectFacts | None:
        try:
            answer = self._call(
                f"look at s3://{self.bucket}/{key}", self._client.head_object, passing=ABSENT_CODES, Key=key
            )
        except ClientError:
            return None
        return ObjectFacts(
            key=key,
            size_bytes=answer["ContentLength"],
            etag=answer["ETag"],
            content_type=answer.get("ContentType", OCTETS),
            metadata=answer.get("Metadata", {}),
        )

    def delete_many(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        while batch := list(islice(remaining, DELETE_MAX)):
            for failure in self.delete_batch(batch):
                raise AwsError(f"delete s3://{self.bucket}/{failure.key}: {failure.code}: {failure.message}")

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        """Delete at most DELETE_MAX objects with one request; what S3 refused, key by key. Missing ones are fine."""
        targets: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys]
        answer = self._call(
            f"remove objects of s3://{self.bucket}",
            self._client.delete_objects,
            Delete={"Objects": targets, "Quiet": True},
        )
        return [
            Undeleted(key=each.get("Key", ""), code=each.get("Code", ""), message=each.get("Message", ""))
            for each in answer.get("Errors", [])
        ]

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
        """As ObjectStore.list; with `after`, from the first key beyond it."""
        token: dict[str, Any] = {"StartAfter": after} if after else {}
        while True:
            answer = self._call(
                f"list s3://{self.bucket}/{prefix}", self._client.list_objects_v2, Prefix=prefix, **token
            )
            for item in answer.get("Contents", []):
                yield ObjectFacts(key=item["Key"], size_bytes=item["Size"], modified=item["LastModified"])
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _call(self, doing: str, request: Any, *, passing: frozenset[str] = frozenset(), **parameters: Any) -> Any:
        """The answer; ClientErrors with a code in `passing` reach the caller, others become ours."""
        try:
            return self._retrier.call(doing, request, Bucket=self.bucket, **parameters)
        except ClientError as error:
            if error_code(error) in passing:
                raise
            raise as_store_error(error, doing=doing) from error


def as_store_error(error: ClientError, *, doing: str) -> AwsError:
    """Our error for an answer that no caller waits for: an unexpected 404 is about the bucket."""
    if error_code(error) in ABSENT_CODES:
        return AwsMissingError(f"{doing}: bucket or key does not exist; is the stack deployed here?")
    return as_aws_error(error, doing=doing)


def _as_body(data: Buffer) -> bytes:
    """What botocore takes as a body: it knows no memoryviews."""
    return data if isinstance(data, bytes) else bytes(data)
