"""The bucket contract over memory and over S3 as moto answers it; and what only S3 can do wrong."""

import io
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.httpchecksum import Crc32Checksum, StreamingChecksumBody
from botocore.stub import Stubber
from moto import mock_aws

from simulation.cloud.s3 import SimS3
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.errors import AwsAccessError, AwsError, AwsMissingError, AwsUnavailableError, CheckpointCorruptError
from spotproof.retries import Retrier, RetryPolicy
from tests.contracts.checkpoints.object_store_contract import ObjectStoreContract, RacingWritesContract
from tests.fakes.clock import FakeClock
from tests.fakes.cut_reads import CutReads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "work-bucket"


def make_client() -> "S3Client":
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def make_store(client: "S3Client", bucket: str = BUCKET, *, attempts_max: int = 4) -> S3ObjectStore:
    retrier = Retrier(clock=FakeClock(), rng=random.Random(1), policy=RetryPolicy(attempts_max=attempts_max))
    return S3ObjectStore(client=client, bucket=bucket, retrier=retrier)


class TestInMemory(ObjectStoreContract, RacingWritesContract):
    @pytest.fixture
    def objects(self) -> InMemoryObjectStore:
        return InMemoryObjectStore()


class TestS3(ObjectStoreContract):
    @pytest.fixture
    def objects(self) -> Iterator[S3ObjectStore]:
        with mock_aws():
            client = make_client()
            client.create_bucket(Bucket=BUCKET)
            yield make_store(client)

    def test_a_missing_bucket_is_an_error_that_names_it(self, objects: S3ObjectStore) -> None:
        gone = make_store(make_client(), "gone-bucket")

        with pytest.raises(AwsMissingError, match="gone-bucket"):
            gone.get("k", size_max=1)
        with pytest.raises(AwsMissingError, match="gone-bucket"):
            gone.put("k", b"")
        with pytest.raises(AwsMissingError, match="gone-bucket"):
            list(gone.list("k"))


class TestS3Simulated(ObjectStoreContract):
    @pytest.fixture
    def objects(self) -> S3ObjectStore:
        return make_store(SimS3([BUCKET], now=FakeClock().now))  # type: ignore[arg-type]


@pytest.fixture
def stubbed() -> Iterator[tuple[S3ObjectStore, Stubber]]:
    client = make_client()
    with Stubber(client) as stubber:
        yield make_store(client), stubber
        stubber.assert_no_pending_responses()


WRITE = {"Bucket": BUCKET, "Key": "k", "Body": b"x", "ContentType": "application/octet-stream"}


def test_a_conflict_with_another_write_under_way_is_tried_again(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stubber = stubbed
    expected = {**WRITE, "Metadata": {}, "IfNoneMatch": "*"}
    stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409, expected_params=expected)
    stubber.add_client_error("put_object", "SlowDown", http_status_code=503, expected_params=expected)
    stubber.add_client_error("put_object", "PreconditionFailed", http_status_code=412, expected_params=expected)

    assert not store.put_if_absent("k", b"x")


def test_a_refused_write_names_the_object_and_the_way_out(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stubber = stubbed
    stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)

    with pytest.raises(AwsAccessError, match=r"write s3://work-bucket/k: AWS refused .* check credentials"):
        store.put("k", b"x")


def test_an_object_that_can_not_be_deleted_is_an_error(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stubber = stubbed
    answer: dict[str, Any] = {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "no"}]}
    stubber.add_response("delete_objects", answer)

    with pytest.raises(AwsError, match="work-bucket/k: AccessDenied"):
        store.delete_many(["k"])


def test_an_endpoint_that_stays_away_is_unavailable_and_not_empty() -> None:
    class Unreachable:
        def get_object(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    store = make_store(Unreachable())  # type: ignore[arg-type]

    with pytest.raises(AwsUnavailableError, match="read s3://work-bucket/k"):
        store.get("k", size_max=1)


def test_a_connection_that_breaks_within_a_body_is_tried_again() -> None:
    with mock_aws():
        client = make_client()
        client.create_bucket(Bucket=BUCKET)
        make_store(client).put("k", b"0123456789")

        assert make_store(CutReads(client, 3, 0)).get("k", size_max=10) == b"0123456789"  # type: ignore[arg-type]
        found = bytearray(4)
        assert make_store(CutReads(client, 3, 0)).get_into("k", memoryview(found), offset=5)  # type: ignore[arg-type]
        assert found == b"5678"
        with pytest.raises(AwsUnavailableError, match="read s3://work-bucket/k"):
            make_store(CutReads(client, *[3] * 4)).get("k", size_max=10)  # type: ignore[arg-type]


def test_a_body_that_does_not_fit_its_checksum_is_corrupt(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stubber = stubbed
    body = StreamingChecksumBody(io.BytesIO(b"other"), 5, Crc32Checksum(), "AAAAAA==")
    stubber.add_response("get_object", {"Body": body, "ContentLength": 5, "ETag": "x"})

    with pytest.raises(CheckpointCorruptError, match="k does not match its checksum"):
        store.get("k", size_max=5)
