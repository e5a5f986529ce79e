"""All checks in their order, and one examination of a deployment by them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof.errors import AwsAccessError, AwsError, AwsMissingError, SpotproofError
from spotproof.retries import as_aws_error
from spotproof_cli.doctor import access, account, alarms, data, fleet, handlers, quotas, stacks
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Level, Verdict, fail, skip, warn

CHECKS: Final = (
    *access.CHECKS,
    *stacks.CHECKS,
    *account.CHECKS,
    *quotas.CHECKS,
    *data.CHECKS,
    *fleet.CHECKS,
    *handlers.CHECKS,
    *alarms.CHECKS,
    stacks.DRIFT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict, and the check that gave it."""

    check: str
    verdict: Verdict


def examine(subject: Subject, checks: Sequence[Check]) -> Iterator[Finding]:
    """Findings one by one, as they are made; each check gives at least one."""
    for check in checks:
        for verdict in _verdicts(subject, check):
            fix = stacks.for_deployment(verdict.fix, subject.prefix)
            yield Finding(check=check.name, verdict=replace(verdict, fix=fix))


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether no check found a fault; a warning is none."""
    return all(finding.verdict.level is not Level.FAIL for finding in findings)


def _verdicts(subject: Subject, check: Check) -> Sequence[Verdict]:
    if check.name != "region" and subject.region is None:
        return [skip("needs a region")]
    if not check.without_credentials and subject.greeting.error is not None:
        return [skip("needs credentials")]
    try:
        missing = [suffix for suffix in check.needs if subject.stack(suffix) is None]
        if missing:
            return [skip(f"needs the stack {subject.prefix}-{missing[0]}")]
        return check.examine(subject)
    except AwsAccessError as error:
        fix = f"allow {', '.join(check.actions)} to whoever runs the doctor"
        return [warn(f"could not look: {error}", fix=fix)]
    except AwsMissingError as error:
        return [fail(str(error), fix=stacks.DEPLOY)]
    except AwsError as error:
        return [fail(str(error), fix="try again later; the AWS health dashboard tells more")]
    except (ClientError, BotoCoreError) as error:
        return [fail(str(as_aws_error(error, doing=f"checking {check.name}")), fix="see what AWS says there")]
    except SpotproofError as error:  # an output that this version of the stacks has
        return [fail(str(error), fix=stacks.DEPLOY)]
