"""The comparison of what roles may do with what they did."""

from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.client import LocalCloud
from stacks.unused_grants import UNUSED_GRANTS, UnusedGrant
from tools.privileges import granted, main, refused, table, unexplained

BUCKET = "arn:aws:s3:::work/runs/*"
LISTED = (UnusedGrant(roles=("Events-Controller*",), actions=("s3:Delete*",), resource="*/runs/*", reason="x" * 40),)


def grant(action: str, resource: str, calls: int) -> dict[str, Any]:
    return {"action": action, "resource": resource, "calls": calls}


def report(role: str, *grants: dict[str, Any]) -> dict[str, Any]:
    return {role: {"grants": list(grants), "refused": [grant("s3:PutObject", "arn:aws:s3:::other", 2)]}}


def test_roles_of_others_are_not_looked_at() -> None:
    told = {**report("Spotproof-Events-Controller1"), **report("Spotproofing-Events-X"), **report("cdk-deploy")}

    assert [each.role for each in refused(told, prefix="Spotproof")] == ["Events-Controller1"]


@pytest.mark.parametrize(
    ("role", "held", "left"),
    [
        ("Events-Controller1", grant("s3:GetObject", BUCKET, 0), 1),
        ("Events-Controller1", grant("s3:GetObject", BUCKET, 1), 0),
        ("Events-Controller1", grant("s3:DeleteObject", BUCKET, 0), 0),
        ("Events-Controller1", grant("s3:DeleteObject", "arn:aws:s3:::work/staging/*", 0), 1),
        ("Compute-JobRole1", grant("s3:DeleteObject", BUCKET, 0), 1),
    ],
    ids=["unused", "used", "listed", "elsewhere", "another role"],
)
def test_what_nobody_used_needs_a_reason_for_that_role_action_and_resource(
    role: str, held: dict[str, Any], left: int
) -> None:
    grants = granted(report(f"Spotproof-{role}", held), prefix="Spotproof")

    assert len(unexplained(grants, LISTED)) == left


def test_a_deployment_that_is_not_there_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = SimpleNamespace(calls=lambda: report("Spotproof-Events-Controller1"))
    monkeypatch.setattr(LocalCloud, "connect", lambda _directory: account)

    assert main(["--prefix", "Trial"]) == 3

    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "privileges: no role of a deployment 'Trial' is there: see --prefix\n")


def test_every_reason_is_one_of_substance() -> None:
    assert [entry.actions for entry in UNUSED_GRANTS if len(entry.reason) < 40] == []


def test_the_table_has_a_row_for_each_entry() -> None:
    rows = table().splitlines()

    assert len(rows) == 2 + len(UNUSED_GRANTS)
    assert all(entry.reason in row for entry, row in zip(UNUSED_GRANTS, rows[2:], strict=True))
