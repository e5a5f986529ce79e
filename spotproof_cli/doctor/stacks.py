"""Checks of the stacks themselves: bootstrap, presence and state, version, drift."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import error_code
from spotproof_cli.doctor.subject import REQUIRED_STACKS, Check, Stack, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import DescribeStackDriftDetectionStatusOutputTypeDef

CDK: Final = "npx aws-cdk@2.1148.1"
DEPLOY: Final = f"{CDK} deploy --all"  # what a fix says; of a deployment with another prefix see `for_deployment`
BOOTSTRAP_PARAMETER: Final = "/cdk-bootstrap/hnb659fds/version"  # of the CDK's default qualifier
BOOTSTRAP_LEAST: Final = 6  # what the stacks' synthesizer asks for (DefaultStackSynthesizer of the CDK)
DRIFT_POLL_S: Final = 2.0
DRIFT_POLLS_MAX: Final = 150
_DONE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def for_deployment(fix: str, prefix: str) -> str:
    """The fix, so that it is about the deployment that was looked at, and not about one beside it."""
    if prefix == contract.DEFAULT_STACK_PREFIX:
        return fix
    return re.sub(rf"{re.escape(CDK)} (?:deploy|destroy|rollback) \S+?(?=,|$| )", rf"\g<0> -c prefix={prefix}", fix)


def _bootstrap(subject: Subject) -> Sequence[Verdict]:
    state = subject.stack(contract.STACK_STATE)
    given = "" if state is None else state.parameters.get("BootstrapVersion", "")
    name = given if given.startswith("/") else BOOTSTRAP_PARAMETER
    fix = f"{CDK} bootstrap aws://{subject.greeting.account}/{subject.region}"
    try:
        answer = subject.call("reading the bootstrap version", subject.clients.ssm.get_parameter, Name=name)
    except ClientError as error:
        if error_code(error) != "ParameterNotFound":
            raise
        return [fail(f"the CDK is not bootstrapped here: no parameter {name}", fix=fix)]
    version = int(answer["Parameter"]["Value"])
    if version < BOOTSTRAP_LEAST:
        return [fail(f"bootstrap version {version}, the stacks need {BOOTSTRAP_LEAST}", fix=fix)]
    return [ok(f"version {version}")]


def _stacks(subject: Subject) -> Sequence[Verdict]:
    found = subject.stacks
    if not found:
        fix = f"{DEPLOY}, or choose another deployment with --prefix or --region"
        return [fail(f"no stack {subject.prefix}-… in this account and region", fix=fix)]
    missing = [
        fail(f"no stack {subject.prefix}-{suffix}", fix=DEPLOY) for suffix in REQUIRED_STACKS if suffix not in found
    ]
    troubled = [verdict for stack in found.values() for verdict in _state(stack)]
    return [*missing, *troubled] or [ok(", ".join(f"{stack.name} {stack.status}" for stack in found.values()))]


def _state(stack: Stack) -> Iterator[Verdict]:
    said = f"{stack.name} is {stack.status}{f': {stack.reason}' if stack.reason else ''}"
    events = f"aws cloudformation describe-stack-events --stack-name {stack.name}"
    if stack.status in _DONE:
        return
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        yield warn(f"{said}: the last update failed and was undone", fix=f"read why ({events}), mend it, {DEPLOY}")
    elif stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
        yield warn(said, fix="wait until CloudFormation is done, then look again")
    elif stack.status == "DELETE_FAILED":
        yield fail(said, fix=f"read why ({events}), mend it, {CDK} destroy {stack.name}")
    elif stack.status == "UPDATE_ROLLBACK_FAILED":
        yield fail(said, fix=f"read why ({events}), mend it, {CDK} rollback {stack.name}")
    else:
        yield fail(said, fix=f"read why ({events}), mend it, {DEPLOY}")


def _version(subject: Subject) -> Sequence[Verdict]:
    """Of every stack, because a deployment that failed half-way leaves stacks of two versions."""
    others: dict[str, list[str]] = {}
    for stack in subject.stacks.values():
        version = stack.outputs.get(contract.OUTPUT_VERSION, "unknown")
        if version != contract.VERSION:
            others.setdefault(version, []).append(stack.name)
    return [
        warn(
            f"deployed from version {version}: {', '.join(names)}; this command is {contract.VERSION}",
            fix=f"{DEPLOY}, or install the command of that version",
        )
        for version, names in others.items()
    ] or [ok(f"{contract.VERSION}, the command and every stack")]


def _drift(subject: Subject) -> Sequence[Verdict]:
    """Ask CloudFormation to compare every stack with what is there; all at once, because each takes a minute."""
    client = subject.clients.cloudformation
    started = {
        stack.name: subject.call(f"comparing {stack.name}", client.detect_stack_drift, StackName=stack.name)
        for stack in subject.stacks.values()
    }
    verdicts: list[Verdict] = []
    for name, detection in started.items():
        result = _detected(subject, name, detection["StackDriftDetectionId"])
        if result["DetectionStatus"] != "DETECTION_COMPLETE":
            reason = result.get("DetectionStatusReason", "it took too long")
            verdicts.append(warn(f"{name} could not be compared wholly: {reason}", fix="try again later"))
        elif result.get("StackDriftStatus") != "IN_SYNC":
            verdicts += _drifted(subject, name)
    return verdicts or [ok(f"{len(started)} stacks are as they were deployed")]


def _detected(subject: Subject, name: str, detection: str) -> "DescribeStackDriftDetectionStatusOutputTypeDef":
    client = subject.clients.cloudformation
    for _ in range(DRIFT_POLLS_MAX):
        result = subject.call(
            f"comparing {name}", client.describe_stack_drift_detection_status, StackDriftDetectionId=detection
        )
        if result["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            break
        subject.clock.sleep(DRIFT_POLL_S)
    return result


def _drifted(subject: Subject, name: str) -> list[Verdict]:
    answer = subject.call(
        f"reading what changed in {name}",
        subject.clients.cloudformation.describe_stack_resource_drifts,
        StackName=name,
        StackResourceDriftStatusFilters=["MODIFIED", "DELETED"],
    )
    return [
        fail(
            f"{name}: {each['LogicalResourceId']} ({each['ResourceType']}) was {each['StackResourceDriftStatus'].lower()}"
            " by hand",
            fix=f"undo it, or make the change in the stacks and {DEPLOY}",
        )
        for each in answer["StackResourceDrifts"]
    ]


CHECKS: Final = (
    Check(
        name="bootstrap",
        claim="the CDK is bootstrapped, and recently enough",
        examine=_bootstrap,
        actions=("ssm:GetParameter",),
    ),
    Check(
        name="stacks",
        claim="every stack is deployed, and its last deployment went well",
        examine=_stacks,
        actions=("cloudformation:DescribeStacks",),
    ),
    Check(
        name="version",
        claim="command and stacks are of one version",
        examine=_version,
        actions=("cloudformation:DescribeStacks",),
        needs=(contract.STACK_STATE,),
    ),
)

DRIFT: Final = Check(
    name="drift",
    claim="nobody changed a resource by hand",
    examine=_drift,
    actions=(
        "cloudformation:DetectStackDrift",
        "cloudformation:DescribeStackDriftDetectionStatus",
        "cloudformation:DescribeStackResourceDrifts",
    ),
    needs=(contract.STACK_STATE,),
    slow=True,
)
