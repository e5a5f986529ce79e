"""Buckets between which outputs are copied: the work bucket and wherever the run's output goes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import ClientError

from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.multipart import ABSENT_CODES, TAKEN_CODES, MultipartWrite, Part, cut_into_parts
from spotproof.checkpoints.s3 import PART_BYTES, SINGLE_WRITE_MAX, S3ObjectStore
from spotproof.checkpoints.store import ObjectFacts, ObjectStore
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

SINGLE_COPY_MAX: Final = 256 * 2**20  # bytes; S3 allows 5 GB, but answers only when it is done: past our time-out
COPY_PART_BYTES: Final = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSizes:
    """From which size on objects go in parts, and how large those are, in bytes."""

    single_write_max: int = SINGLE_WRITE_MAX
    write_part_bytes: int = PART_BYTES
    single_copy_max: int = SINGLE_COPY_MAX
    copy_part_bytes: int = COPY_PART_BYTES


DEFAULT_SIZES: Final = PartSizes()


class OutputBuckets(Protocol):
    """The work bucket, other buckets by name, and server-side copies from the former to the latter."""

    @property
    def work(self) -> ObjectStore: ...

    def bucket(self, name: str) -> ObjectStore: ...

    def copy_if_absent(self, source: ObjectFacts, *, bucket: str, key: str) -> bool:
        """Copy the object of the work bucket with type and metadata, if it still is what `source` says.

        False if it is gone or changed, or if the target key is taken: look at the target to tell which.
        """
        ...


class S3OutputBuckets:
    """On S3. The copy carries two conditions: CopySourceIfMatch and If-None-Match.

    S3 enforces both. The emulators we test with ignore If-None-Match on a copy (moto 5.2.5, ministack 1.5.33), and moto
    the source condition as well, so the publisher looks at the target before it copies; on S3 the conditions close the
    gap between the look and the copy.
    """

    def __init__(
        self,
        *,
        client: "S3Client",
        work_bucket: str,
        retrier: Retrier,
        sizes: PartSizes = DEFAULT_SIZES,
    ) -> None:
        self._client = client
        self._retrier = retrier
        self._work_bucket = work_bucket
        self._sizes = sizes

    @property
    def work(self) -> ObjectStore:
        return self.bucket(self._work_bucket)

    def bucket(self, name: str) -> ObjectStore:
        return S3ObjectStore(
            client=self._client,
            bucket=name,
            retrier=self._retrier,
            single_write_max=self._sizes.single_write_max,
            part_bytes=self._sizes.write_part_bytes,
        )

    def copy_if_absent(self, source: ObjectFacts, *, bucket: str, key: str) -> bool:
        doing = f"publish s3://{bucket}/{key}"
        from_: CopySourceTypeDef = {"Bucket": self._work_bucket, "Key": source.key}
        try:
            if source.size_bytes > self._sizes.single_copy_max:
                return self._copy_in_parts(source, from_, bucket, key)
            self._retrier.call(
                doing,
                self._client.copy_object,
                Bucket=bucket,
                Key=key,
                CopySource=from_,
                CopySourceIfMatch=source.etag,
                IfNoneMatch="*",
                MetadataDirective="COPY",
                TaggingDirective="REPLACE",  # by none: to copy tags takes rights on both sides that nobody needs
            )
        except ClientError as error:
            if error_code(error) in TAKEN_CODES | ABSENT_CODES:
                return False
            raise as_aws_error(error, doing=doing) from error
        return True

    def _copy_in_parts(self, source: ObjectFacts, from_: "CopySourceTypeDef", bucket: str, key: str) -> bool:
        def send(part: Part, **parameters: Any) -> str:
            answer = self._retrier.call(
                f"publish a part of s3://{bucket}/{key}",
                self._client.upload_part_copy,
                CopySource=from_,
                CopySourceIfMatch=source.etag,
                CopySourceRange=f"bytes={part.first}-{part.first + part.size_bytes - 1}",
                **parameters,
            )
            return answer["CopyPartResult"]["ETag"]

        write = MultipartWrite(client=self._client, retrier=self._retrier, bucket=bucket, key=key)
        parts = cut_into_parts(source.size_bytes, part_bytes=self._sizes.copy_part_bytes)
        return write.if_absent(parts, send, content_type=source.content_type, metadata=source.metadata)


class InMemoryOutputBuckets:
    """In memory, for tests and the simulation."""

    def __init__(self, work: InMemoryObjectStore | None = None) -> None:
        self._work = work or InMemoryObjectStore()
        self.buckets: dict[str, InMemoryObjectStore] = {}

    @property
    def work(self) -> InMemoryObjectStore:
        return self._work

    def bucket(self, name: str) -> InMemoryObjectStore:
        return self.buckets.setdefault(name, InMemoryObjectStore())

    def copy_if_absent(self, source: ObjectFacts, *, bucket: str, key: str) -> bool:
        if self._work.head(source.key) != source:
            return False
        return self.bucket(bucket).put_if_absent(
            key, self._work.objects[source.key], content_type=source.content_type, metadata=source.metadata
        )
