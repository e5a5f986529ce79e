"""One Batch job definition per declared job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Annotations, Aws, Duration, Size
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from spotproof import contract
from stacks.families import FAMILIES, Family
from stacks.fleet import Fleet
from stacks.images import worker_image
from stacks.jobs import JobSpec
from stacks.settings import DeploySettings
from stacks.state import StateStack

WORKER_MODULE = "batch_jobs.worker_main"
WRAP_MODULE = "batch_jobs.wrap"  # the same worker around a program
OUT_OF_MEMORY = "OutOfMemoryError*"  # reason of the container, as ECS writes it
FARGATE_SPOT_RECLAIMED = "Your Spot Task*"  # status reason of a Fargate Spot task that was interrupted
ATTEMPTS = 10  # the most Batch allows; the job state change handler replaces workers that used theirs up
NOBODY = "65534:65534"  # the unprivileged user and group of Debian images
SCRATCH = "/tmp"  # noqa: S108 - the container's own


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What every container is made from."""

    settings: DeploySettings
    state: StateStack
    fleet: Fleet
    code: Mapping[str, assets.Asset]  # by architecture
    python: str  # version of the interpreter that the wheels are for
    bootstrap: str
    job_role: iam.IRole
    execution_role: iam.IRole
    log_group: logs.ILogGroup


class JobDefinitions:
    """Makes the definitions of declared jobs, each for the hosts of its family."""

    def __init__(self, scope: Construct, parts: WorkerParts) -> None:
        self._scope, self._parts = scope, parts

    def define(self, job: JobSpec) -> batch.EcsJobDefinition:
        """The definition of one row."""
        family, name = FAMILIES[job.family], job.definition_name(self._parts.settings.prefix)
        container = self._on_host(job, family, name) if family.has_hosts else self._on_fargate(job, family, name)
        # The CDK warns that it lets nobody pull from ECR: the roles of stacks/job_roles.py do, by repository.
        Annotations.of(container).acknowledge_warning(
            "@aws-cdk/aws-ecs:ecrImageRequiresPolicy", "host and execution role may pull from this repository"
        )
        return batch.EcsJobDefinition(
            self._scope,
            f"Job-{job.name}",
            job_definition_name=name,
            parameters=dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO),
            container=container,
            retry_attempts=ATTEMPTS,
            retry_strategies=retry_rules(family),
            timeout=Duration.seconds(job.timeout_s),
            propagate_tags=True,
            # Workers of a run name the revision that it began with, also those we add after the next deployment.
            skip_deregister_on_update=True,
        )

    def _on_host(self, job: JobSpec, family: Family, name: str) -> batch.EcsEc2ContainerDefinition:
        """The container of a worker on an instance.

        Its user is nobody and its root file system can't be written. Scratch is a volume without a path on the host:
        ECS makes a Docker volume of it for this task alone, which begins as the image's /tmp (so nobody may write), is
        as large as the host's disk, and goes minutes after the task. A tmpfs would count against the job's memory.
        """
        scratch = batch.EcsVolume.host(name="scratch", container_path=SCRATCH)
        return batch.EcsEc2ContainerDefinition(
            self._scope,
            f"Container-{job.name}",
            **self._container(job, family, name),
            readonly_root_filesystem=True,
            volumes=[scratch],
            gpu=job.gpus or None,
        )

    def _on_fargate(self, job: JobSpec, family: Family, name: str) -> batch.EcsFargateContainerDefinition:
        """The container of a worker in a virtual machine of its own.

        Its root file system stays writable: volumes on Fargate belong to root, so nobody could not write them, and
        nothing of the machine outlives the task.
        """
        return batch.EcsFargateContainerDefinition(
            self._scope,
            f"Container-{job.name}",
            **self._container(job, family, name),
            assign_public_ip=self._parts.settings.network_kind == "public",
        )

    def _container(self, job: JobSpec, family: Family, name: str) -> dict[str, Any]:
        """What the containers of all families have in common."""
        parts = self._parts
        image = worker_image(parts.settings, family, python=parts.python)
        return {
            "image": ecs.ContainerImage.from_registry(image),
            "cpu": job.vcpus,
            "memory": Size.mebibytes(job.memory_mib),
            "command": _command(job, parts.bootstrap),
            "environment": self._environment(job, family, name),
            "job_role": parts.job_role,
            "execution_role": parts.execution_role,
            "user": NOBODY,
            # Process 1 ignores SIGTERM unless it handles it; the init process passes it on.
            "linux_parameters": batch.LinuxParameters(self._scope, f"Linux-{job.name}", init_process_enabled=True),
            "logging": ecs.LogDriver.aws_logs(stream_prefix=job.name, log_group=parts.log_group),
        }

    def _environment(self, job: JobSpec, family: Family, definition: str) -> dict[str, str]:
        parts = self._parts
        own = {
            contract.ENV_TABLE: parts.state.table.table_name,
            contract.ENV_WORK_BUCKET: parts.state.work_bucket.bucket_name,
            contract.ENV_DATA_BUCKET: parts.state.data_bucket.bucket_name,
            contract.ENV_STACK: parts.settings.prefix,
            contract.ENV_CODE_URI: parts.code[family.architecture].s3_object_url,
            contract.ENV_EVENT_BUS: "default",
            contract.ENV_LOG_LEVEL: "INFO",
            "SPOTPROOF_JOB_DEFINITION": definition,
            "SPOTPROOF_VCPUS": str(job.vcpus),
            contract.ENV_MEMORY: str(job.memory_mib),
            "AWS_REGION": Aws.REGION,
            "AWS_DEFAULT_REGION": Aws.REGION,
            "HOME": SCRATCH,  # nobody has no home; libraries that want one get the container's own scratch
            "PYTHONUNBUFFERED": "1",
        }
        if family.has_gpus:
            own["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"  # what of the host's driver the container gets
        if not family.has_hosts:
            own[contract.ENV_FARGATE_SPOT_QUEUE] = parts.fleet.pair(family.name).spot.job_queue_name
        return own


def _command(job: JobSpec, bootstrap: str) -> list[str]:
    work = (
        [WRAP_MODULE, "--job", job.name] if job.command else [WORKER_MODULE, "--job", job.name, "--module", job.module]
    )
    parameters = [word for name in contract.JOB_PARAMETERS for word in (f"--{name.replace('_', '-')}", f"Ref::{name}")]
    wrapped = ["--", *job.command] if job.command else []
    return ["python3", "-c", bootstrap, *work, *parameters, *wrapped]


def retry_rules(family: Family) -> Sequence[batch.RetryStrategy]:
    """First match wins, and no match would mean retry: so the last rule ends it. Batch takes five at most.

    A reclaimed host leaves no exit code, only a status reason; an interrupted worker exits with its own code. Batch
    would retry a worker that ran out of memory at the same size: the job state change handler gives its successor more.
    """
    reclaimed = batch.Reason.custom(on_status_reason=FARGATE_SPOT_RECLAIMED)
    retry = [
        batch.Reason.SPOT_INSTANCE_RECLAIMED if family.has_hosts else reclaimed,
        batch.Reason.CANNOT_PULL_CONTAINER,
        batch.Reason.custom(on_exit_code=str(contract.EXIT_INTERRUPTED)),
    ]
    return [
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason=OUT_OF_MEMORY)),
        *(batch.RetryStrategy.of(batch.Action.RETRY, reason) for reason in retry),
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason="*")),
    ]
