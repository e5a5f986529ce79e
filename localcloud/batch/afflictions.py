"""What can be made wrong with a compute environment, so that its jobs wait for that reason."""

from collections.abc import Callable
from typing import Final

from localcloud.batch.blocked import FAULTS
from localcloud.batch.resources import VALID
from localcloud.batch.store import ComputeEnvironment
from localcloud.errors import UsageError

INVALID_REASON: Final = (
    "CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403; "
    "Error Code: AccessDenied)"
)  # the commonest reason, of the Batch user guide's page on invalid environments
Change = Callable[[ComputeEnvironment, str], None]


def afflict(environment: ComputeEnvironment, condition: str, *, reason: str = "") -> None:
    """Put the environment into the condition; `reason` is the statusReason of an invalid one.

    Raises:
        UsageError: no such condition.
    """
    if condition in FAULTS:
        environment.fault = FAULTS[condition]
    elif condition in _CONDITIONS:
        _CONDITIONS[condition](environment, reason)
    else:
        known = ", ".join([*_CONDITIONS, *FAULTS])
        raise UsageError(f"a compute environment can be {known}, got {condition!r}")


def condition_of(environment: ComputeEnvironment) -> str:
    """What is wrong with it: `disabled`, `invalid`, a fault, or `well`."""
    if not environment.is_enabled:
        return "disabled"
    if not environment.is_valid:
        return "invalid"
    return next((name for name, fault in FAULTS.items() if fault is environment.fault), "well")


def _disable(environment: ComputeEnvironment, _reason: str) -> None:
    environment.document["state"] = "DISABLED"


def _invalidate(environment: ComputeEnvironment, reason: str) -> None:
    environment.document |= {"status": "INVALID", "statusReason": reason or INVALID_REASON}


def _heal(environment: ComputeEnvironment, _reason: str) -> None:
    environment.document |= {"state": "ENABLED", **VALID}
    environment.fault = None


_CONDITIONS: Final[dict[str, Change]] = {"disabled": _disable, "invalid": _invalidate, "well": _heal}
