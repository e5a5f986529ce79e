"""What a role is refused and what it made use of, on the running account."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.local.account import TestAccount

ROLE = "submitter"
PLACE = "arn:aws:batch:us-east-1:000000000000"


@pytest.fixture
def submitter(small: TestAccount) -> Iterator["Submitter"]:
    """A role that nobody has allowed anything yet."""
    iam = small.client("iam")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    yield Submitter(small)
    iam.delete_role_policy(RoleName=ROLE, PolicyName="p")
    iam.delete_role(RoleName=ROLE)


class Submitter:
    """Somebody with the role's credentials."""

    def __init__(self, account: TestAccount) -> None:
        self._account = account
        assumed = account.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{account.running.account}:role/{ROLE}", RoleSessionName="test"
        )["Credentials"]
        self._batch = boto3.client(
            "batch",
            endpoint_url=account.running.endpoint,
            region_name=account.running.region,
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )

    def allow(self, *grants: tuple[str, str]) -> None:
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in grants]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self._account.client("iam").put_role_policy(RoleName=ROLE, PolicyName="p", PolicyDocument=document)

    def submit(self, **more: Any) -> str:
        """The error's code, or nothing."""
        outputs = self._account.outputs
        try:
            self._batch.submit_job(
                jobName="by-role", jobQueue=outputs["SpotQueue"], jobDefinition=outputs["Definition"], **more
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    def told(self, kind: str) -> dict[tuple[str, str], int]:
        return {(each["action"], each["resource"]): each["calls"] for each in self._account.admin.calls()[ROLE][kind]}


def test_submitting_needs_queue_and_definition_and_for_tags_one_thing_more(
    small: TestAccount, submitter: Submitter
) -> None:
    definition = small.outputs["Definition"].rpartition("/")[2]
    queue = ("batch:SubmitJob", f"{PLACE}:job-queue/*")
    kind = ("batch:SubmitJob", f"{PLACE}:job-definition/{definition.partition(':')[0]}:*")
    tag = ("batch:TagResource", f"{PLACE}:job/*")

    submitter.allow(queue)
    assert submitter.submit() == "AccessDeniedException"
    submitter.allow(queue, kind)
    assert submitter.submit() == ""
    assert submitter.submit(tags={"a": "b"}) == "AccessDeniedException"
    submitter.allow(queue, kind, tag)
    assert submitter.submit(tags={"a": "b"}) == ""

    assert submitter.told("refused") == {
        ("batch:SubmitJob", f"{PLACE}:job-definition/{definition}"): 1,
        ("batch:TagResource", f"{PLACE}:job/new"): 1,
    }
    assert submitter.told("grants") == {queue: 4, kind: 3, tag: 1}
