"""What went wrong in a user's function, sorted by what can be done about it."""

import errno
import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof.errors import (
    AwsAccessError,
    AwsIdentityError,
    AwsUnavailableError,
    ConfigurationError,
    InputError,
    OutputConflictError,
    ScratchFullError,
)

TEXT_MAX: Final = 300  # the row must stay below 1 KB, one write unit
RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 300.0


class FailureKind(StrEnum):
    USER_CODE = "user-code"  # the function raised
    INPUT = "input"  # the data can't be read as planned: trying again can't help
    CONFIGURATION = "configuration"  # e.g. a library is missing in the bundle: trying again can't help
    ACCESS = "access"  # AWS refused the job's role
    DISK_FULL = "disk-full"
    MEMORY = "memory"
    OUTPUT_CONFLICT = "output-conflict"  # other bytes sit where this attempt stages: the next one has its own place
    UNAVAILABLE = "unavailable"  # AWS stayed down: not the shard's fault

    @property
    def spoils_worker(self) -> bool:
        """Whether the worker's container, not only the shard, is short of something that a new one has."""
        return self in (FailureKind.MEMORY, FailureKind.DISK_FULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A shard's failure: `hopeless` ones are quarantined at once, blameless ones do not count."""

    kind: FailureKind
    text: str  # one line for the table and for people
    hopeless: bool = False
    blameless: bool = False


def classify_failure(error: BaseException) -> Failure:
    """What `error` means for the shard. Pure: reads nothing but the exception."""
    text = one_line(error)
    match error:
        case InputError():
            return Failure(kind=FailureKind.INPUT, text=text, hopeless=True)
        case ConfigurationError():
            return Failure(kind=FailureKind.CONFIGURATION, text=text, hopeless=True)
        case AwsIdentityError():
            return Failure(kind=FailureKind.UNAVAILABLE, text=text, blameless=True)
        case AwsAccessError():
            return Failure(kind=FailureKind.ACCESS, text=text)
        case AwsUnavailableError():
            return Failure(kind=FailureKind.UNAVAILABLE, text=text, blameless=True)
        case MemoryError():
            return Failure(kind=FailureKind.MEMORY, text=f"out of memory: {text}")
        case ScratchFullError():
            return Failure(kind=FailureKind.DISK_FULL, text=text)
        case OutputConflictError():
            return Failure(kind=FailureKind.OUTPUT_CONFLICT, text=text)
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failure(kind=FailureKind.DISK_FULL, text=f"scratch disk is full: {text}")
        case _:
            return Failure(kind=FailureKind.USER_CODE, text=text)


def one_line(error: BaseException) -> str:
    """Type, message and the innermost place of an exception, without control characters, at most TEXT_MAX long."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    message = f"{type(error).__name__}: {error}{place}"
    kept = message[:TEXT_MAX]
    return kept if kept.isprintable() else "".join(c if c.isprintable() else " " for c in kept)


def retry_after_s(failures: int) -> float:
    """Seconds before a shard that has failed `failures` times may be leased again: doubling, bounded."""
    return min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** max(0, failures - 1))
