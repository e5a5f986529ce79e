"""Compute stack: the fleet, its queues, and one job definition per declared job."""

from collections.abc import Sequence
from pathlib import Path

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.bootstrap_text import bootstrap_text
from stacks.bundle import Bundles
from stacks.fleet import Fleet
from stacks.grants import Grant
from stacks.instance_types import check_types, memory_mib_most
from stacks.jobs import JobSpec, check_rows
from stacks.permissions import Targets, statements
from stacks.settings import DeploySettings
from stacks.settings.retention import LOG_RETENTION_DAYS
from stacks.state import StateStack

PUBLIC_IMAGE = "public.ecr.aws/docker/library/python:{python}-slim"
BOOTSTRAP = Path("batch_jobs") / "bootstrap.py"
WORKER_MODULE = "batch_jobs.worker_main"
WRAP_MODULE = "batch_jobs.wrap"  # the same worker around a program
WORKER_GRANTS = (
    Grant.SHARDS_READ,
    Grant.SHARDS_WRITE,
    Grant.SHARD_WORK,
    Grant.EVENTS_PUT,
    Grant.EC2_PRICES,
)
OUT_OF_MEMORY = "OutOfMemoryError*"  # reason of the container, as ECS writes it
ATTEMPTS = 10  # the most Batch allows; the job state change handler replaces workers that used theirs up
RETENTIONS = dict(zip(LOG_RETENTION_DAYS, list(logs.RetentionDays), strict=False))
NOBODY = "65534:65534"  # the unprivileged user and group of Debian images


