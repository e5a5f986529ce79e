"""S3 as boto3's client shows it, in memory: what the product, its tests and plans ask of it, and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from simulation.cloud.s3_body import ObjectBody
from simulation.cloud.s3_buckets import Buckets, Damage, Watch
from simulation.cloud.s3_listing import KEYS_MAX, Pages, page_of
from simulation.cloud.s3_objects import StoredObject, check_read, matches, range_of
from simulation.cloud.s3_requests import content_of, metadata_of, refusal, request_forms, source_of
from simulation.cloud.s3_tags import tags_from_header, tags_of
from simulation.cloud.s3_uploads import PART_BYTES_MIN, Upload, Uploads

DELETE_MAX: Final = 1000  # keys per request; S3 API reference, DeleteObjects

Answer = dict[str, Any]


class SimS3:
    """All buckets of one account: strongly consistent, the last writer wins, one request at a time.

    A request that botocore would not send is a ParamValidationError; one that S3 knows and the simulation does not, a
    NotImplementedError, so that nothing passes here that would fail there. There are no versions, no encryption and
    no checksums beside entity tags; rates and sizes are unlimited.
    """

    def __init__(
        self,
        buckets: Iterable[str] = (),
        *,
        now: Callable[[], datetime],
        page_keys_max: int = KEYS_MAX,
        part_bytes_min: int = PART_BYTES_MIN,
        repeats_completion: bool = False,
    ) -> None:
        """An account with empty buckets.

        Args:
            buckets: their names.
            now: aware UTC; objects carry its whole seconds.
            page_keys_max: listings break after so many keys.
            part_bytes_min: of every part of an upload but its last.
            repeats_completion: whether completing an upload again with the same parts gets the first answer again.
                S3 documents NoSuchUpload, and has been seen to do this for a while.
        """
        self._buckets = Buckets(buckets, now=now)
        self._uploads = Uploads(self._buckets, part_bytes_min=part_bytes_min, repeats_completion=repeats_completion)
        self._page_keys_max = page_keys_max
        self._check = request_forms().check

    # --- what a client asks ---------------------------------------------------------------------------------------

    def create_bucket(self, **request: Any) -> Answer:
        self._check("CreateBucket", request)
        self._buckets.create(request["Bucket"])
        return _answer(Location=f"/{request['Bucket']}")

    def delete_bucket(self, **request: Any) -> Answer:
        self._check("DeleteBucket", request)
        self._buckets.drop(request["Bucket"])
        return _answer(204)

    def put_object(self, **request: Any) -> Answer:
        self._check("PutObject", request)
        etag = self._buckets.write(
            "PutObject",
            request,
            data=content_of(request.get("Body", b"")),
            content_type=request.get("ContentType"),
            metadata=metadata_of("PutObject", request.get("Metadata")),
            tags=tags_from_header("PutObject", request["Tagging"]) if "Tagging" in request else (),
        )
        return {"ResponseMetadata": {"HTTPStatusCode": 200}, "ETag": etag}

    def get_object(self, **request: Any) -> Answer:
        self._check("GetObject", request)
        stored = self._buckets.read("GetObject", request["Bucket"], request["Key"])
        check_read("GetObject", request, stored)
        answer, data = _facts(stored), stored.data
        if "Range" in request:
            start, stop = range_of("GetObject", request["Range"], len(data))
            answer["ContentRange"] = f"bytes {start}-{stop - 1}/{len(data)}"
            answer["ResponseMetadata"] = {"HTTPStatusCode": 206}
            data = data[start:stop]
            answer["ContentLength"] = len(data)
        if self._buckets.cuts:
            data = data[: self._buckets.cuts.pop((request["Bucket"], request["Key"]), len(data))]
        answer["Body"] = ObjectBody(data, content_length=answer["ContentLength"])
        return answer

    def head_object(self, **request: Any) -> Answer:
        self._check("HeadObject", request)
        stored = self._buckets.read("HeadObject", request["Bucket"], request["Key"])
        check_read("HeadObject", request, stored)
        return _facts(stored)

    def copy_object(self, **request: Any) -> Answer:
        self._check("CopyObject", request)
        place = source_of(request["CopySource"])
        source = self._buckets.read("CopyObject", *place)
        if "CopySourceIfMatch" in request and not matches(request["CopySourceIfMatch"], source.etag):
            raise refusal("CopyObject", "PreconditionFailed")
        etag = self._buckets.write("CopyObject", request, data=source.data, **_copied_facts(request, place, source))
        return _answer(CopyObjectResult={"ETag": etag, "LastModified": self._buckets.second()})

    def list_objects_v2(self, **request: Any) -> Answer:
        self._check("ListObjectsV2", request)
        shelf = self._buckets.shelf("ListObjectsV2", request["Bucket"])
        return page_of(shelf, request, keys_max=self._page_keys_max)

    def get_paginator(self, operation_name: str) -> Pages:
        if operation_name != "list_objects_v2":
            raise NotImplementedError(f"the simulated S3 has no pages of {operation_name}")
        return Pages(self.list_objects_v2)

    def delete_object(self, **request: Any) -> Answer:
        self._check("DeleteObject", request)
        code = self._buckets.delete("DeleteObject", request["Bucket"], request["Key"])
        if code is not None:
            raise refusal("DeleteObject", code)
        return _answer(204)

    def delete_objects(self, **request: Any) -> Answer:
        self._check("DeleteObjects", request)
        self._buckets.shelf("DeleteObjects", request["Bucket"])
        targets = request["Delete"]["Objects"]
        if not 1 <= len(targets) <= DELETE_MAX:
            raise refusal("DeleteObjects", "MalformedXML")
        if any(target.keys() != {"Key"} for target in targets):
            raise NotImplementedError("the simulated S3 deletes by key alone")
        return self._delete_each(request["Bucket"], targets, quiet=request["Delete"].get("Quiet", False))

    def put_object_tagging(self, **request: Any) -> Answer:
        self._check("PutObjectTagging", request)
        tags = tags_of("PutObjectTagging", request["Tagging"]["TagSet"])
        self._buckets.tag("PutObjectTagging", request["Bucket"], request["Key"], tags)
        return _answer()

    def get_object_tagging(self, **request: Any) -> Answer:
        self._check("GetObjectTagging", request)
        stored = self._buckets.read("GetObjectTagging", request["Bucket"], request["Key"])
        return _answer(TagSet=[{"Key": name, "Value": value} for name, value in stored.tags])

    def create_multipart_upload(self, **request: Any) -> Answer:
        self._check("CreateMultipartUpload", request)
        return _answer(**self._uploads.create(request))

    def upload_part(self, **request: Any) -> Answer:
        self._check("UploadPart", request)
        return _answer(ETag=self._uploads.send(request))

    def upload_part_copy(self, **request: Any) -> Answer:
        self._check("UploadPartCopy", request)
        etag = self._uploads.copy(request)
        return _answer(CopyPartResult={"ETag": etag, "LastModified": self._buckets.second()})

    def complete_multipart_upload(self, **request: Any) -> Answer:
        self._check("CompleteMultipartUpload", request)
        return _answer(**self._uploads.complete(request))

    def abort_multipart_upload(self, **request: Any) -> Answer:
        self._check("AbortMultipartUpload", request)
        self._uploads.abort(request)
        return _answer(204)

    def list_multipart_uploads(self, **request: Any) -> Answer:
        self._check("ListMultipartUploads", request)
        return _answer(**self._uploads.listed(request))

    # --- what a checker sees --------------------------------------------------------------------------------------

    @property
    def watch(self) -> list[Watch]:
        """Called at every change of an object, tags included, right after it took effect."""
        return self._buckets.watch

    def objects(self, bucket: str, prefix: str = "") -> Mapping[str, bytes]:
        """The bytes of every object under the prefix, in key order, as they are now."""
        shelf = self._buckets.shelf("ListObjectsV2", bucket)
        return {key: stored.data for key, stored in shelf.walk(prefix)}

    def uploads(self, bucket: str) -> list[Upload]:
        """The uploads under way in the bucket, by key and age."""
        return self._uploads.of(bucket)

    # --- what befalls it ------------------------------------------------------------------------------------------

    def vanish(self, bucket: str, key: str) -> None:
        """Remove the object as the bucket's lifecycle does; nothing if there is none."""
        self._buckets.remove("Vanish", bucket, key)

    def corrupt(self, bucket: str, key: str, how: Damage, *, other: str | None = None) -> None:
        """Change the object's bytes and nothing else of it: its tag and metadata now lie.

        Args:
            other: for a swap, the key in the same bucket whose bytes it gets.

        Raises:
            ValueError: the bytes would be the same as before.
        """
        self._buckets.damage(bucket, key, how, other)

    def conflict_next(self, bucket: str, key: str) -> None:
        """Answer 409 to the next conditional write of the key, as S3 does while another one is under way."""
        self._buckets.conflicts.add((bucket, key))

    def cut_next_read(self, bucket: str, key: str, *, after_bytes: int) -> None:
        """Break the connection of the next read of the object after so many bytes of its body."""
        self._buckets.cuts[bucket, key] = after_bytes

    def refuse_deletes(self, bucket: str, prefix: str, *, code: str = "AccessDenied") -> None:
        """Refuse to delete the keys under the prefix from now on, each by itself; the lifecycle still may."""
        self._buckets.undeletable[bucket, prefix] = code

    def allow_deletes(self, bucket: str, prefix: str) -> None:
        """Undo `refuse_deletes`."""
        self._buckets.undeletable.pop((bucket, prefix), None)

    # --- internals ------------------------------------------------------------------------------------------------

    def _delete_each(self, bucket: str, targets: list[dict[str, str]], *, quiet: bool) -> Answer:
        deleted, errors = [], []
        for target in targets:
            key = target["Key"]
            code = self._buckets.delete("DeleteObjects", bucket, key)
            if code is None:
                deleted.append({"Key": key})
            else:
                errors.append({"Key": key, **refusal("DeleteObjects", code).response["Error"]})
        answer = _answer()
        if deleted and not quiet:
            answer["Deleted"] = deleted
        if errors:
            answer["Errors"] = errors
        return answer


