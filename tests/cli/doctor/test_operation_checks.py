"""Drift, errors of functions and keys: what the doctor asks AWS about a deployment that runs."""

from typing import Any

from spotproof import contract
from tests.cli.doctor.findings import OK, WARN, said_by
from tests.cli.doctor.healthy import ANSWERS, Account


def test_drift_waits_until_cloudformation_is_done() -> None:
    account, key = Account(), "cloudformation.describe_stack_drift_detection_status"
    done = ANSWERS[key]
    asked: list[str] = []

    def status(request: Any) -> dict[str, Any]:
        asked.append(request["StackDriftDetectionId"])
        going_on = asked.count(asked[-1]) < 3
        return {**done(request), **({"DetectionStatus": "DETECTION_IN_PROGRESS"} if going_on else {})}

    account.answers[key] = status

    assert said_by(account, "drift") == [(OK, "5 stacks are as they were deployed", "")]


def test_drift_waits_for_cloudformation_and_gives_up() -> None:
    account = Account()
    started = ANSWERS["cloudformation.describe_stack_drift_detection_status"]
    account.answers["cloudformation.describe_stack_drift_detection_status"] = lambda request: {
        **started(request),
        "DetectionStatus": "DETECTION_IN_PROGRESS",
    }

    said = said_by(account, "drift")

    assert [(level, "took too long" in text) for level, text, _ in said] == [(WARN, True)] * 5


def test_the_newest_of_several_pages_of_errors_is_shown() -> None:
    account = Account()
    pages = [
        {"events": [{"timestamp": 2_000, "message": "ERROR second"}], "nextToken": "1"},
        {"events": [{"timestamp": 3_000, "message": "ERROR third"}, {"timestamp": 1_000, "message": "ERROR first"}]},
    ]
    account.answers["logs.filter_log_events"] = lambda request: pages[int(request.get("nextToken", 0))]

    ((_, text, _),) = said_by(account, "function-errors")

    assert text.endswith("00:00:03 UTC: ERROR third")


def test_without_keys_of_its_own_a_deployment_has_none_to_lose() -> None:
    account = Account()
    account.resources[contract.STACK_STATE] = account.resources[contract.STACK_STATE][:1]

    assert said_by(account, "keys") == [(OK, "AWS's own keys", "")]
