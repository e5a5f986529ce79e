"""Multipart uploads: parts that nobody sees until they are put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from botocore.exceptions import ClientError

from simulation.cloud.s3_buckets import Buckets
from simulation.cloud.s3_objects import etag_of, etag_of_parts, matches
from simulation.cloud.s3_requests import content_of, metadata_of, refusal, source_of

PART_BYTES_MIN: Final = 5 * 2**20  # of all parts but the last; S3 user guide, "Amazon S3 multipart upload limits"
PARTS_MAX: Final = 10_000  # ibid.
LISTED_MAX: Final = 1000  # S3 API reference, ListMultipartUploads


@dataclass(kw_only=True)
class Upload:
    """One upload under way. Sending a part again replaces it."""

    upload_id: str
    bucket: str
    key: str
    content_type: str
    metadata: Mapping[str, str]
    initiated: datetime
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)  # number -> entity tag, bytes


class Uploads:
    """All uploads under way, and if completions are repeated the answers of those that were."""

    def __init__(self, buckets: Buckets, *, part_bytes_min: int, repeats_completion: bool) -> None:
        self._buckets = buckets
        self._part_bytes_min = part_bytes_min
        self._repeats_completion = repeats_completion
        self._uploads: dict[str, Upload] = {}
        self._completed: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {}
        self._count = 0

    def of(self, bucket: str) -> list[Upload]:
        """The uploads under way in a bucket, by key and age."""
        return sorted(
            (upload for upload in self._uploads.values() if upload.bucket == bucket),
            key=lambda upload: (upload.key, upload.upload_id),
        )

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        operation = "CreateMultipartUpload"
        self._buckets.shelf(operation, request["Bucket"])
        self._count += 1
        upload = Upload(
            upload_id=f"upload-{self._count:08d}",
            bucket=request["Bucket"],
            key=request["Key"],
            content_type=request.get("ContentType", ""),
            metadata=metadata_of(operation, request.get("Metadata")),
            initiated=self._buckets.second(),
        )
        self._uploads[upload.upload_id] = upload
        return {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}

    def send(self, request: Mapping[str, Any]) -> str:
        """Keep one part from the request's body; its entity tag."""
        upload = self._find("UploadPart", request)
        return self._keep("UploadPart", upload, request, content_of(request.get("Body", b"")))

    def copy(self, request: Mapping[str, Any]) -> str:
        """Keep one part from an object or a range of it; its entity tag."""
        operation = "UploadPartCopy"
        upload = self._find(operation, request)
        source = self._buckets.read(operation, *source_of(request["CopySource"]))
        if "CopySourceIfMatch" in request and not matches(request["CopySourceIfMatch"], source.etag):
            raise refusal(operation, "PreconditionFailed")
        first, stop = _copied_range(request.get("CopySourceRange"), len(source.data))
        return self._keep(operation, upload, request, source.data[first:stop])

    def complete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make the object of the parts named, if the request's conditions hold.

        After a 409 the upload is gone: S3 asks for a new one, with all its parts (API reference).
        """
        operation = "CompleteMultipartUpload"
        named = request.get("MultipartUpload", {}).get("Parts", [])
        repeated = self._completed.get(request["UploadId"])
        if repeated is not None and repeated[0] == named:
            return dict(repeated[1])
        upload = self._find(operation, request)
        etags, data = self._joined(upload, named)
        etag = self._write(upload, request, data, etag_of_parts(etags))
        del self._uploads[upload.upload_id]
        answer = {
            "Location": f"https://{upload.bucket}.s3.amazonaws.com/{upload.key}",
            "Bucket": upload.bucket,
            "Key": upload.key,
            "ETag": etag,
        }
        if self._repeats_completion:
            self._completed[upload.upload_id] = (named, answer)
        return answer

    def abort(self, request: Mapping[str, Any]) -> None:
        del self._uploads[self._find("AbortMultipartUpload", request).upload_id]

    def listed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to ListMultipartUploads.

        Raises:
            NotImplementedError: there are more than fit on a page.
        """
        bucket, prefix = request["Bucket"], request.get("Prefix", "")
        self._buckets.shelf("ListMultipartUploads", bucket)
        found = [upload for upload in self.of(bucket) if upload.key.startswith(prefix)]
        if len(found) > LISTED_MAX:
            raise NotImplementedError(f"the simulated S3 lists at most {LISTED_MAX} uploads, there are {len(found)}")
        answer: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxUploads": LISTED_MAX, "IsTruncated": False}
        if found:
            answer["Uploads"] = [
                {"UploadId": each.upload_id, "Key": each.key, "Initiated": each.initiated, "StorageClass": "STANDARD"}
                for each in found
            ]
        return answer

    # --- internals -----------------------------------------------------------------------------------------------

    def _write(self, upload: Upload, request: Mapping[str, Any], data: bytes, etag: str) -> str:
        facts = {"content_type": upload.content_type, "metadata": upload.metadata}
        try:
            return self._buckets.write("CompleteMultipartUpload", request, data=data, etag=etag, **facts)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalRequestConflict":
                del self._uploads[upload.upload_id]
            raise

    def _find(self, operation: str, request: Mapping[str, Any]) -> Upload:
        self._buckets.shelf(operation, request["Bucket"])
        upload = self._uploads.get(request["UploadId"])
        if upload is None or (upload.bucket, upload.key) != (request["Bucket"], request["Key"]):
            raise refusal(operation, "NoSuchUpload")
        return upload

    def _keep(self, operation: str, upload: Upload, request: Mapping[str, Any], data: bytes) -> str:
        number = request["PartNumber"]
        if not 1 <= number <= PARTS_MAX:
            raise refusal(operation, "InvalidArgument", f": part number {number} is not between 1 and {PARTS_MAX}")
        etag = etag_of(data)
        upload.parts[number] = (etag, data)
        return etag

    def _joined(self, upload: Upload, named: Sequence[Mapping[str, Any]]) -> tuple[list[str], bytes]:
        """Entity tags and bytes of the parts named."""
        operation = "CompleteMultipartUpload"
        if not named:
            raise refusal(operation, "MalformedXML")
        numbers = [part["PartNumber"] for part in named]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise refusal(operation, "InvalidPartOrder")
        parts = [upload.parts.get(number, ("", b"")) for number in numbers]
        for part, (etag, _) in zip(named, parts, strict=True):
            if not etag or part["ETag"].strip('"') != etag.strip('"'):
                raise refusal(operation, "InvalidPart")
        if any(len(data) < self._part_bytes_min for _, data in parts[:-1]):
            raise refusal(operation, "EntityTooSmall")
        return [etag for etag, _ in parts], b"".join(data for _, data in parts)


def _copied_range(text: str | None, size_bytes: int) -> tuple[int, int]:
    """First byte and the one after the last; unlike in reads, all of it must be there."""
    if text is None:
        return 0, size_bytes
    first, dash, last = text.removeprefix("bytes=").partition("-")
    if not (text.startswith("bytes=") and dash and first.isdigit() and last.isdigit()):
        raise refusal("UploadPartCopy", "InvalidArgument", f": {text!r} is not of the form bytes=first-last")
    if not int(first) <= int(last) < size_bytes:
        raise refusal("UploadPartCopy", "InvalidArgument", f": {text!r} is not within {size_bytes} bytes")
    return int(first), int(last) + 1
