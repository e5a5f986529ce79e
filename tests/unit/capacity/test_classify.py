"""Why workers end, from what Batch really says."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spotproof.capacity.classify import WorkerEnd, WorkerEndKind, classify_worker_end
from spotproof.interruptions.eventbridge import parse_job_state

EVENTS = Path(__file__).parents[2] / "events"


def classify(
    *, exit_code: int | None = None, reason: str = "", status_reason: str = "", job_reason: str = "", cancelled: bool = False,
    terminated: bool = False,
) -> WorkerEnd:  # fmt: skip
    return classify_worker_end(
        exit_code=exit_code,
        reason=reason,
        status_reason=status_reason,
        job_reason=job_reason,
        cancelled=cancelled,
        terminated=terminated,
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("array_child_failed_attempts_exhausted.synth", WorkerEndKind.HOST_RECLAIMED),
        ("failed_oom.synth", WorkerEndKind.OUT_OF_MEMORY),
        ("failed_app_error.synth", WorkerEndKind.UNKNOWN),
    ],
)
def test_recorded_failures_are_told_apart(name: str, kind: WorkerEndKind) -> None:
    event: Any = json.loads((EVENTS / f"batch_job_state_change.{name}.json").read_text())
    job = parse_job_state(event, account="123456789012", now=datetime(2026, 11, 22, tzinfo=UTC))
    last = job.attempts[-1]

    end = classify(exit_code=last.exit_code, reason=last.reason, status_reason=last.status_reason)

    assert end.kind is kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"exit_code": 75, "status_reason": "Essential container in task exited"}, WorkerEndKind.INTERRUPTED),
        ({"exit_code": 75, "status_reason": "Your Spot Task was interrupted."}, WorkerEndKind.HOST_RECLAIMED),
        ({"exit_code": 2, "status_reason": "Essential container in task exited"}, WorkerEndKind.INPUT_ERROR),
        ({"exit_code": 3, "status_reason": "Essential container in task exited"}, WorkerEndKind.CONFIGURATION_ERROR),
        ({"exit_code": 137, "status_reason": "Essential container in task exited"}, WorkerEndKind.KILLED),
        (
            {
                "exit_code": 137,
                "reason": "OutOfMemoryError: Container killed due to memory usage",
                "status_reason": "Essential container in task exited",
            },
            WorkerEndKind.OUT_OF_MEMORY,
        ),
        ({"exit_code": 1, "status_reason": "Essential container in task exited"}, WorkerEndKind.UNKNOWN),
        ({"status_reason": "host ec2 (instance i-0b662ef9931388ba0) terminated."}, WorkerEndKind.HOST_RECLAIMED),
        ({"exit_code": 137, "status_reason": "Host EC2 (instance i-1) terminated."}, WorkerEndKind.HOST_RECLAIMED),
        (
            {"reason": "CannotPullContainerError: pull access denied", "status_reason": "Task failed to start"},
            WorkerEndKind.IMAGE_PULL,
        ),
        ({"exit_code": 143, "job_reason": "Job attempt duration exceeded timeout"}, WorkerEndKind.TIMEOUT),
        ({"reason": "CannotInspectContainerError: Could not"}, WorkerEndKind.UNKNOWN),
        ({}, WorkerEndKind.UNKNOWN),
    ],
)
def test_each_way_to_end_has_its_kind(said: dict[str, Any], kind: WorkerEndKind) -> None:
    assert classify(**said).kind is kind


def test_a_person_who_terminates_wins_over_the_exit_code_that_sigterm_caused() -> None:
    end = classify(exit_code=75, status_reason="stop this", terminated=True)

    assert end.kind is WorkerEndKind.TERMINATED
    assert "stop this" in end.reason
    assert not end.kind.replaceable


def test_a_job_cancelled_before_it_ran_is_cancelled() -> None:
    assert classify(status_reason="not needed", cancelled=True).kind is WorkerEndKind.CANCELLED


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_job_that_its_queue_cancelled_because_it_fits_nowhere_needs_a_person(cancelled: bool) -> None:
    reason = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"

    end = classify(job_reason=reason, cancelled=cancelled)

    assert (end.kind, end.reason) == (WorkerEndKind.UNPLACED, reason)
    assert end.kind.needs_a_person
    assert not WorkerEndKind.CANCELLED.needs_a_person


def test_only_ends_from_outside_ask_for_a_replacement_and_only_hopeless_ends_forbid_one() -> None:
    assert {kind for kind in WorkerEndKind if kind.replaceable} == {"host-reclaimed", "interrupted", "killed"}
    assert {kind for kind in WorkerEndKind if kind.holds_replacements} == {
        "terminated", "cancelled", "unplaced", "input-error", "configuration-error",
    }  # fmt: skip


def test_the_reason_always_says_something() -> None:
    assert classify().reason == "no exit code: Batch gave no reason"
    assert classify(exit_code=9, reason="r", status_reason="s").reason == "exit code 9: s; r"
