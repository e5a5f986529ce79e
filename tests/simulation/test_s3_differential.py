"""Random requests to the simulated S3 and to moto side by side: every answer is the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulation.cloud.s3 import SimS3
from simulation.cloud.s3_objects import etag_of
from tests.simulation.moto_s3 import moto_s3

BUCKETS: Final = ("work", "data")
KEYS: Final = ("a", "a/b", "a/c d", "b/\u00fc")
BODIES: Final = (b"", b"0", b"0123456789")
PART_BYTES_MIN: Final = 2
NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
# What moto says more or less than S3, or what no two servers can agree on.
IGNORED: Final = frozenset(
    {"ResponseMetadata", "LastModified", "UploadId", "Initiated", "Location", "NextContinuationToken", "Owner"}
    | {"Initiator", "ContinuationToken", "ServerSideEncryption", "ChecksumCRC32", "ChecksumType", "ChecksumAlgorithm"}
    | {"KeyMarker", "UploadIdMarker", "Prefix", "StorageClass", "VersionId"}
)

Step = tuple[str, dict[str, Any]]


def steps() -> st.SearchStrategy[Step]:
    """One request: the method and its parameters; `UploadId` is the number of an upload, to be looked up."""
    place = {"Bucket": st.sampled_from(BUCKETS), "Key": st.sampled_from(KEYS)}
    tag = st.sampled_from([etag_of(body) for body in BODIES])
    body = st.sampled_from(BODIES)
    written = {"ContentType": st.just("text/plain"), "Metadata": st.just({"m": "1"}), "Tagging": st.just("t=1")}
    absent = {"IfNoneMatch": st.just("*")}
    part = {**place, "UploadId": st.integers(0, 3), "PartNumber": st.integers(1, 3)}
    return st.one_of(
        _step("put_object", {**place, "Body": body}, written),
        _step("put_object", {**place, "Body": body, **absent}),
        _step("put_object", {**place, "Body": body, "IfMatch": tag}),
        _step("get_object", place, {"IfMatch": tag, "Range": st.sampled_from(["bytes=0-0", "bytes=4-", "bytes=1-3"])}),
        _step("get_object", {**place, "IfNoneMatch": tag}),
        _step("head_object", place, {"IfMatch": tag, "IfNoneMatch": tag}),
        _step("copy_object", {**place, "CopySource": st.fixed_dictionaries(place)}),
        _step("delete_object", place),
        _step("delete_objects", {"Bucket": place["Bucket"], "Delete": _targets()}),
        _step("put_object_tagging", {**place, "Tagging": st.just({"TagSet": [{"Key": "t", "Value": "2"}]})}),
        _step("get_object_tagging", place),
        _step(
            "list_objects_v2",
            {"Bucket": place["Bucket"]},
            {"Prefix": st.sampled_from(["a", "a/", "z"]), "Delimiter": st.just("/"), "MaxKeys": st.integers(0, 3)},
        ),
        _step("list_objects_v2", {"Bucket": place["Bucket"], "StartAfter": st.sampled_from(KEYS)}),
        _step("create_multipart_upload", place, {"ContentType": st.just("text/plain")}),
        _step("upload_part", {**part, "Body": body}),
        _step("complete_multipart_upload", {**place, "UploadId": part["UploadId"]}, absent),
        _step("abort_multipart_upload", {**place, "UploadId": part["UploadId"]}),
        _step("list_multipart_uploads", {"Bucket": place["Bucket"]}),
    )


def _step(
    method: str, needed: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]] | None = None
) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(method), st.fixed_dictionaries(needed, optional=optional or {}))


def _targets() -> st.SearchStrategy[dict[str, Any]]:
    keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)
    return keys.map(lambda keys: {"Objects": [{"Key": key} for key in keys]})


class Account:
    """One of the two sides, with the uploads and parts it has given out."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.uploads: list[dict[str, str]] = []
        self.parts: dict[str, dict[int, str]] = {}

    def take(self, method: str, parameters: dict[str, Any]) -> Any:
        """The answer without what two servers need not agree on; code and status of an error."""
        parameters = dict(parameters)
        if "UploadId" in parameters and not self._find_upload(method, parameters):
            return "no such upload"
        try:
            answer = getattr(self.s3, method)(**parameters)
        except ClientError as error:
            if method == "complete_multipart_upload":
                return "refused"  # for one of several reasons, in no documented order
            return error.response["Error"]["Code"], _status(error.response)
        self._remember(method, parameters, answer)
        return _status(answer), _comparable(answer)

    def _find_upload(self, method: str, parameters: dict[str, Any]) -> bool:
        """Fill in an upload under way, with all its parts to complete it; moto fails at uploads that are gone."""
        if not self.uploads:
            return False
        upload = self.uploads[parameters["UploadId"] % len(self.uploads)]
        parameters.update(upload)
        if method == "complete_multipart_upload":
            parts = self.parts[upload["UploadId"]]
            if not parts:
                return False
            parameters["MultipartUpload"] = {
                "Parts": [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
            }
        return True

    def _remember(self, method: str, parameters: dict[str, Any], answer: dict[str, Any]) -> None:
        match method:
            case "create_multipart_upload":
                self.uploads.append({name: answer[name] for name in ("Bucket", "Key", "UploadId")})
                self.parts[answer["UploadId"]] = {}
            case "upload_part":
                self.parts[parameters["UploadId"]][parameters["PartNumber"]] = answer["ETag"]
            case "complete_multipart_upload" | "abort_multipart_upload":
                self.uploads = [each for each in self.uploads if each["UploadId"] != parameters["UploadId"]]


def _status(response: Any) -> int:
    status: int = response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items() if name not in IGNORED}
    if isinstance(value, list):
        return sorted((_comparable(each) for each in value), key=repr)
    return value.read() if hasattr(value, "read") else value


@contextmanager
def both_sides() -> Iterator[tuple[Account, Account]]:
    with moto_s3(*BUCKETS) as moto, patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART_BYTES_MIN):
        yield Account(SimS3(BUCKETS, now=lambda: NOW, part_bytes_min=PART_BYTES_MIN)), Account(moto)


# Not shrunk: moto takes minutes for it, and the failing step is named.
@settings(
    max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
)
@given(st.lists(steps(), min_size=20, max_size=30))
def test_random_requests_are_answered_as_moto_answers_them(sequence: list[Step]) -> None:
    with both_sides() as (simulated, moto):
        for number, (method, parameters) in enumerate(sequence):
            got, wanted = simulated.take(method, parameters), moto.take(method, parameters)
            assert got == wanted, f"step {number}: {method}({parameters})"

        for bucket in BUCKETS:
            objects = simulated.s3.objects(bucket)
            listed = moto.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            assert list(objects) == [entry["Key"] for entry in listed]
            for key, data in objects.items():
                assert moto.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == data
