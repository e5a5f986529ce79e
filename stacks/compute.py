"""Compute stack: the fleet, its queues, and one job definition per declared job."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Aws, CfnOutput, Stack
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.bootstrap_text import bootstrap_text
from stacks.bundle import Bundle, Bundles
from stacks.families import FAMILIES, FamilyName
from stacks.fleet import Fleet
from stacks.images import worker_image
from stacks.instance_types import InstanceType, check_types, memory_mib_most
from stacks.job_definitions import JobDefinitions, WorkerParts
from stacks.job_roles import execution_role, host_role, job_role
from stacks.jobs import JobSpec, check_rows
from stacks.log_groups import log_group
from stacks.permissions import Targets
from stacks.settings import DeploySettings
from stacks.settings.families import vcpus_max_name
from stacks.state import StateStack

BOOTSTRAP = Path("batch_jobs") / "bootstrap.py"


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
        check_jobs(settings, jobs, root=root)
        self._settings = settings
        types = types_by_family(settings, jobs)
        self._memory_mib_max = {family: _memory_most(family, types, jobs) for family in settings.families}
        self._images = [
            worker_image(settings, FAMILIES[name], python=bundles.worker_python) for name in settings.families
        ]
        self.log_group = log_group(self, "WorkerLogs", days=settings.log_retention_days, key=state.key)
        hosts = host_role(self, log_group=self.log_group, images=self._images) if types else None
        self.fleet = Fleet(self, settings=settings, types=types, key=state.key, host_role=hosts)
        definitions = JobDefinitions(self, self._parts(state, bundles, root))
        for job in jobs:
            definitions.define(job)
        self._outputs(jobs)

    @property
    def memory_mib_max(self) -> int:
        """The most memory of one worker of the first family."""
        return self._memory_mib_max[self._settings.families[0]]

    @property
    def family_queues(self) -> str:
        """Queues of the further families, as the functions read them."""
        return ",".join(
            f"{pair.family}={pair.spot.job_queue_name}/{pair.on_demand.job_queue_name}/{self._memory_mib_max[pair.family]}"
            for pair in self.fleet.pairs[1:]
        )

    def _parts(self, state: StateStack, bundles: Bundles, root: Path) -> WorkerParts:
        settings = self._settings
        families = [FAMILIES[name] for name in settings.families]
        code = {
            architecture: self._asset(architecture, bundles.worker_for(architecture))
            for architecture in dict.fromkeys(family.architecture for family in families)
        }
        bucket = next(iter(code.values())).s3_bucket_name
        role = job_role(self, state_targets(state, settings), code_bucket=bucket, key=state.key)
        for queue in self.fleet.queues:
            # Destroyed before what its workers need to save their work.
            queue.node.add_dependency(role, self.log_group, self.fleet.network)
        return WorkerParts(
            settings=settings,
            state=state,
            fleet=self.fleet,
            code=code,
            python=bundles.worker_python,
            bootstrap=bootstrap_text(root / BOOTSTRAP),
            job_role=role,
            execution_role=execution_role(self, log_group=self.log_group, images=self._images),
            log_group=self.log_group,
        )

    def _asset(self, architecture: str, bundle: Bundle) -> assets.Asset:
        name = "WorkerCode" if architecture == "x86_64" else "WorkerCodeArm64"
        return assets.Asset(self, name, path=str(bundle.path), asset_hash=bundle.digest)

    def _outputs(self, jobs: Sequence[JobSpec]) -> None:
        first, *further = self.fleet.pairs
        definitions = [job.definition_name(self._settings.prefix) for job in jobs]
        CfnOutput(self, contract.OUTPUT_SPOT_QUEUE, value=first.spot.job_queue_name)
        CfnOutput(self, contract.OUTPUT_ON_DEMAND_QUEUE, value=first.on_demand.job_queue_name)
        CfnOutput(self, contract.OUTPUT_LOG_GROUP, value=self.log_group.log_group_name)
        CfnOutput(self, contract.OUTPUT_JOB_DEFINITIONS, value=",".join(definitions))
        if further:
            pairs = [f"{each.family}={each.spot.job_queue_name}/{each.on_demand.job_queue_name}" for each in further]
            CfnOutput(self, contract.OUTPUT_FAMILY_QUEUES, value=",".join(pairs))
        elsewhere = [f"{job.name}={job.family}" for job in jobs if job.family != first.family]
        if elsewhere:
            CfnOutput(self, contract.OUTPUT_JOB_FAMILIES, value=",".join(elsewhere))
        if self._settings.fair_shares:
            CfnOutput(self, contract.OUTPUT_SHARES, value=",".join(name for name, _ in self._settings.fair_shares))
        if self._settings.required_tags:
            CfnOutput(self, contract.OUTPUT_REQUIRED_TAGS, value=",".join(self._settings.required_tags))


def check_jobs(settings: DeploySettings, jobs: Sequence[JobSpec], *, root: Path) -> None:
    """Nothing, if the deployment can run every declared job; asked before anything is installed or made.

    Raises:
        ConfigurationError: it can't run one; one line with the job or the context value, and what would be right.
    """
    check_rows(jobs, families=settings.families)
    types_by_family(settings, jobs)
    for job in jobs:
        _check_program(job, root)
        _check_limits(settings, job)


def types_by_family(settings: DeploySettings, jobs: Sequence[JobSpec]) -> dict[FamilyName, tuple[InstanceType, ...]]:
    """The checked instance types of the deployed families that have hosts.

    Raises:
        ConfigurationError: they can't run the family's jobs, or are too few or too much alike.
    """
    found = {}
    for name in settings.families:
        family, own = FAMILIES[name], [job for job in jobs if job.family == name]
        if family.has_hosts:
            setting = "instance_types" if name == "x86_64" else f"{name}_types"
            names: tuple[str, ...] = getattr(settings, setting)
            found[name] = check_types(names, own, architecture=family.architecture, setting=setting)
            if family.has_gpus and not all(each.gpus for each in found[name]):
                raise ConfigurationError(f"context value {setting}: every type must have a GPU")
    return found


def _memory_most(
    family: FamilyName, types: Mapping[FamilyName, Sequence[InstanceType]], jobs: Sequence[JobSpec]
) -> int:
    """The most memory of one worker, MiB; on Fargate what its jobs' vCPUs allow at most."""
    if family in types:
        return memory_mib_most(types[family])
    vcpus = {job.vcpus for job in jobs if job.family == family} or {1}
    return max(contract.FARGATE_MEMORY_MIB[each][-1] for each in vcpus)


