"""What bulk deletion and the sweep need of a bucket, over memory, moto and the simulated S3."""

import random
from collections.abc import Iterator
from datetime import timedelta

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from simulation.cloud.s3 import SimS3
from spotproof.checkpoints.garbage_sweep import Sweepable
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore, Undeleted
from spotproof.clock import Clock, SystemClock
from spotproof.errors import AwsAccessError
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

BUCKET = "work-bucket"


class Bucket(Sweepable, ObjectStore):
    """Both protocols, for the tests' eyes."""


class DeletableContract:
    """Subclasses provide the fixtures `objects`, a fresh, empty bucket, and `clock`, which it goes by."""

    def test_a_listing_begins_after_a_key_and_stays_below_the_prefix(self, objects: Bucket) -> None:
        for key in ("a/1", "a/2", "a/3", "b/1"):
            objects.put(key, b"")

        assert [each.key for each in objects.list("a/", after="a/1")] == ["a/2", "a/3"]
        assert [each.key for each in objects.list("a/", after="a/11")] == ["a/2", "a/3"]
        assert [each.key for each in objects.list("a/", after="a/")] == ["a/1", "a/2", "a/3"]
        assert list(objects.list("a/", after="a/3")) == []

    def test_a_listing_after_a_key_goes_past_a_page(self, objects: Bucket) -> None:
        keys = [f"many/{number:05d}" for number in range(1010)]
        for key in keys:
            objects.put(key, b"")

        assert [each.key for each in objects.list("many/", after=keys[2])] == keys[3:]

    def test_a_listing_goes_on_while_its_objects_are_deleted(self, objects: Bucket) -> None:
        keys = [f"many/{number:05d}" for number in range(1010)]
        for key in keys:
            objects.put(key, b"")

        seen = []
        for facts in objects.list("many/"):
            seen.append(facts.key)
            if len(seen) == 1000:
                objects.delete_batch(seen)

        assert seen == keys

    def test_a_listing_says_when_objects_were_written(self, objects: Bucket, clock: Clock) -> None:
        objects.put("k", b"")

        (facts,) = objects.list("k")

        assert facts.modified is not None
        assert abs(facts.modified - clock.now()) < timedelta(minutes=1)

    def test_a_batch_deletes_exactly_its_keys_and_missing_ones_are_fine(self, objects: Bucket) -> None:
        for key in ("a", "b", "c"):
            objects.put(key, b"")

        assert objects.delete_batch(["a", "c", "missing"]) == []
        assert [each.key for each in objects.list("")] == ["b"]


class TestInMemory(DeletableContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def objects(self, clock: FakeClock) -> InMemoryObjectStore:
        return InMemoryObjectStore(clock)


class TestS3(DeletableContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @pytest.fixture
    def objects(self) -> Iterator[S3ObjectStore]:
        with mock_aws():
            client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
            client.create_bucket(Bucket=BUCKET)
            yield a_store(client)

    def test_what_s3_refuses_is_told_key_by_key(self, objects: S3ObjectStore) -> None:
        with Stubber(objects._client) as stubber:
            errors = [{"Key": "b", "Code": "AccessDenied", "Message": "locked"}, {"Key": "c", "Code": "SlowDown"}]
            stubber.add_response(
                "delete_objects",
                {"Errors": errors},
                {"Bucket": BUCKET, "Delete": {"Objects": [{"Key": key} for key in "abc"], "Quiet": True}},
            )

            assert objects.delete_batch(["a", "b", "c"]) == [
                Undeleted(key="b", code="AccessDenied", message="locked"),
                Undeleted(key="c", code="SlowDown"),
            ]

    def test_a_request_that_is_refused_as_a_whole_is_an_error(self, objects: S3ObjectStore) -> None:
        with Stubber(objects._client) as stubber:
            stubber.add_client_error("delete_objects", "AccessDenied", http_status_code=403)

            with pytest.raises(AwsAccessError, match="remove objects of s3://work-bucket"):
                objects.delete_batch(["a"])


class TestS3Simulated(DeletableContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def objects(self, clock: FakeClock) -> S3ObjectStore:
        return a_store(SimS3([BUCKET], now=clock.now))


def a_store(client: object) -> S3ObjectStore:
    retrier = Retrier(clock=FakeClock(), rng=random.Random(1))
    return S3ObjectStore(client=client, bucket=BUCKET, retrier=retrier)  # type: ignore[arg-type]
