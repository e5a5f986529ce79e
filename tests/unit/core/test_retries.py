"""The single retry layer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)

from spotproof.errors import AwsAccessError, AwsIdentityError, AwsMissingError, AwsUnavailableError
from spotproof.retries import Retrier, RetryPolicy, error_code
from tests.fakes.clock import FakeClock


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "UpdateItem",
    )


class Service:
    """Raises the given errors one after another, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, **parameters: Any) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def retrier(clock: FakeClock) -> Retrier:
    return Retrier(clock=clock, rng=random.Random(1))


TRANSIENT: list[Callable[[], Exception]] = [
    lambda: client_error("ThrottlingException"),
    lambda: client_error("SlowDown", 503),
    lambda: client_error("AnythingElse", 500),
    lambda: client_error("ConditionalRequestConflict", 409),
    lambda: EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
    lambda: ReadTimeoutError(endpoint_url="http://127.0.0.1:9"),
    lambda: IncompleteReadError(actual_bytes=3, expected_bytes=10),
]


@pytest.mark.parametrize("make", TRANSIENT)
def test_what_may_pass_is_tried_again(retrier: Retrier, make: Callable[[], Exception]) -> None:
    service = Service(make(), make())

    assert retrier.call("test", service) == "answer"
    assert service.calls == 3


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "NoSuchKey", "PreconditionFailed", "404"])
def test_an_answer_that_aws_means_is_not_repeated(retrier: Retrier, code: str) -> None:
    service = Service(client_error(code))

    with pytest.raises(ClientError):
        retrier.call("test", service)
    assert service.calls == 1


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (client_error("AccessDeniedException"), AwsAccessError),
        (client_error("RequestTimeTooSkewed", 403), AwsIdentityError),
        (client_error("ExpiredToken", 400), AwsIdentityError),
        (client_error("ExpiredTokenException", 400), AwsIdentityError),
        (client_error("RequestExpired", 400), AwsIdentityError),
        (client_error("InvalidSignatureException", 403), AwsIdentityError),
        (NoCredentialsError(), AwsAccessError),
        (client_error("ResourceNotFoundException"), AwsMissingError),
        (client_error("NoSuchBucket", 404), AwsMissingError),
    ],
)
def test_refusals_become_ours_in_one_line(retrier: Retrier, error: Exception, ours: type[Exception]) -> None:
    service = Service(error)

    with pytest.raises(ours, match="read the table") as caught:
        retrier.call("read the table", service)
    assert "\n" not in str(caught.value)
    assert service.calls == 1


def test_patience_ends(retrier: Retrier, clock: FakeClock) -> None:
    service = Service(*[client_error("ThrottlingException") for _ in range(1000)])
    started = clock.monotonic()

    with pytest.raises(AwsUnavailableError):
        retrier.call("test", service)
    assert clock.monotonic() - started <= RetryPolicy().patience_s


def test_no_attempt_starts_after_the_deadline(retrier: Retrier, clock: FakeClock) -> None:
    service = Service(*[client_error("ThrottlingException") for _ in range(1000)])
    retrier.deadline = clock.monotonic() + 1.0

    with pytest.raises(AwsUnavailableError):
        retrier.call("test", service)
    assert clock.monotonic() < retrier.deadline


def test_delays_double_with_jitter_and_are_bounded() -> None:
    policy, rng = RetryPolicy(first_s=0.1, max_s=5), random.Random(7)

    for attempt, ceiling in ((1, 0.1), (2, 0.2), (3, 0.4), (30, 5.0)):
        assert ceiling / 2 <= policy.delay_s(attempt, rng) <= ceiling


def test_a_lost_connection_has_its_own_code() -> None:
    assert error_code(EndpointConnectionError(endpoint_url="x")) == "Network"