def _check_program(job: JobSpec, root: Path) -> None:
    """Raises ConfigurationError if a job's program should be in the worker bundle and is not there."""
    program = job.bundled_program
    if program is not None and not (root / program).is_file():
        raise ConfigurationError(
            f"job {job.name!r} in stacks/jobs.py: there is no {program}; put the program below batch_jobs/, or name one "
            "of the image by its absolute path"
        )


def _check_limits(settings: DeploySettings, job: JobSpec) -> None:
    """Raises ConfigurationError if an environment may start fewer vCPUs than one worker needs: it would wait for ever."""
    for spot in (True, False):
        most = settings.vcpus_max(job.family, spot=spot)
        if most < job.vcpus:
            raise ConfigurationError(
                f"context value {vcpus_max_name(job.family, spot=spot)} must be at least {job.vcpus}, which a worker of "
                f"job {job.name!r} needs, got {most}"
            )


def state_targets(state: StateStack, settings: DeploySettings) -> Targets:
    """The ARNs that workers' grants are about."""
    others = tuple(f"arn:{Aws.PARTITION}:s3:::{name}" for name in settings.data_buckets)
    return Targets(
        table=state.table.table_arn,
        work_bucket=state.work_bucket.bucket_arn,
        data_buckets=(state.data_bucket.bucket_arn, *others),
        event_bus=f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:event-bus/default",
    )
