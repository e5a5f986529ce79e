"""Objects too large for one request: written part by part, there as a whole or not at all."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from botocore.exceptions import ClientError

from spotproof import events
from spotproof.errors import AwsError, AwsUnavailableError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)
PARTS_MAX: Final = 10_000  # S3 user guide, "Amazon S3 multipart upload limits"
TAKEN_CODES: Final = frozenset({"PreconditionFailed", "412"})
GONE_CODES: Final = frozenset({"NoSuchUpload"})  # completed and the reply was lost, or ended by a 409 or by others
ABSENT_CODES: Final = frozenset({"NoSuchKey", "404", "NotFound"})
UPLOADS_MAX: Final = 3  # so often is it begun before it is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A range of the content: from byte `first` on, `size_bytes` long."""

    number: int  # from 1
    first: int
    size_bytes: int


class SendPart(Protocol):
    """Sends one part with the given request parameters and returns its ETag."""

    def __call__(self, part: Part, *, Bucket: str, Key: str, UploadId: str, PartNumber: int) -> str: ...  # noqa: N803


def cut_into_parts(size_bytes: int, *, part_bytes: int) -> list[Part]:
    """Parts of at least `part_bytes` (the last may be shorter), larger where the limit of parts asks for it."""
    step = max(part_bytes, -(-size_bytes // PARTS_MAX))
    return [
        Part(number=number, first=first, size_bytes=min(step, size_bytes - first))
        for number, first in enumerate(range(0, size_bytes, step), start=1)
    ]


class MultipartWrite:
    """One multipart upload of one object."""

    def __init__(self, *, client: "S3Client", retrier: Retrier, bucket: str, key: str) -> None:
        self._client = client
        self._retrier = retrier
        self._bucket = bucket
        self._key = key
        self._doing = f"write s3://{bucket}/{key} in parts"

    def if_absent(
        self, parts: Sequence[Part], send: SendPart, *, content_type: str, metadata: Mapping[str, str]
    ) -> bool:
        """Write the object unless its key is taken; False if it is, by whomever: a lost reply of ours included.

        After a 409 to its completion an upload is gone (S3 API reference, CompleteMultipartUpload) and so it is after
        a completion whose reply was lost: only the key tells which. If it is free, all parts are sent again.

        Raises:
            AwsError: it did not work; nothing of it stays.
        """
        try:
            for _ in range(UPLOADS_MAX):
                try:
                    return self._upload(parts, send, content_type, metadata)
                except ClientError as error:
                    if error_code(error) in TAKEN_CODES:
                        return False
                    if error_code(error) not in GONE_CODES:
                        raise
                if self._taken():
                    return False
        except ClientError as error:
            raise as_aws_error(error, doing=self._doing) from error
        raise AwsUnavailableError(f"{self._doing}: the upload was lost {UPLOADS_MAX} times; try again later")

    def _upload(self, parts: Sequence[Part], send: SendPart, content_type: str, metadata: Mapping[str, str]) -> bool:
        upload_id = self._begin(content_type, metadata)
        try:
            self._send_all(upload_id, parts, send)
        except BaseException as error:
            if error_code(error) not in GONE_CODES:
                self._abort(upload_id)
            raise
        return True

    def _taken(self) -> bool:
        try:
            self._retrier.call(self._doing, self._client.head_object, Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if error_code(error) in ABSENT_CODES:
                return False
            raise
        return True

    def _begin(self, content_type: str, metadata: Mapping[str, str]) -> str:
        answer = self._retrier.call(
            self._doing,
            self._client.create_multipart_upload,
            Bucket=self._bucket,
            Key=self._key,
            ContentType=content_type,
            Metadata=dict(metadata),
        )
        return answer["UploadId"]

    def _send_all(self, upload_id: str, parts: Sequence[Part], send: SendPart) -> None:
        done: list[CompletedPartTypeDef] = []
        for part in parts:
            etag = send(part, Bucket=self._bucket, Key=self._key, UploadId=upload_id, PartNumber=part.number)
            done.append({"ETag": etag, "PartNumber": part.number})
        self._retrier.call(
            self._doing,
            self._client.complete_multipart_upload,
            Bucket=self._bucket,
            Key=self._key,
            UploadId=upload_id,
            MultipartUpload={"Parts": done},
            IfNoneMatch="*",
        )

    def _abort(self, upload_id: str) -> None:
        try:
            self._retrier.call(
                self._doing,
                self._client.abort_multipart_upload,
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
            )
        except (ClientError, AwsError) as error:
            # Only storage cost can be lost here: the bucket's lifecycle rule removes abandoned uploads.
            logger.info(events.CHECKPOINT_CLEANUP_FAILED, extra={"error": str(error)})
