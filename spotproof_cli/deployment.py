"""The deployed stacks as the command sees them: names from CloudFormation outputs, clients, and the run's table."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.clients import Clients
from spotproof.clock import Clock
from spotproof.errors import AwsMissingError, ConfigurationError, InputError
from spotproof.leases.model import CapacityClass
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier, RetryPolicy, as_aws_error, error_code
from spotproof.settings import AwsSettings
from spotproof_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

PATIENCE: Final = RetryPolicy(first_s=0.2, max_s=3.0, patience_s=20.0, attempts_max=8)  # a person is waiting
_OUTPUT_STACKS: Final = (contract.STACK_STATE, contract.STACK_COMPUTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the stacks' outputs say."""

    table: str
    work_bucket: str
    data_bucket: str
    queues: Mapping[CapacityClass, str]  # of the first family
    log_group: str
    job_definitions: Mapping[str, str]  # by job
    required_tags: tuple[str, ...] = ()  # that `submit` asks for
    family_queues: Mapping[str, Mapping[CapacityClass, str]] = field(default_factory=dict)  # of the other families
    job_families: Mapping[str, str] = field(default_factory=dict)  # of jobs that run in those
    shares: tuple[str, ...] = ()  # that divide the queues; empty: first come, first served

    @property
    def all_queues(self) -> Mapping[str, CapacityClass]:
        """Every family's queues, by name."""
        return {name: kind for pair in (self.queues, *self.family_queues.values()) for kind, name in pair.items()}

    def queues_of(self, job: str) -> Mapping[CapacityClass, str]:
        """The queues of the job's own family."""
        return self.family_queues.get(self.job_families.get(job, ""), self.queues)

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, str], *, prefix: str) -> "Names":
        """Raises ConfigurationError, naming the first output that is missing."""
        start = contract.JOB_DEFINITION_PREFIX if prefix == contract.DEFAULT_STACK_PREFIX else f"{prefix.lower()}-"

        def value(name: str) -> str:
            if not outputs.get(name):
                raise ConfigurationError(f"the stacks have no output {name}: deploy this version of the stacks")
            return outputs[name]

        return cls(
            table=value(contract.OUTPUT_TABLE),
            work_bucket=value(contract.OUTPUT_WORK_BUCKET),
            data_bucket=value(contract.OUTPUT_DATA_BUCKET),
            queues={
                CapacityClass.SPOT: value(contract.OUTPUT_SPOT_QUEUE),
                CapacityClass.ON_DEMAND: value(contract.OUTPUT_ON_DEMAND_QUEUE),
            },
            log_group=value(contract.OUTPUT_LOG_GROUP),
            job_definitions={
                name.removeprefix(start): name for name in value(contract.OUTPUT_JOB_DEFINITIONS).split(",")
            },
            required_tags=tuple(filter(None, outputs.get(contract.OUTPUT_REQUIRED_TAGS, "").split(","))),
            family_queues=_family_queues(outputs.get(contract.OUTPUT_FAMILY_QUEUES, "")),
            job_families=dict(_pairs(outputs.get(contract.OUTPUT_JOB_FAMILIES, ""))),
            shares=tuple(filter(None, outputs.get(contract.OUTPUT_SHARES, "").split(","))),
        )

    def job_definition(self, job: str) -> str:
        """The definition of a declared job.

        Raises:
            InputError: no such job; the text lists the deployed ones.
        """
        definition = self.job_definitions.get(job)
        if definition is None:
            raise InputError(f"no job {job!r} is deployed; there are: {', '.join(sorted(self.job_definitions))}")
        return definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything a command may use of one deployment."""

    prefix: str
    aws: AwsSettings
    names: Names
    clients: Clients
    store: LeaseStore
    retrier: Retrier


def connect(target: Target, clock: Clock) -> Deployment:
    """The deployment that `target` names; errors as `find_deployment`."""
    return find_deployment(Clients(target.aws), prefix=target.prefix, clock=clock)


def find_deployment(clients: Clients, *, prefix: str, clock: Clock) -> Deployment:
    """Look up the stacks `<prefix>-State` and `<prefix>-Compute`.

    Raises:
        AwsMissingError: a stack is not there.
        ConfigurationError: a stack lacks an output.
        AwsAccessError, AwsUnavailableError: as AWS says.
    """
    from spotproof.leases.dynamodb import DynamoDBLeaseStore

    retrier = Retrier(clock=clock, rng=random.Random(), policy=PATIENCE)  # noqa: S311 - jitter only
    outputs: dict[str, str] = {}
    for suffix in _OUTPUT_STACKS:
        outputs |= stack_outputs(clients.cloudformation, retrier, f"{prefix}-{suffix}")
    names = Names.from_outputs(outputs, prefix=prefix)
    store = DynamoDBLeaseStore(client=clients.dynamodb, table_name=names.table, clock=clock, retrier=retrier)
    return Deployment(prefix=prefix, aws=clients.settings, names=names, clients=clients, store=store, retrier=retrier)


def stack_outputs(cloudformation: "CloudFormationClient", retrier: Retrier, stack: str) -> dict[str, str]:
    """The outputs of one stack.

    Raises:
        AwsMissingError: it is not there.
        AwsAccessError, AwsUnavailableError: as AWS says.
    """
    doing = f"looking for the stack {stack}"
    try:
        answer = retrier.call(doing, cloudformation.describe_stacks, StackName=stack)
    except ClientError as error:
        if error_code(error) == "ValidationError":
            raise AwsMissingError(
                f"no stack {stack} in this account and region: deploy it, or choose another with --prefix or --region"
            ) from error
        raise as_aws_error(error, doing=doing) from error
    listed = answer["Stacks"][0].get("Outputs", [])
    return {item.get("OutputKey", ""): item.get("OutputValue", "") for item in listed}


def _family_queues(text: str) -> dict[str, dict[CapacityClass, str]]:
    """From `family=spot/on-demand,…`."""
    return {
        family: dict(zip((CapacityClass.SPOT, CapacityClass.ON_DEMAND), queues.split("/"), strict=False))
        for family, queues in _pairs(text)
    }


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        yield name, value
