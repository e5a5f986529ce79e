"""What the doctor says to do is about the deployment at hand, and is a command that AWS has."""

import re

import pytest
from botocore import xform_name

from spotproof import contract
from spotproof_cli.doctor.stacks import CDK, DEPLOY, for_deployment
from tests.cli.doctor.broken import BROKEN
from tests.cli.doctor.findings import FAIL, WARN, findings_of
from tests.cli.doctor.harms import Broken
from tests.cli.doctor.healthy import Account, model


@pytest.mark.parametrize(
    ("fix", "of_another"),
    [
        (f"mend that, then {DEPLOY}", f"mend that, then {DEPLOY} -c prefix=Other"),
        (f"{DEPLOY}, or wait", f"{DEPLOY} -c prefix=Other, or wait"),
        (f"{CDK} destroy Other-State", f"{CDK} destroy Other-State -c prefix=Other"),
        (f"{CDK} bootstrap aws://1/x", f"{CDK} bootstrap aws://1/x"),
    ],
)
def test_a_fix_is_about_the_deployment_that_was_looked_at(fix: str, of_another: str) -> None:
    assert for_deployment(fix, "Other") == of_another
    assert for_deployment(fix, contract.DEFAULT_STACK_PREFIX) == fix


def test_warnings_and_faults_say_what_to_do_and_nothing_else_does() -> None:
    for case in BROKEN:
        account = Account()
        case.harm(account)
        for finding in findings_of(account):
            assert bool(finding.verdict.fix) == (finding.verdict.level in (WARN, FAIL)), finding


COMMAND = re.compile(r"aws ([a-z0-9]+) ([a-z0-9-]+)((?: --[a-z-]+(?: [^-\s][^\s,;:)]*)?)+)")
API_NAMES = {"s3api": "s3"}  # of commands whose service has another name


def test_every_aws_command_in_a_fix_is_one_that_aws_has() -> None:
    commands = {match for case in BROKEN for match in COMMAND.findall(" ".join(fixes(case)))}

    for service, operation, options in commands:
        known = model(API_NAMES.get(service, service))
        names = {xform_name(name, "-"): name for name in known.operation_names}
        shape = known.operation_model(names[operation]).input_shape
        assert shape is not None
        given = re.findall(r" --([a-z-]+)", options)
        assert set(given) <= {xform_name(name, "-") for name in shape.members}, (service, operation, given)
    assert {operation for _, operation, _ in commands} >= {"enable-rule", "update-job-queue", "put-public-access-block"}


def fixes(case: Broken) -> list[str]:
    account = Account()
    case.harm(account)
    return [each.verdict.fix for each in findings_of(account)]
