"""What one account and region holds in AWS Batch."""

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

from localcloud.batch.blocked import Refusal
from localcloud.batch.job import Job
from localcloud.batch.parameters import ClientException
from localcloud.catalog import InstanceType, expand
from localcloud.instance import Lifecycle

Found = TypeVar("Found")


def name_of(reference: str) -> str:
    """The name in a name or an ARN."""
    return reference.rsplit("/", 1)[-1]


@dataclass(slots=True, kw_only=True, eq=False)
class ComputeEnvironment:
    """A managed compute environment; `document` is what DescribeComputeEnvironments shows."""

    name: str
    account: str
    region: str
    cluster: str
    document: dict[str, Any]
    fault: Refusal | None = None  # what every launch for it fails with
    template_version: str | None = None  # of its launch template; looked up when made and with each new set of hosts

    @property
    def arn(self) -> str:
        return str(self.document["computeEnvironmentArn"])

    @property
    def is_valid(self) -> bool:
        return bool(self.document["status"] == "VALID")

    @property
    def is_enabled(self) -> bool:
        return bool(self.document["state"] == "ENABLED")

    @property
    def resources(self) -> dict[str, Any]:
        resources: dict[str, Any] = self.document["computeResources"]
        return resources

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle.SPOT if self.resources["type"] in ("SPOT", "FARGATE_SPOT") else Lifecycle.ON_DEMAND

    @property
    def is_fargate(self) -> bool:
        return str(self.resources["type"]).startswith("FARGATE")

    @property
    def types(self) -> list[InstanceType]:
        """Of its instances; Fargate has none."""
        if self.is_fargate:
            return []
        return expand(self.resources.get("instanceTypes") or [])

    @property
    def max_vcpus(self) -> int:
        return int(self.resources.get("maxvCpus", 0))

    @property
    def min_vcpus(self) -> int:
        return int(self.resources.get("minvCpus", 0))

    @property
    def bid_fraction(self) -> float:
        """The highest Spot price taken, as a share of the on-demand price."""
        return float(self.resources.get("bidPercentage") or 100) / 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueueBlocked:
    """That a job holds up its queue; compared by identity, for its time limit begins anew with every change."""

    job_id: str
    text: str


@dataclass(slots=True, kw_only=True, eq=False)
class JobQueue:
    """A job queue; `document` is what DescribeJobQueues shows."""

    name: str
    document: dict[str, Any]
    blocked: QueueBlocked | None = None  # what a Queue Blocked event was sent for
    gone: threading.Event = field(default_factory=threading.Event)  # set once it was deleted and its jobs have ended

    @property
    def is_deleting(self) -> bool:
        return bool(self.document["status"] == "DELETING")

    @property
    def arn(self) -> str:
        return str(self.document["jobQueueArn"])

    @property
    def is_enabled(self) -> bool:
        return bool(self.document["state"] == "ENABLED")

    @property
    def environments(self) -> list[str]:
        """Names of the queue's compute environments, in the order they are tried."""
        ordered = sorted(self.document["computeEnvironmentOrder"], key=lambda entry: int(entry["order"]))
        return [name_of(entry["computeEnvironment"]) for entry in ordered]


@dataclass(slots=True, kw_only=True)
class BatchStore:
    """The resources and jobs of one account and region."""

    account: str
    region: str
    environments: dict[str, ComputeEnvironment] = field(default_factory=dict)
    queues: dict[str, JobQueue] = field(default_factory=dict)
    definitions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    waiting: dict[str, Job] = field(default_factory=dict)  # for what they depend on; array parents are not in it
    runnable: dict[str, Job] = field(default_factory=dict)  # may hold jobs that have just moved on

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:batch:{self.region}:{self.account}:{kind}/{name}"

    def environment(self, reference: str) -> ComputeEnvironment:
        """The compute environment with this name or ARN.

        Raises:
            ClientException: if there is none.
        """
        return _found(self.environments.get(name_of(reference)), reference)

    def queue(self, reference: str) -> JobQueue:
        """The job queue with this name or ARN.

        Raises:
            ClientException: if there is none.
        """
        return _found(self.queues.get(name_of(reference)), reference)

    def definition(self, reference: str) -> dict[str, Any]:
        """The newest active revision of a job definition, or the revision the reference names.

        Raises:
            ClientException: if there is none.
        """
        name, _, revision = name_of(reference).partition(":")
        matching = [
            one
            for one in self.definitions.get(name, [])
            if one["status"] == "ACTIVE" and revision in ("", str(one["revision"]))
        ]
        if not matching:
            raise ClientException(f"JobDefinition not found or not active: {reference}")
        return matching[-1]


def _found(value: Found | None, reference: str) -> Found:
    if value is None:
        raise ClientException(f"Object does not exist: {reference}")
    return value
