"""Exit codes of the command, and the one place that chooses them."""

from typing import Final, assert_never

from spotproof import errors
from spotproof.leases.model import RunState

OK: Final = 0
UNEXPECTED: Final = 1
FAULT_FOUND: Final = 1  # by `doctor`
USAGE: Final = 2  # also an input that can't be processed
CONFIGURATION: Final = 3  # a setting, a credential or the local account is missing
AWS: Final = 4  # refused, throttled, or not deployed
CONFLICT: Final = 5
RUN_FAILED: Final = 100
RUN_NOT_FINISHED: Final = 101
RUN_NOT_FOUND: Final = 102
RUN_CANCELLED: Final = 103
PROMISE_BROKEN: Final = 104  # by a run, in a game day
WAIT_TIMED_OUT: Final = 124
INTERRUPTED: Final = 130

DOCUMENTED: Final = frozenset(
    {
        OK, UNEXPECTED, USAGE, CONFIGURATION, AWS, CONFLICT, RUN_FAILED, RUN_NOT_FINISHED, RUN_NOT_FOUND,
        RUN_CANCELLED, PROMISE_BROKEN, WAIT_TIMED_OUT, INTERRUPTED,
    }
)  # fmt: skip

_OF_ERROR: Final = (  # first match wins
    (errors.ConfigurationError, CONFIGURATION),
    (errors.InputError, USAGE),
    (errors.RunConflictError, CONFLICT),
    (errors.RunNotFoundError, RUN_NOT_FOUND),
    (errors.AwsError, AWS),
)
# botocore's own complaints about the caller's set-up, and the codes AWS gives to keys it does not accept.
_SETUP_ERRORS: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoRegionError"})
_SETUP_CODES: Final = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
        "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignatureException",
    }
)  # fmt: skip


def of_error(error: errors.SpotproofError) -> int:
    """The code for an error of ours; credentials that AWS does not accept count as configuration."""
    if isinstance(error, errors.AwsError) and _is_setup(error.__cause__):
        return CONFIGURATION
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), UNEXPECTED)


def of_run(state: RunState) -> int:
    """The code for the state a run is in."""
    match state:
        case RunState.COMPLETE:
            return OK
        case RunState.FAILED:
            return RUN_FAILED
        case RunState.CANCELLED:
            return RUN_CANCELLED
        case RunState.RUNNING | RunState.PAUSED:
            return RUN_NOT_FINISHED
        case _:
            assert_never(state)


def _is_setup(cause: BaseException | None) -> bool:
    response = getattr(cause, "response", {})
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return type(cause).__name__ in _SETUP_ERRORS or code in _SETUP_CODES
