"""Checks of what runs workers: queues, compute environments, job definitions, and the hosts' launch template."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import error_code
from spotproof_cli.doctor import environments
from spotproof_cli.doctor.stacks import DEPLOY
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef, LaunchTemplateSpecificationOutputTypeDef

HOPS_LEAST: Final = 2  # from a container with its own network to the metadata service (EC2 user guide)
_MOVING: Final = ("$Latest", "$Default", "", None)  # Batch resolves these once and never again


def _queues(subject: Subject) -> Sequence[Verdict]:
    arns = [each.physical_id for each in subject.resources(contract.STACK_COMPUTE, "AWS::Batch::JobQueue")]
    batch = subject.clients.batch
    answer = subject.call("reading the job queues", batch.describe_job_queues, jobQueues=arns) if arns else None
    found = {each["jobQueueArn"]: each for each in (answer["jobQueues"] if answer else [])}
    verdicts = [fail(f"the job queue {_name(arn)} is gone", fix=DEPLOY) for arn in arns if arn not in found]
    for arn, queue in found.items():
        if queue["state"] != "ENABLED":
            fix = f"aws batch update-job-queue --job-queue {_name(arn)} --state ENABLED"
            verdicts.append(fail(f"the job queue {_name(arn)} is {queue['state']}: nothing can be submitted", fix=fix))
        elif queue.get("status") not in ("VALID", "UPDATING"):
            text = f"the job queue {_name(arn)} is {queue.get('status')}: {queue.get('statusReason', 'no reason told')}"
            verdicts.append(fail(text, fix="see its compute environments"))
    return verdicts or [ok(f"{len(found)} enabled and valid")]


def _environments(subject: Subject) -> Sequence[Verdict]:
    arns = [each.physical_id for each in subject.resources(contract.STACK_COMPUTE, environments.RESOURCE)]
    found = {each["computeEnvironmentArn"]: each for each in environments.of(subject)}
    gone = [fail(f"the compute environment {_name(arn)} is gone", fix=DEPLOY) for arn in arns if arn not in found]
    verdicts = [*gone, *(verdict for each in found.values() for verdict in _state(each))]
    most = ", ".join(f"{environments.kind_of(each)} {each['computeResources']['maxvCpus']}" for each in found.values())
    return verdicts or [ok(f"enabled and valid; vCPUs at most: {most}")]


def _state(environment: "ComputeEnvironmentDetailTypeDef") -> Iterator[Verdict]:
    name = environment["computeEnvironmentName"]
    update = f"aws batch update-compute-environment --compute-environment {name}"
    if environment.get("state") != "ENABLED":
        text = f"the compute environment {name} is {environment.get('state')}: it starts no instance"
        yield fail(text, fix=f"{update} --state ENABLED")
    if environment.get("status") not in ("VALID", "UPDATING"):
        said = environment.get("statusReason") or "no reason told"
        yield fail(
            f"the compute environment {name} is {environment.get('status')}: {said}", fix=f"mend that, then {DEPLOY}"
        )
    if environment.get("computeResources", {}).get("maxvCpus", 0) < 1:
        yield fail(f"the compute environment {name} may start no vCPU", fix=f"{update} --compute-resources maxvCpus=N")


def _job_definitions(subject: Subject) -> Sequence[Verdict]:
    names = subject.output(contract.STACK_COMPUTE, contract.OUTPUT_JOB_DEFINITIONS).split(",")
    batch = subject.clients.batch
    verdicts = []
    for name in names:
        answer = subject.call(
            f"reading the job definition {name}",
            batch.describe_job_definitions,
            jobDefinitionName=name,
            status="ACTIVE",
        )
        if not answer["jobDefinitions"]:
            verdicts.append(fail(f"no revision of the job definition {name} is active", fix=DEPLOY))
    return verdicts or [ok(f"{len(names)} active")]


def _hosts(subject: Subject) -> Sequence[Verdict]:
    """What instances of the fleet will start with. A container must reach IMDS, and only with a token."""
    verdicts: list[Verdict] = []
    templates: set[str] = set()
    for each in environments.of(subject):
        template = each.get("computeResources", {}).get("launchTemplate")
        if template is not None:
            templates.add(template.get("launchTemplateId", ""))
            verdicts += _template(subject, each["computeEnvironmentName"], template)
    if not templates:
        return [ok("no compute environment has hosts of its own")]
    return verdicts or [ok(f"metadata by token, over {HOPS_LEAST} hops at least; launch templates: {len(templates)}")]


def _template(
    subject: Subject, environment: str, template: "LaunchTemplateSpecificationOutputTypeDef"
) -> Iterator[Verdict]:
    identity, version = template.get("launchTemplateId", ""), template.get("version")
    try:
        answer = subject.call(
            f"reading the launch template {identity}",
            subject.clients.ec2.describe_launch_template_versions,
            LaunchTemplateId=identity,
            Versions=sorted({version or "$Default", "$Latest"}),
        )
    except ClientError as error:
        if not error_code(error).startswith("InvalidLaunchTemplate"):
            raise
        yield fail(f"the launch template {identity} of {environment} is gone", fix=DEPLOY)
        return
    versions = {str(each["VersionNumber"]): each for each in answer["LaunchTemplateVersions"]}
    latest = max(versions, key=int)
    if version in _MOVING:
        yield warn(f"{environment} uses version {version or '$Default'}, which Batch looks up once only", fix=DEPLOY)
    elif version != latest:
        yield warn(f"{environment} uses version {version} of its launch template, the newest is {latest}", fix=DEPLOY)
    used = versions.get(str(version), versions[latest])
    options = used.get("LaunchTemplateData", {}).get("MetadataOptions", {})
    if options.get("HttpEndpoint") == "disabled":
        yield fail(f"hosts of {environment} have no metadata service: no worker sees its notice", fix=DEPLOY)
    if options.get("HttpTokens") != "required":
        yield fail(f"hosts of {environment} give metadata without a token (IMDSv1)", fix=DEPLOY)
    if options.get("HttpPutResponseHopLimit", 1) < HOPS_LEAST:
        hops = options.get("HttpPutResponseHopLimit", 1)
        yield fail(
            f"hosts of {environment} answer over {hops} hop: containers hang when they ask for a token", fix=DEPLOY
        )


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


_COMPUTE: Final = (contract.STACK_COMPUTE,)
CHECKS: Final = (
    Check(
        name="queues",
        claim="every job queue is enabled and valid",
        examine=_queues,
        actions=("batch:DescribeJobQueues",),
        needs=_COMPUTE,
    ),
    Check(
        name="environments",
        claim="every compute environment is enabled and valid",
        examine=_environments,
        actions=("batch:DescribeComputeEnvironments",),
        needs=_COMPUTE,
    ),
    Check(
        name="job-definitions",
        claim="every deployed job has an active definition",
        examine=_job_definitions,
        actions=("batch:DescribeJobDefinitions",),
        needs=_COMPUTE,
    ),
    Check(
        name="hosts",
        claim="hosts ask for tokens, let containers reach IMDS, and are of the newest launch template",
        examine=_hosts,
        actions=("batch:DescribeComputeEnvironments", "ec2:DescribeLaunchTemplateVersions"),
        needs=_COMPUTE,
    ),
)
