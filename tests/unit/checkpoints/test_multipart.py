"""Objects written in parts while others write the same key, or the upload is lost."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.errors import AwsUnavailableError
from spotproof.retries import Retrier
from tests.contracts.checkpoints.test_object_stores import BUCKET, make_client
from tests.fakes.clock import FakeClock

MIB = 2**20


class LosingUploads:
    """S3 that ends uploads which are about to complete: with a 409, as while another write is under way, or silently.

    `winner`: what another writer stores under the key at that moment.
    """

    def __init__(
        self, inner: Any, *, times: int, code: str = "ConditionalRequestConflict", winner: bytes = b""
    ) -> None:
        self._inner = inner
        self._times = times
        self._code = code
        self._winner = winner

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._inner, operation)

    def complete_multipart_upload(self, **request: Any) -> Any:
        if self._times:
            self._times -= 1
            place = {"Bucket": request["Bucket"], "Key": request["Key"]}
            self._inner.abort_multipart_upload(**place, UploadId=request["UploadId"])
            if self._winner:
                self._inner.put_object(**place, Body=self._winner)
            error: Any = {"Error": {"Code": self._code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 409}}
            raise ClientError(error, "CompleteMultipartUpload")
        return self._inner.complete_multipart_upload(**request)


class ForgettingReply:
    """S3 whose answer to the completion is lost, and who says of the upload afterwards what the API reference says."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._completed = False

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._inner, operation)

    def complete_multipart_upload(self, **request: Any) -> Any:
        code = "NoSuchUpload" if self._completed else "InternalError"
        if not self._completed:
            self._inner.complete_multipart_upload(**request)
            self._completed = True
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "CompleteMultipartUpload")


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        client = make_client()
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(random.Random(1).randbytes(6 * MIB))
    return path


def store_of(client: Any) -> S3ObjectStore:
    return S3ObjectStore(
        client=client,
        bucket=BUCKET,
        retrier=Retrier(clock=FakeClock(), rng=random.Random(1)),
        single_write_max=MIB,
        part_bytes=5 * MIB,
    )


def stored(client: Any) -> bytes:
    body: bytes = client.get_object(Bucket=BUCKET, Key="k")["Body"].read()
    return body


def uploads(client: Any) -> list[Any]:
    listed: list[Any] = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return listed


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "NoSuchUpload"])
def test_an_upload_that_is_lost_before_it_completes_is_made_again(client: Any, large: Path, code: str) -> None:
    assert store_of(LosingUploads(client, times=2, code=code)).put_if_absent("k", large)

    assert stored(client) == large.read_bytes()
    assert uploads(client) == []


def test_a_key_that_another_writer_took_in_the_conflict_is_taken(client: Any, large: Path) -> None:
    assert not store_of(LosingUploads(client, times=1, winner=b"theirs")).put_if_absent("k", large)

    assert stored(client) == b"theirs"


def test_a_completion_whose_reply_was_lost_leaves_the_key_taken(client: Any, large: Path) -> None:
    assert not store_of(ForgettingReply(client)).put_if_absent("k", large)

    assert stored(client) == large.read_bytes()


def test_uploads_that_are_lost_again_and_again_end_in_an_error_not_in_a_key_that_is_taken(
    client: Any, large: Path
) -> None:
    with pytest.raises(
        AwsUnavailableError, match=r"write s3://work-bucket/k in parts: .* lost 3 times; try again later"
    ):
        store_of(LosingUploads(client, times=9)).put_if_absent("k", large)

    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