def _answer(status: int = 200, **fields: Any) -> Answer:
    return {"ResponseMetadata": {"HTTPStatusCode": status}, **fields}


def _facts(stored: StoredObject) -> Answer:
    """What reads and HEAD answer alike."""
    facts: Answer = {
        "ResponseMetadata": {"HTTPStatusCode": 200},
        "AcceptRanges": "bytes",
        "LastModified": stored.last_modified,
        "ContentLength": len(stored.data),
        "ETag": stored.etag,
        "ContentType": stored.content_type,
        "Metadata": dict(stored.metadata),
    }
    if stored.tags:
        facts["TagCount"] = len(stored.tags)
    return facts


def _copied_facts(request: Mapping[str, Any], place: tuple[str, str], source: StoredObject) -> dict[str, Any]:
    """Type, metadata and tags of a copy."""
    tags = source.tags if request.get("TaggingDirective", "COPY") == "COPY" else ()
    if request.get("MetadataDirective", "COPY") == "COPY":
        if place == (request["Bucket"], request["Key"]):
            raise refusal("CopyObject", "InvalidRequest")
        return {"content_type": source.content_type, "metadata": source.metadata, "tags": tags}
    metadata = metadata_of("CopyObject", request.get("Metadata"))
    return {"content_type": request.get("ContentType"), "metadata": metadata, "tags": tags}
