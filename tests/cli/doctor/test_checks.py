"""Every check passes where all is well, finds what is broken, and is left out where it can't be made."""

import pytest

from spotproof_cli.doctor.examination import CHECKS, is_healthy
from tests.cli.doctor.broken import BROKEN
from tests.cli.doctor.findings import FAIL, OK, SKIP, WARN, findings_of, said_by
from tests.cli.doctor.harms import Broken
from tests.cli.doctor.healthy import Account, error


def test_where_all_is_well_every_check_says_so_once() -> None:
    findings = findings_of(Account())

    assert [(each.check, each.verdict.level, each.verdict.fix) for each in findings] == [
        (check.name, OK, "") for check in CHECKS
    ]
    assert is_healthy(findings)


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_what_is_broken_is_found_with_what_mends_it(case: Broken) -> None:
    account = Account()
    case.harm(account)

    said = said_by(account, case.check)

    assert any(level is case.level and case.text in text and case.fix in fix for level, text, fix in said), said
    assert is_healthy(findings_of(account)) == (case.level is WARN), said


def test_every_check_is_broken_by_a_test() -> None:
    assert {case.check for case in BROKEN} == {check.name for check in CHECKS}


def test_no_two_checks_have_one_name() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_without_credentials_only_region_and_clock_are_looked_at() -> None:
    account = Account()
    account.answers["sts.get_caller_identity"] = error("ExpiredToken", date="Sun, 22 Nov 2026 12:10:00 GMT")

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert {name for name, level in levels.items() if level is not SKIP} == {"region", "credentials", "clock"}
    assert levels["clock"] is FAIL  # the refusal tells the time as well
    assert {operation for operation, _ in account.asked} == {"sts.get_caller_identity"}


def test_without_a_region_nothing_is_asked() -> None:
    account = Account()
    account.region = None

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert levels.pop("region") is FAIL
    assert set(levels.values()) == {SKIP}
    assert account.asked == []


def test_before_the_first_deployment_the_account_is_looked_at_and_the_rest_skipped() -> None:
    account = Account()
    account.undeploy()

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    looked_at = {name for name, level in levels.items() if level is not SKIP}
    assert looked_at == {
        "region", "credentials", "clock", "bootstrap", "stacks", "spot-role", "zones", "lambda-concurrency", "spot-quota",
        "on-demand-quota",
    }  # fmt: skip
    assert [name for name, level in levels.items() if level is FAIL] == ["stacks"]


@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("ssm.get_parameter", "bootstrap"),
        ("iam.get_role", "spot-role"),
        ("service_quotas.get_service_quota", "spot-quota"),
        ("cloudwatch.describe_alarms", "alarms"),
        ("s3.get_public_access_block", "buckets"),
    ],
)
def test_what_may_not_be_looked_at_is_a_warning_that_names_the_permission(key: str, check: str) -> None:
    account = Account()
    account.answers[key] = error("AccessDenied")
    actions = next(each.actions for each in CHECKS if each.name == check)

    ((level, text, fix),) = said_by(account, check)

    assert level is WARN
    assert text.startswith("could not look: ")
    assert all(action in fix for action in actions)


def test_stacks_that_may_not_be_described_are_no_fault_of_the_deployment() -> None:
    account = Account()
    account.answers["cloudformation.describe_stacks"] = error("AccessDenied")

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert levels["stacks"] is levels["table"] is WARN
    assert is_healthy(findings_of(account))


@pytest.mark.parametrize("answer", [error("InternalError"), error("NeverHeardOf")])
def test_an_answer_that_nobody_expects_is_a_fault_and_the_others_go_on(answer: Exception) -> None:
    account = Account()
    account.answers["iam.get_role"] = answer

    findings = findings_of(account)

    assert [each.check for each in findings if each.verdict.level is FAIL] == ["spot-role"]
    assert len(findings) == len(CHECKS)
