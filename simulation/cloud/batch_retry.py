"""What Batch makes of the end of an attempt: evaluateOnExit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotproof import contract

Condition = Mapping[str, str]
TASK_EXITED: Final = "Essential container in task exited"
OUT_OF_MEMORY: Final = "OutOfMemoryError: Container killed due to memory usage"
TIMED_OUT: Final = "Job attempt duration exceeded timeout"

# As the compute stack deploys them; a test compares the two.
DEPLOYED_CONDITIONS: Final[tuple[Condition, ...]] = (
    {"action": "EXIT", "onReason": "OutOfMemoryError*"},
    {"action": "RETRY", "onStatusReason": "Host EC2*"},
    {"action": "RETRY", "onReason": "CannotPullContainerError:*"},
    {"action": "RETRY", "onExitCode": str(contract.EXIT_INTERRUPTED)},
    {"action": "EXIT", "onReason": "*"},
)
_FIELDS: Final = ("onStatusReason", "onReason", "onExitCode")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, in Batch's words."""

    exit_code: int | None = None  # none is reported when the host vanished or nothing was started
    reason: str = ""  # of the container
    status_reason: str = TASK_EXITED


def host_gone(instance_id: str) -> AttemptEnd:
    return AttemptEnd(status_reason=f"Host EC2 (instance {instance_id}) terminated.")


def is_retried(end: AttemptEnd, *, made: int, attempts_max: int, conditions: Sequence[Condition]) -> bool:
    """Whether another attempt follows a failed one, of which `made` have been made.

    The first condition that matches decides; without a match the job is retried (Batch API, EvaluateOnExit).
    """
    if made >= attempts_max:
        return False
    for condition in conditions:
        if _matches(condition, end):
            return condition["action"].upper() == "RETRY"
    return True


def _matches(condition: Condition, end: AttemptEnd) -> bool:
    exit_code = "" if end.exit_code is None else str(end.exit_code)
    said = dict(zip(_FIELDS, (end.status_reason, end.reason, exit_code), strict=True))
    return all(_fits(condition[field], said[field], field) for field in _FIELDS if condition.get(field))


def _fits(pattern: str, text: str, field: str) -> bool:
    """Without regard to case; `*` alone fits a missing reason, but a missing exit code is nothing to compare."""
    if not text and field == "onExitCode":
        return False
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
