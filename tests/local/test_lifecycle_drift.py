"""Drift: what somebody changed by hand is told by DetectStackDrift, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.local.account import TestAccount
from tests.local.small_assembly import COMPUTE_STACK, STATE_STACK

Change = Callable[[TestAccount, str], None]  # the account, the physical id


def drift(account: TestAccount, stack: str) -> dict[str, list[str]]:
    """Paths of the drifted properties by logical id; the stack's status under its name."""
    cloudformation = account.client("cloudformation")
    detection = cloudformation.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
    status = cloudformation.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
    found = cloudformation.describe_stack_resource_drifts(
        StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
    )["StackResourceDrifts"]
    paths = {
        one["LogicalResourceId"]: [each["PropertyPath"] for each in one.get("PropertyDifferences", [])] for one in found
    }
    return {stack: [status["StackDriftStatus"]], **paths}


def physical(account: TestAccount, stack: str, logical: str) -> str:
    listed = account.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical)
    return str(listed["StackResourceDetail"]["PhysicalResourceId"])


def _queue(state: str) -> Change:
    return lambda account, arn: account.client("batch").update_job_queue(jobQueue=arn, state=state)


def _vcpus(number: int) -> Change:
    return lambda account, arn: account.client("batch").update_compute_environment(
        computeEnvironment=arn, computeResources={"maxvCpus": number}
    )


def _protection(on: bool) -> Change:
    return lambda account, table: account.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=on)


def _rule(operation: str) -> Change:
    def change(account: TestAccount, name: str) -> None:
        client: Any = account.client("events")
        getattr(client, operation)(Name=name)

    return change


@pytest.mark.parametrize("stack", [STATE_STACK, COMPUTE_STACK])
def test_what_nobody_touched_is_in_sync(small: TestAccount, stack: str) -> None:
    assert drift(small, stack) == {stack: ["IN_SYNC"]}


@pytest.mark.parametrize(
    ("stack", "logical", "change", "undo", "path"),
    [
        (COMPUTE_STACK, "MixedQueue", _queue("DISABLED"), _queue("ENABLED"), "/State"),
        (COMPUTE_STACK, "OnDemand", _vcpus(2), _vcpus(8), "/ComputeResources/MaxvCpus"),
        (COMPUTE_STACK, "EveryDay", _rule("disable_rule"), _rule("enable_rule"), "/State"),
        (STATE_STACK, "Table", _protection(False), _protection(True), "/Replicas/0/DeletionProtectionEnabled"),
    ],
    ids=["queue", "environment", "rule", "table"],
)
def test_a_change_by_hand_is_told_until_it_is_undone(
    small: TestAccount, stack: str, logical: str, change: Change, undo: Change, path: str
) -> None:
    name = physical(small, stack, logical)

    change(small, name)
    found = drift(small, stack)
    undo(small, name)

    assert found == {stack: ["DRIFTED"], logical: [path]}
    assert drift(small, stack) == {stack: ["IN_SYNC"]}
