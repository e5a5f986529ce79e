"""The bucket contract over obstore, and its faults: what obstore says must mean what botocore's words mean."""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials

from bench.servers.certificate import CERTIFICATE, server_context
from spotproof.checkpoints import obstore_s3
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.clients import Clients, SessionCredentials
from spotproof.clock import SystemClock
from spotproof.errors import (
    AwsAccessError,
    AwsError,
    AwsIdentityError,
    AwsMissingError,
    AwsUnavailableError,
    CheckpointCorruptError,
)
from spotproof.retries import Retrier, RetryPolicy
from spotproof.settings import AwsSettings
from tests.contracts.checkpoints.object_store_contract import SOME, ObjectStoreContract, RacingWritesContract
from tests.fakes.clock import FakeClock
from tests.fakes.s3_server import S3Server

if TYPE_CHECKING:
    from obstore.store import S3Store

BUCKET = "work-bucket"
ATTEMPTS = 4


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server().serving() as server:
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.start_over(BUCKET)
    return running


@cache
def clients_of(url: str) -> Clients:
    return Clients(
        AwsSettings(region="eu-west-1", endpoint_url=url, access_key_id="an-access-key", secret_access_key="test")
    )


def retrier() -> Retrier:
    return Retrier(clock=FakeClock(), rng=random.Random(1), policy=RetryPolicy(attempts_max=ATTEMPTS))


def store_of(url: str, bucket: str = BUCKET) -> ObstoreObjectStore:
    return ObstoreObjectStore(clients=clients_of(url), bucket=bucket, retrier=retrier())


@pytest.fixture
def objects(server: S3Server) -> ObstoreObjectStore:
    return store_of(server.url)


@pytest.fixture(params=["obstore", "boto3"])
def either(server: S3Server, request: pytest.FixtureRequest) -> ObjectStore:
    """The same bucket over both transports: tests that take this hold for both, or they are not interchangeable."""
    if request.param == "obstore":
        return store_of(server.url)
    return S3ObjectStore(client=clients_of(server.url).s3, bucket=BUCKET, retrier=retrier())


class TestObstore(ObjectStoreContract, RacingWritesContract):
    @pytest.fixture
    def objects(self, server: S3Server) -> ObstoreObjectStore:
        return store_of(server.url)


class TestS3OverSockets(ObjectStoreContract, RacingWritesContract):
    """boto3 towards the same server: what passes above is not the server's peculiarity."""

    @pytest.fixture
    def objects(self, server: S3Server) -> S3ObjectStore:
        return S3ObjectStore(client=clients_of(server.url).s3, bucket=BUCKET, retrier=retrier())


def test_what_one_transport_wrote_the_other_reads(server: S3Server) -> None:
    over_obstore = store_of(server.url)
    over_boto3 = S3ObjectStore(client=clients_of(server.url).s3, bucket=BUCKET, retrier=retrier())

    key = "checkpoints/v2/run=1/a b~c+d/ü,(1)!*'@:$&#%25"
    over_obstore.put_if_absent(key, SOME, content_type="text/plain", metadata={"sha256": "00ff"})
    over_boto3.put("theirs", SOME)

    facts = over_boto3.head(key)
    assert facts is not None
    assert (facts.size_bytes, facts.content_type, dict(facts.metadata)) == (len(SOME), "text/plain", {"sha256": "00ff"})
    assert [each.key for each in over_obstore.list("checkpoints/v2/run=1/a")] == [key]
    assert over_obstore.get("theirs", size_max=len(SOME)) == SOME


@pytest.mark.parametrize("key", ["a/", "/a", "a//b", "a/../b"])
def test_a_key_that_obstore_would_change_is_refused(objects: ObstoreObjectStore, server: S3Server, key: str) -> None:
    with pytest.raises(ValueError, match=r"slash|path"):
        objects.put(key, b"x")

    assert server.requests == []


def test_a_conflict_with_another_write_under_way_is_tried_again(either: ObjectStore, server: S3Server) -> None:
    server.refuse((409, "ConditionalRequestConflict"), (503, "SlowDown"), (409, "OperationAborted"))

    assert either.put_if_absent("k", b"mine")

    assert [request.headers["if-none-match"] for request in server.requests] == ["*"] * 4
    assert either.get("k", size_max=4) == b"mine"


