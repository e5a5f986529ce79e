"""Batch's evaluateOnExit."""

import pytest

from localcloud.batch.retry import Action, decide_retry
from localcloud.executor import TaskExit

EXITED = "Essential container in task exited"
RECLAIMED = TaskExit(exit_code=None, reason=None, status_reason="Host EC2 (instance i-0b662ef9931388ba0) terminated.")
RULES = [
    {"onReason": "OutOfMemoryError*", "action": "EXIT"},
    {"onStatusReason": "host ec2*", "action": "retry"},
    {"onReason": "CannotPullContainerError:*", "action": "RETRY"},
    {"onExitCode": "75", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
]


def _exit(code: int | None, reason: str | None = None) -> TaskExit:
    return TaskExit(exit_code=code, reason=reason, status_reason=EXITED)


@pytest.mark.parametrize(
    ("how", "action", "reason"),
    [
        (RECLAIMED, Action.RETRY, "condition 2"),
        (_exit(None, "CannotPullContainerError: no such image"), Action.RETRY, "condition 3"),
        (_exit(75), Action.RETRY, "condition 4"),
        (_exit(1), Action.EXIT, "condition 5"),
        (_exit(137), Action.EXIT, "condition 5"),
        (_exit(137, "OutOfMemoryError: Container killed due to memory usage"), Action.EXIT, "condition 1"),
    ],
)
def test_the_first_condition_that_matches_decides(how: TaskExit, action: Action, reason: str) -> None:
    decision = decide_retry(how=how, attempts_made=1, attempts_max=3, conditions=RULES)

    assert (decision.action, decision.reason) == (action, reason)


def test_without_a_matching_condition_the_job_is_retried() -> None:
    decision = decide_retry(how=_exit(1), attempts_made=1, attempts_max=2, conditions=RULES[:4])

    assert decision.action is Action.RETRY


def test_the_last_attempt_is_never_retried() -> None:
    decision = decide_retry(how=RECLAIMED, attempts_made=3, attempts_max=3, conditions=RULES)

    assert (decision.action, decision.reason) == (Action.EXIT, "3 of 3 attempts made")


def test_an_exit_code_rule_does_not_catch_a_vanished_host() -> None:
    conditions = [{"onExitCode": "*", "action": "EXIT"}]

    decision = decide_retry(how=RECLAIMED, attempts_made=1, attempts_max=2, conditions=conditions)

    assert decision.reason == "no condition matched"


def test_all_patterns_of_one_condition_must_match() -> None:
    conditions = [{"onExitCode": "1", "onReason": "Out*", "action": "EXIT"}]

    alone = decide_retry(how=_exit(1), attempts_made=1, attempts_max=2, conditions=conditions)
    both = decide_retry(how=_exit(1, "OutOfMemoryError"), attempts_made=1, attempts_max=2, conditions=conditions)

    assert (alone.action, both.action) == (Action.RETRY, Action.EXIT)


def test_a_star_in_the_middle_is_an_ordinary_character() -> None:
    conditions = [{"onStatusReason": "Ess*exited", "action": "EXIT"}]

    assert decide_retry(how=_exit(1), attempts_made=1, attempts_max=2, conditions=conditions).action is Action.RETRY
