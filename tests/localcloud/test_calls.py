"""The recorder of calls: which grants were used, and what was refused."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.core import iam_evaluator

from localcloud.calls import REFUSALS_MAX, Calls, role_of
from localcloud.repairs.batch_authorization import also_needed

ARN = "arn:aws:sts::000000000000:assumed-role/worker/session"
POLICY = {
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::b/runs/*"]},
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/runs/one",
            "Condition": {"StringEquals": {"s3:prefix": "never"}},
        },
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/runs/secret"},
    ]
}


class Account:
    """The emulator's evaluator with one role in it."""

    def __init__(self) -> None:
        self.policies = [iam_evaluator.parse_policy_document(POLICY)]
        self.iam = SimpleNamespace(
            evaluate=iam_evaluator.evaluate,
            enforce=self._enforce,
            fnmatch_iam=iam_evaluator.fnmatch_iam,
            fnmatch_iam_cs=iam_evaluator.fnmatch_iam_cs,
            _conditions_met=iam_evaluator._conditions_met,
            _gather_role_policies=lambda role, _account: self.policies if role == "worker" else [],
        )
        roles = SimpleNamespace(_roles={"worker": {}, "idle": {}})
        seams: Any = SimpleNamespace(iam_evaluator=self.iam, iam=roles, scope=lambda *_: nullcontext())
        self.calls = Calls(seams)
        self.calls.install()

    def _enforce(self, _key: str, action: str, _service: str, region: str, resource_arn: str = "*") -> Any:
        context = iam_evaluator.EvalContext(
            principal_arn=ARN,
            principal_type="AssumedRole",
            principal_account="000000000000",
            action=action,
            resource_arn=resource_arn,
            region=region,
        )
        result = self.iam.evaluate(context, self.policies)
        return None if result.decision == "Allow" else result

    def call(self, action: str, resource: str) -> bool:
        """Whether it was allowed."""
        return self.iam.enforce("key", action, "s3", "us-east-1", resource_arn=resource) is None

    def report(self, role: str) -> dict[str, dict[tuple[str, str], int]]:
        found = self.calls.report(account="000000000000", region="us-east-1")[role]
        return {
            kind: {(each["action"], each["resource"]): each["calls"] for each in entries}
            for kind, entries in found.items()
        }


def test_every_grant_that_allowed_a_call_counts_it() -> None:
    account = Account()

    assert account.call("s3:GetObject", "arn:aws:s3:::b/runs/one")
    assert account.call("s3:GetObject", "arn:aws:s3:::b/other")

    assert account.report("worker")["grants"] == {
        ("s3:GetObject", "arn:aws:s3:::b/runs/*"): 1,
        ("s3:PutObject", "arn:aws:s3:::b/runs/*"): 0,
        ("s3:Get*", "*"): 2,
        ("s3:GetObject", "arn:aws:s3:::b/runs/one"): 0,  # its condition was not met
    }
    assert account.report("worker")["refused"] == {}
    assert account.report("idle") == {"grants": {}, "refused": {}}


@pytest.mark.parametrize("resource", ["arn:aws:s3:::b/runs/secret", "arn:aws:s3:::b/other"])
def test_a_refusal_is_told_and_counts_no_grant(resource: str) -> None:
    account = Account()
    action = "s3:GetObject" if resource.endswith("secret") else "s3:PutObject"

    assert not account.call(action, resource)
    assert not account.call(action, resource)

    assert account.report("worker")["refused"] == {(action, resource): 2}
    assert not any(account.report("worker")["grants"].values())


def test_refusals_without_end_do_not_fill_the_memory() -> None:
    account = Account()

    for number in range(REFUSALS_MAX + 5):
        account.call("s3:PutObject", f"arn:aws:s3:::b/{number}")

    assert len(account.report("worker")["refused"]) == REFUSALS_MAX


@pytest.mark.parametrize(
    ("principal", "role"),
    [(ARN, "worker"), ("arn:aws:iam::000000000000:root", ""), ("arn:aws:iam::000000000000:user/a", ""), ("", "")],
)
def test_only_sessions_of_roles_have_a_role(principal: str, role: str) -> None:
    assert role_of(principal) == role


@pytest.mark.parametrize("definition", ["d:3", "arn:aws:batch:us-east-1:000000000000:job-definition/d:3"])
def test_submitting_is_also_about_the_definition_and_the_tags(definition: str) -> None:
    body = f'{{"jobQueue": "q", "jobDefinition": "{definition}", "tags": {{"a": "b"}}}}'.encode()

    assert also_needed("/v1/submitjob", body, place="us-east-1:000000000000") == [
        ("batch:SubmitJob", "arn:aws:batch:us-east-1:000000000000:job-definition/d:3"),
        ("batch:TagResource", "arn:aws:batch:us-east-1:000000000000:job/new"),
    ]
    assert len(also_needed("/v1/submitjob", body.replace(b'"tags"', b'"none"'), place="p")) == 1
    assert also_needed("/v1/listjobs", body, place="p") == []