def test_a_key_that_is_taken_is_no_conflict(either: ObjectStore, server: S3Server) -> None:
    server.refuse((409, "ConditionalRequestConflict"), (412, "PreconditionFailed"))

    assert not either.put_if_absent("k", b"mine")

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", AwsAccessError),
        (403, "InvalidAccessKeyId", AwsAccessError),
        (403, "SignatureDoesNotMatch", AwsAccessError),
        (400, "ExpiredToken", AwsIdentityError),
        (403, "RequestTimeTooSkewed", AwsIdentityError),
        (404, "NoSuchBucket", AwsMissingError),
        (400, "EntityTooLarge", AwsError),
        (501, "NotImplemented", AwsUnavailableError),
        (500, "InternalError", AwsUnavailableError),
        (503, "SlowDown", AwsUnavailableError),
    ],
)
def test_what_s3_refuses_has_the_same_error_over_both_transports(
    either: ObjectStore, server: S3Server, status: int, code: str, error: type[AwsError]
) -> None:
    tries = ATTEMPTS if status >= 500 else 1
    target = memoryview(bytearray(1))
    for doing, request in (
        ("write", lambda: either.put("k", b"x")),
        ("write", lambda: either.put_if_absent("k", b"x")),
        ("read", lambda: either.get("k", size_max=1)),
        ("read", lambda: either.get_into("k", target)),
    ):
        server.requests.clear()
        server.refuse(*[(status, code)] * tries)

        with pytest.raises(AwsError, match=f"{doing} s3://work-bucket/k: .*{code}") as caught:
            request()

        assert type(caught.value) is error
        assert "\n" not in str(caught.value)
        assert len(server.requests) == tries, "there is one retry layer"


def test_a_missing_bucket_is_an_error_that_names_it(server: S3Server) -> None:
    gone = store_of(server.url, "gone-bucket")

    for request in (
        lambda: gone.get("k", size_max=1),
        lambda: gone.get_into("k", memoryview(bytearray(1))),
        lambda: gone.put("k", b""),
        lambda: gone.put_if_absent("k", b""),
        lambda: list(gone.list("k")),
    ):
        with pytest.raises(AwsMissingError, match="gone-bucket"):
            request()


def test_an_endpoint_that_stays_away_is_unavailable() -> None:
    with S3Server().serving() as server:
        url = server.url

    with pytest.raises(AwsUnavailableError, match="read s3://work-bucket/k"):
        store_of(url).get("k", size_max=1)
    with pytest.raises(AwsUnavailableError, match="write s3://work-bucket/k"):
        store_of(url).put("k", b"x")


def test_a_server_that_never_answers_is_given_up(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstore_s3, "READ_TIMEOUT_S", 0.1)
    monkeypatch.setattr(obstore_s3, "WRITE_BYTES_PER_S_MIN", 2**24)
    objects = store_of(server.url)
    server.answering.clear()

    requests: list[Callable[[], object]] = [lambda: objects.get("k", size_max=1), lambda: objects.put("k", b"x")]
    try:
        for request in requests:
            server.requests.clear()
            with pytest.raises(AwsUnavailableError, match="s3://work-bucket/k"):
                request()
            assert len(server.requests) == ATTEMPTS
    finally:
        server.answering.set()


