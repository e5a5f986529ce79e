"""Checks of the account: what it must allow before a worker can run in it."""

from collections.abc import Sequence
from typing import Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import error_code
from spotproof_cli.doctor import environments
from spotproof_cli.doctor.stacks import DEPLOY
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

SPOT_ROLE: Final = "AWSServiceRoleForEC2Spot"
ZONES_WANTED: Final = 3  # of the stacks' own network by default; each zone has Spot pools of its own
CONCURRENCY_WANTED: Final = 100  # new accounts may have 10; a storm of notices is one event for each instance
_ZONE: Final = "availability-zone"  # not a local or a wavelength zone, in which the stacks put nothing
_SUBNET_GONE: Final = "InvalidSubnetID.NotFound"


def _spot_role(subject: Subject) -> Sequence[Verdict]:
    """Without the role EC2 refuses Spot instances, and the one who asks for them may not be allowed to make it."""
    try:
        subject.call("looking for the Spot role", subject.clients.iam.get_role, RoleName=SPOT_ROLE)
    except ClientError as error:
        if error_code(error) != "NoSuchEntity":
            raise
        fix = "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        return [fail(f"no role {SPOT_ROLE}: EC2 launches no Spot instance without it", fix=fix)]
    return [ok(f"{SPOT_ROLE} is there")]


def _zones(subject: Subject) -> Sequence[Verdict]:
    described = subject.call("listing the zones", subject.clients.ec2.describe_availability_zones)
    open_zones = {
        each["ZoneName"]
        for each in described["AvailabilityZones"]
        if each.get("State") == "available" and each.get("ZoneType", _ZONE) == _ZONE
    }
    if subject.stack(contract.STACK_COMPUTE) is None:
        if len(open_zones) >= ZONES_WANTED:
            return [ok(f"{len(open_zones)} in {subject.region}")]
        text = f"{len(open_zones)} in {subject.region}, the stacks use {ZONES_WANTED}"
        return [fail(text, fix=f"deploy with -c zones={len(open_zones)}")]
    try:
        used = _zones_of_subnets(subject)
    except ClientError as error:
        if error_code(error) != _SUBNET_GONE:
            raise
        return [fail(f"a subnet of the fleet is gone: {error}", fix=DEPLOY)]
    return _judged(used, open_zones)


def _zones_of_subnets(subject: Subject) -> set[str]:
    found = environments.of(subject)
    subnets = sorted({subnet for each in found for subnet in each.get("computeResources", {}).get("subnets", [])})
    if not subnets:
        return set()
    described = subject.call("reading the subnets", subject.clients.ec2.describe_subnets, SubnetIds=subnets)
    return {each.get("AvailabilityZone", "") for each in described["Subnets"]}


def _judged(used: set[str], open_zones: set[str]) -> Sequence[Verdict]:
    if not used & open_zones:
        return [fail("no compute environment has a subnet in a zone that is available", fix=DEPLOY)]
    verdicts = [
        warn(
            f"the zone {zone} is not available", fix="nothing: the other zones do; the AWS health dashboard tells more"
        )
        for zone in sorted(used - open_zones)
    ]
    if len(used) == 1:
        text = f"all instances start in {min(used)}: fewer Spot pools, and all of them taken together"
        verdicts.append(warn(text, fix=f"deploy with -c zones={min(ZONES_WANTED, len(open_zones))}"))
    return verdicts or [ok(", ".join(sorted(used)))]


def _concurrency(subject: Subject) -> Sequence[Verdict]:
    limits = subject.call("reading Lambda's limits", subject.clients.lambda_.get_account_settings)["AccountLimit"]
    free = limits.get("UnreservedConcurrentExecutions", 0)
    functions = len(subject.resources(contract.STACK_EVENTS, "AWS::Lambda::Function"))
    fix = "ask for more of Lambda's 'Concurrent executions' (L-B99A9384) in the Service Quotas console"
    if free <= functions:
        return [fail(f"{free} concurrent executions for {max(1, functions)} functions: notices would wait", fix=fix)]
    if free < CONCURRENCY_WANTED:
        text = f"{free} concurrent executions: of a storm of notices the rest waits, and two minutes are short"
        return [warn(text, fix=fix)]
    return [ok(f"{free} concurrent executions")]


CHECKS: Final = (
    Check(
        name="spot-role",
        claim="EC2's service-linked role for Spot exists",
        examine=_spot_role,
        actions=("iam:GetRole",),
    ),
    Check(
        name="zones",
        claim="the fleet has subnets in several available zones",
        examine=_zones,
        actions=("ec2:DescribeAvailabilityZones", "ec2:DescribeSubnets", "batch:DescribeComputeEnvironments"),
    ),
    Check(
        name="lambda-concurrency",
        claim="Lambda may run every function at once, and a storm of notices",
        examine=_concurrency,
        actions=("lambda:GetAccountSettings",),
    ),
)
