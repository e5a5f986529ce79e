"""A bucket on S3, with conditional writes and our own retries."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, FlexibleChecksumError

from spotproof.checkpoints.multipart import ABSENT_CODES, TAKEN_CODES, MultipartWrite, Part, cut_into_parts
from spotproof.checkpoints.store import OCTETS, ObjectFacts
from spotproof.errors import AwsError, AwsMissingError, CheckpointCorruptError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

SINGLE_WRITE_MAX: Final = 256 * 2**20  # bytes; larger files go in parts, each of which can be tried again
PART_BYTES: Final = 64 * 2**20
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

    def put(self, key: str, data: bytes) -> None:
        self._call(f"write s3://{self.bucket}/{key}", self._client.put_object, Key=key, Body=data, ContentType=OCTETS)

    def put_if_absent(
        self, key: str, content: bytes | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if isinstance(content, Path) and content.stat().st_size > self._single_write_max:
            return self._write_in_parts(key, content, content_type, metadata or {})

        def write(**parameters: Any) -> None:
            if isinstance(content, bytes):
                self._client.put_object(Body=content, **parameters)
            else:
                with content.open("rb") as body:  # opened again for every attempt
                    self._client.put_object(Body=body, **parameters)

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
        def read(**parameters: Any) -> bytes:
            answer = self._client.get_object(**parameters)
            with closing(answer["Body"]) as body:  # as its own context it gives the stream below, which checks nothing
                if answer["ContentLength"] > size_max:
                    raise CheckpointCorruptError(
                        f"object {key} has {answer['ContentLength']} bytes, more than the {size_max} expected"
                    )
                try:
                    return body.read()
                except FlexibleChecksumError as error:
                    raise CheckpointCorruptError(f"object {key} does not match its checksum: {error}") from error

        try:
            data: bytes = self._call(f"read s3://{self.bucket}/{key}", read, passing=ABSENT_CODES, Key=key)
        except ClientError:
            return None
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
            targets: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in batch]
            answer = self._call(
                f"remove objects of s3://{self.bucket}",
                self._client.delete_objects,
                Delete={"Objects": targets, "Quiet": True},
            )
            for failure in answer.get("Errors", []):
                raise AwsError(
                    f"delete s3://{self.bucket}/{failure.get('Key')}: {failure.get('Code')}: {failure.get('Message')}"
                )

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        token: dict[str, Any] = {}
        while True:
            answer = self._call(
                f"list s3://{self.bucket}/{prefix}", self._client.list_objects_v2, Prefix=prefix, **token
            )
            for item in answer.get("Contents", []):
                yield ObjectFacts(key=item["Key"], size_bytes=item["Size"])
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
            if error_code(error) in ABSENT_CODES:
                raise AwsMissingError(f"{doing}: bucket or key does not exist; is the stack deployed here?") from error
            raise as_aws_error(error, doing=doing) from error