class ComputeStack(Stack):
    """Where workers run."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: DeploySettings,
        state: StateStack,
        jobs: Sequence[JobSpec],
        bundles: Bundles,
        root: Path,
    ) -> None:
        name = settings.stack_name(contract.STACK_COMPUTE)
        super().__init__(scope, name, stack_name=name, description="Spotproof: Batch on Spot and on-demand")
        check_rows(jobs)
        self._settings, self._state, self._bundles = settings, state, bundles
        self._bootstrap = bootstrap_text(root / BOOTSTRAP)
        types = check_types(settings.instance_types, jobs)
        self.memory_mib_max = memory_mib_most(types)
        self.fleet = Fleet(self, settings=settings, types=types)
        self._code = assets.Asset(self, "WorkerCode", path=str(bundles.worker.path), asset_hash=bundles.worker.digest)
        self._log_group = logs.LogGroup(
            self,
            "WorkerLogs",
            retention=log_retention(settings.log_retention_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._job_role = self._role()
        for job in jobs:
            _check_program(job, root)
            self._job_definition(job)
        self._outputs([job.definition_name(settings.prefix) for job in jobs])

    def _outputs(self, definitions: list[str]) -> None:
        CfnOutput(self, contract.OUTPUT_SPOT_QUEUE, value=self.fleet.spot_queue.job_queue_name)
        CfnOutput(self, contract.OUTPUT_ON_DEMAND_QUEUE, value=self.fleet.on_demand_queue.job_queue_name)
        CfnOutput(self, contract.OUTPUT_LOG_GROUP, value=self._log_group.log_group_name)
        CfnOutput(self, contract.OUTPUT_JOB_DEFINITIONS, value=",".join(definitions))
        if self._settings.required_tags:
            CfnOutput(self, contract.OUTPUT_REQUIRED_TAGS, value=",".join(self._settings.required_tags))

    def _role(self) -> iam.Role:
        role = iam.Role(
            self,
            "JobRole",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            description="What a Spotproof worker may do",
        )
        targets = state_targets(self._state, self._settings)
        for grant in WORKER_GRANTS:
            for statement in statements(grant, targets):
                role.add_to_policy(statement)
        # Any bundle, not only this one: a retried worker of an older revision fetches the one it was submitted with.
        bundles = f"arn:{Aws.PARTITION}:s3:::{self._code.s3_bucket_name}/*.zip"
        role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[bundles]))
        return role

    def _job_definition(self, job: JobSpec) -> batch.EcsJobDefinition:
        name = job.definition_name(self._settings.prefix)
        return batch.EcsJobDefinition(
            self,
            f"Job-{job.name}",
            job_definition_name=name,
            parameters=dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO),
            container=self._container(job, name),
            retry_attempts=ATTEMPTS,
            retry_strategies=_retry_rules(),
            timeout=Duration.seconds(job.timeout_s),
            propagate_tags=True,
        )

    def _container(self, job: JobSpec, definition: str) -> batch.EcsEc2ContainerDefinition:
        """The container of a worker.

        Its user is nobody, but its root file system is writable: scratch belongs on the disk, and a tmpfs for it would
        count against the job's memory and could not hold the shared libraries of the bundle.
        """
        image = self._settings.worker_image or PUBLIC_IMAGE.format(python=self._bundles.worker_python)
        return batch.EcsEc2ContainerDefinition(
            self,
            f"Container-{job.name}",
            image=ecs.ContainerImage.from_registry(image),
            cpu=job.vcpus,
            memory=Size.mebibytes(job.memory_mib),
            command=self._command(job),
            environment=self._environment(job, definition),
            job_role=self._job_role,
            user=NOBODY,
            # Process 1 ignores SIGTERM unless it handles it; the init process passes it on.
            linux_parameters=batch.LinuxParameters(self, f"Linux-{job.name}", init_process_enabled=True),
            logging=ecs.LogDriver.aws_logs(stream_prefix=job.name, log_group=self._log_group),
        )

    def _command(self, job: JobSpec) -> list[str]:
        work = (
            [WRAP_MODULE, "--job", job.name]
            if job.command
            else [WORKER_MODULE, "--job", job.name, "--module", job.module]
        )
        parameters = [
            word for name in contract.JOB_PARAMETERS for word in (f"--{name.replace('_', '-')}", f"Ref::{name}")
        ]
        wrapped = ["--", *job.command] if job.command else []
        return ["python3", "-c", self._bootstrap, *work, *parameters, *wrapped]

    def _environment(self, job: JobSpec, definition: str) -> dict[str, str]:
        return {
            contract.ENV_TABLE: self._state.table.table_name,
            contract.ENV_WORK_BUCKET: self._state.work_bucket.bucket_name,
            contract.ENV_DATA_BUCKET: self._state.data_bucket.bucket_name,
            contract.ENV_STACK: self._settings.prefix,
            contract.ENV_CODE_URI: self._code.s3_object_url,
            contract.ENV_EVENT_BUS: "default",
            contract.ENV_LOG_LEVEL: "INFO",
            "SPOTPROOF_JOB_DEFINITION": definition,
            "SPOTPROOF_VCPUS": str(job.vcpus),
            contract.ENV_MEMORY: str(job.memory_mib),
            "AWS_REGION": Aws.REGION,
            "AWS_DEFAULT_REGION": Aws.REGION,
            "HOME": "/tmp",  # noqa: S108 - nobody has no home; libraries that want one get the container's own scratch
            "PYTHONUNBUFFERED": "1",
        }


def _check_program(job: JobSpec, root: Path) -> None:
    """Raises ConfigurationError if a job's program should be in the worker bundle and is not there."""
    program = job.bundled_program
    if program is not None and not (root / program).is_file():
        raise ConfigurationError(
            f"job {job.name!r} in stacks/jobs.py: there is no {program}; put the program below batch_jobs/, or name one "
            "of the image by its absolute path"
        )


def _retry_rules() -> list[batch.RetryStrategy]:
    """First match wins, and no match would mean retry: so the last rule ends it. Batch takes five at most.

    A reclaimed host leaves no exit code, only a status reason; an interrupted worker exits with its own code. Batch
    would retry a worker that ran out of memory at the same size: the job state change handler gives its successor more.
    """
    retry = [
        batch.Reason.SPOT_INSTANCE_RECLAIMED,
        batch.Reason.CANNOT_PULL_CONTAINER,
        batch.Reason.custom(on_exit_code=str(contract.EXIT_INTERRUPTED)),
    ]
    return [
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason=OUT_OF_MEMORY)),
        *(batch.RetryStrategy.of(batch.Action.RETRY, reason) for reason in retry),
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason="*")),
    ]


def state_targets(state: StateStack, settings: DeploySettings) -> Targets:
    """The ARNs that workers' grants are about."""
    others = tuple(f"arn:{Aws.PARTITION}:s3:::{name}" for name in settings.data_buckets)
    return Targets(
        table=state.table.table_arn,
        work_bucket=state.work_bucket.bucket_arn,
        data_buckets=(state.data_bucket.bucket_arn, *others),
        event_bus=f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:event-bus/default",
    )


def log_retention(days: int) -> logs.RetentionDays:
    """The CDK's name of a number of days that CloudWatch Logs takes."""
    return RETENTIONS[days]
