"""The single retry layer: which failures pass by themselves, how long to wait, and when to give up."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from spotproof import events
from spotproof.clock import Clock
from spotproof.errors import AwsAccessError, AwsError, AwsIdentityError, AwsMissingError, AwsUnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRANSIENT_CODES: Final = frozenset(
    {
        "ThrottlingException", "Throttling", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
        "TooManyRequestsException", "SlowDown", "InternalServerError", "InternalError", "InternalFailure",
        "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException",
        "TransactionInProgressException", "ConditionalRequestConflict", "OperationAborted", "PriorRequestNotComplete",
        "500", "502", "503", "504",
    }
)  # fmt: skip
ACCESS_CODES: Final = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "InvalidClientTokenId",
        "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidAccessKeyId",
        "NotAuthorized", "403",
    }
)  # fmt: skip
# Of this host and this moment: signatures and session tokens run out. EC2 says RequestExpired to both.
IDENTITY_CODES: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException"}
)
# The last is a body that ended before its announced length, where urllib3 does not notice it first.
NETWORK_ERRORS: Final = (BotoConnectionError, HTTPClientError, EndpointConnectionError, IncompleteReadError)
MISSING_CODES: Final = frozenset({"ResourceNotFoundException", "NoSuchBucket", "TableNotFoundException"})
_REFUSALS: Final = ACCESS_CODES | IDENTITY_CODES | MISSING_CODES


def error_code(error: BaseException) -> str:
    """The AWS error code of a ClientError, "Network" for a lost connection or time-out, else the type's name."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    if isinstance(error, NETWORK_ERRORS):
        return "Network"
    return type(error).__name__


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later. The effect of a transient failure is unknown."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in TRANSIENT_CODES or status >= 500
    return isinstance(error, NETWORK_ERRORS)


def as_aws_error(error: BaseException, *, doing: str) -> AwsError:
    """Our error for AWS's: one line that says what was attempted and what to do."""
    code = error_code(error)
    detail = str(error).replace("\n", " ")
    if code in IDENTITY_CODES:
        return AwsIdentityError(f"{doing}: AWS refused ({code}): {detail}; renew the credentials, set the clock")
    if code in ACCESS_CODES or isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AwsAccessError(
            f"{doing}: AWS refused ({code}): {detail}; check credentials, clock and the role's policy"
        )
    if code in MISSING_CODES:
        return AwsMissingError(f"{doing}: not found ({code}): {detail}; is the stack deployed in this region?")
    if is_transient(error):
        return AwsUnavailableError(f"{doing}: AWS stayed unavailable ({code}): {detail}; try again later")
    return AwsError(f"{doing}: {code}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Jittered exponential back-off within a patience."""

    first_s: float = 0.1
    max_s: float = 5.0
    patience_s: float = 60.0  # no attempt starts later than this after the first
    attempts_max: int = 12

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Seconds before attempt number `attempt` + 1 (full jitter over a doubling ceiling, never below half of it)."""
        ceiling = min(self.max_s, self.first_s * 2.0 ** (attempt - 1))
        return ceiling * (0.5 + rng.random() / 2)


class Retrier:
    """Calls AWS until it answers, the patience ends, or the deadline set for this worker comes too near."""

    def __init__(self, *, clock: Clock, rng: random.Random, policy: RetryPolicy | None = None) -> None:
        self.clock = clock
        self.rng = rng
        self.policy = policy or RetryPolicy()
        self.deadline: float | None = None  # monotonic seconds; no attempt starts after it

    def call(self, doing: str, request: Callable[..., T], **parameters: Any) -> T:
        """The answer of `request(**parameters)`.

        Errors that AWS means (a failed condition, a missing key) pass through as ClientError for the caller to read.

        Raises:
            ClientError: AWS answered with an error that is neither transient, access, nor a missing resource.
            AwsAccessError, AwsMissingError: AWS refused, or the table or bucket is gone.
            AwsUnavailableError: it stayed transient beyond patience or deadline.
        """
        started = self.clock.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                return request(**parameters)
            except (ClientError, BotoCoreError) as error:
                if not is_transient(error):
                    code = error_code(error)
                    if code in _REFUSALS or not isinstance(error, ClientError):
                        raise as_aws_error(error, doing=doing) from error
                    raise
                delay_s = self.policy.delay_s(attempt, self.rng)
                if not self._may_wait(started, attempt, delay_s):
                    raise as_aws_error(error, doing=doing) from error
                logger.info(
                    events.REQUEST_RETRIED,
                    extra={"doing": doing, "error_code": error_code(error), "attempt": attempt, "delay_s": delay_s},
                )
                self.clock.sleep(delay_s)

    def _may_wait(self, started: float, attempt: int, delay_s: float) -> bool:
        resume_at = self.clock.monotonic() + delay_s
        within_patience = resume_at - started <= self.policy.patience_s and attempt < self.policy.attempts_max
        within_deadline = self.deadline is None or resume_at < self.deadline
        return within_patience and within_deadline