def test_a_large_write_may_take_longer_than_a_small_one(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore's read timeout counts from the start of a request: it would end every write that takes as long."""
    monkeypatch.setattr(obstore_s3, "READ_TIMEOUT_S", 0.0)
    monkeypatch.setattr(obstore_s3, "WRITE_CLASSES", (10, 100))
    monkeypatch.setattr(obstore_s3, "WRITE_BYTES_PER_S_MIN", 100)
    timeouts: list[float] = []
    clients = clients_of(server.url)

    class Recording:
        s3, credentials = clients.s3, clients.credentials

        def obstore(self, bucket: str, *, timeout_s: float, read_timeout_s: float | None = None) -> "S3Store":
            if read_timeout_s is None:
                timeouts.append(timeout_s)
            return clients.obstore(bucket, timeout_s=60, read_timeout_s=60)

    objects = ObstoreObjectStore(clients=cast(Clients, Recording()), bucket=BUCKET, retrier=retrier())

    for size_bytes in (0, 10, 11, 100, 1000, 10):
        objects.put("k", bytes(size_bytes))

    assert timeouts == [0.1, 1.0]


@pytest.mark.parametrize("after_bytes", [0, 1, len(SOME) - 1])
def test_a_connection_that_breaks_within_a_body_is_tried_again(
    either: ObjectStore, server: S3Server, after_bytes: int
) -> None:
    either.put("k", SOME)
    found = bytearray(len(SOME))

    server.cut_reads(SOME, after_bytes=after_bytes, times=2)
    assert either.get("k", size_max=len(SOME)) == SOME
    server.cut_ranges(SOME, after_bytes=after_bytes, times=2)
    assert either.get_into("k", memoryview(found))

    assert found == SOME
    assert len(server.requests) == 1 + 3 + 3


def test_a_body_that_always_breaks_is_unavailable_and_never_short(either: ObjectStore, server: S3Server) -> None:
    server.cut_ranges(SOME, after_bytes=1000, times=ATTEMPTS)

    with pytest.raises(AwsUnavailableError, match="read s3://work-bucket/k"):
        either.get_into("k", memoryview(bytearray(len(SOME))))


def test_an_object_that_is_too_large_is_not_read(objects: ObstoreObjectStore, server: S3Server) -> None:
    server.cut_reads(SOME, after_bytes=10)

    with pytest.raises(CheckpointCorruptError, match="50000 bytes, more than the 49999"):
        objects.get("k", size_max=len(SOME) - 1)


def test_writes_are_signed_but_their_bytes_are_not_hashed(objects: ObstoreObjectStore, server: S3Server) -> None:
    objects.put("k", SOME)

    (request,) = server.requests
    assert request.path == f"/{BUCKET}/k"
    assert "an-access-key/" in request.headers["authorization"]
    assert "/eu-west-1/s3/" in request.headers["authorization"]
    assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert request.headers["content-type"] == "application/octet-stream"


def test_the_environment_does_not_lead_obstore_elsewhere(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_REGION", "us-west-2")

    store_of(server.url).put("k", b"x")

    (request,) = server.requests
    assert "an-access-key/" in request.headers["authorization"]
    assert "/eu-west-1/" in request.headers["authorization"]
    assert "x-amz-security-token" not in request.headers


def test_the_usual_chain_of_credentials_serves_obstore(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-chain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    clients = Clients(AwsSettings(region="eu-west-1", endpoint_url=server.url))

    ObstoreObjectStore(clients=clients, bucket=BUCKET, retrier=retrier()).put("k", b"x")

    assert "from-the-chain/" in server.requests[0].headers["authorization"]
    assert server.requests[0].headers["x-amz-security-token"] == "a-token"


def test_only_a_server_whose_certificate_is_trusted_gets_anything(tmp_path: Path) -> None:
    with S3Server(server_context(tmp_path)).serving() as server:
        server.start_over(BUCKET)
        trusting = replace(clients_of(server.url).settings, ca_bundle=str(tmp_path / CERTIFICATE))

        with pytest.raises(AwsUnavailableError, match="write s3://work-bucket/k"):
            store_of(server.url).put("k", SOME)
        assert server.requests == []

        for store in (
            ObstoreObjectStore(clients=Clients(trusting), bucket=BUCKET, retrier=retrier()),
            S3ObjectStore(client=Clients(trusting).s3, bucket=BUCKET, retrier=retrier()),
        ):
            store.put("k", SOME)
            assert store.get("k", size_max=len(SOME)) == SOME


class Rotating(Credentials):
    """Gives other keys at every call, and counts them."""

    calls = 0

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.calls += 1
        return ReadOnlyCredentials(f"key-{self.calls}", "secret", None)


@pytest.mark.parametrize(("age", "asked_again"), [(4, False), (6, True)])
def test_credentials_are_asked_for_again_when_half_of_their_ten_minutes_is_over(
    server: S3Server, age: int, asked_again: bool
) -> None:
    """botocore gives none that end in less than ten minutes, so none are used that have ended."""
    given = SessionCredentials(Rotating("", ""), FakeClock(datetime.now(UTC) - timedelta(minutes=age)))
    clients = Clients(clients_of(server.url).settings)
    vars(clients).update(s3=clients_of(server.url).s3, credentials=given)
    objects = ObstoreObjectStore(clients=clients, bucket=BUCKET, retrier=retrier())

    time = SystemClock()
    until = time.monotonic() + 0.2  # obstore asks at most every tenth of a second
    while time.monotonic() < until:
        objects.put("k", b"x")

    signers = {re.findall(r"Credential=([^/]*)/", each.headers["authorization"])[0] for each in server.requests}
    assert signers == ({"key-1", "key-2"} if asked_again else {"key-1"})
