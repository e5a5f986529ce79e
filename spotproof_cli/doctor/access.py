"""Checks of the way to AWS: region, credentials, and the clocks on both ends."""

from collections.abc import Sequence
from typing import Final

from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

# AWS refuses signatures that are five minutes off ("Signing AWS requests"); sessions of workers expire by their
# heartbeats, and `spotproof status` compares those with this machine's clock.
SKEW_S_WARN: Final = 5.0
SKEW_S_FAIL: Final = 120.0


def _region(subject: Subject) -> Sequence[Verdict]:
    if subject.region is None:
        return [fail("no AWS region", fix="give --region, or set AWS_REGION or the profile's region")]
    endpoint = subject.clients.settings.endpoint_url
    return [ok(f"{subject.region}{f' at {endpoint}' if endpoint else ''}")]


def _credentials(subject: Subject) -> Sequence[Verdict]:
    greeting = subject.greeting
    if greeting.error is not None:
        fix = "set AWS_PROFILE or give --profile, and log in again (aws sso login, or new access keys)"
        return [fail(str(greeting.error), fix=fix)]
    return [ok(f"{greeting.arn} in account {greeting.account}")]


def _clock(subject: Subject) -> Sequence[Verdict]:
    ahead = subject.greeting.seconds_ahead
    if ahead is None:
        return [warn("AWS did not say what time it is", fix="mend the credentials or the network first")]
    text = f"this clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} AWS's"
    fix = "let the machine set its clock by NTP (timedatectl set-ntp true)"
    if abs(ahead) > SKEW_S_FAIL:
        return [fail(f"{text}; AWS refuses signatures that are 5 minutes off", fix=fix)]
    if abs(ahead) > SKEW_S_WARN:
        return [warn(f"{text}; live workers may look silent in `spotproof status`", fix=fix)]
    return [ok(f"within {SKEW_S_WARN:g} s of AWS's")]


CHECKS: Final = (
    Check(
        name="region",
        claim="a region is chosen",
        examine=_region,
        actions=(),
        without_credentials=True,
    ),
    Check(
        name="credentials",
        claim="AWS accepts the caller",
        examine=_credentials,
        actions=("sts:GetCallerIdentity",),
        without_credentials=True,
    ),
    Check(
        name="clock",
        claim="this machine's clock agrees with AWS's",
        examine=_clock,
        actions=("sts:GetCallerIdentity",),
        without_credentials=True,
    ),
)
