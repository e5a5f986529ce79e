"""Whether a failed attempt is retried: Batch's evaluateOnExit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localcloud.executor import TaskExit


class Action(StrEnum):
    """What follows a failed attempt."""

    RETRY = "RETRY"
    EXIT = "EXIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecision:
    """The action and why."""

    action: Action
    reason: str


def decide_retry(
    *, how: TaskExit, attempts_made: int, attempts_max: int, conditions: Sequence[Mapping[str, str]]
) -> RetryDecision:
    """What follows an attempt that ended with `how`.

    The first condition whose patterns all match decides; without a match the job is retried (Batch API,
    EvaluateOnExit: "If none of the listed conditions match, then the job is retried").
    """
    if attempts_made >= attempts_max:
        return RetryDecision(action=Action.EXIT, reason=f"{attempts_made} of {attempts_max} attempts made")
    for number, condition in enumerate(conditions, start=1):
        if _matches(condition, how):
            return RetryDecision(action=Action(condition["action"].upper()), reason=f"condition {number}")
    return RetryDecision(action=Action.RETRY, reason="no condition matched")


def _matches(condition: Mapping[str, str], how: TaskExit) -> bool:
    exit_code = "" if how.exit_code is None else str(how.exit_code)
    observed = (
        ("onStatusReason", how.status_reason),
        ("onReason", how.reason or ""),
        ("onExitCode", exit_code),
    )
    return all(
        _fits(condition[field], text, empty_fits=field != "onExitCode")
        for field, text in observed
        if condition.get(field)
    )


def _fits(pattern: str, text: str, *, empty_fits: bool) -> bool:
    # `*` alone fits a missing reason, but not a missing exit code: a vanished host has none to compare.
    pattern, text = pattern.lower(), text.lower()
    if not text and not empty_fits:
        return False
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
