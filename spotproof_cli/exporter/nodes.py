"""EC2 as a source: the deployment's instances, and why those that are gone went."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.costs.prices import load_on_demand_prices
from spotproof.metrics import LIFECYCLES
from spotproof.retries import Retrier, as_aws_error
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.samples import Observation, Sample, sample

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_LIVE: Final = frozenset({"pending", "running"})


class Removal(StrEnum):
    """Why an instance is gone."""

    INTERRUPTED = "interrupted"  # EC2 took it back
    TERMINATED = "terminated"  # by Batch, because it was idle, or by a person
    FAILED = "failed"  # it could not start, or EC2 lost it
    UNKNOWN = "unknown"  # EC2 says nothing any more


# StateReason of the Instance type, EC2 API reference.
_INTERRUPTED: Final = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
_ASKED_FOR: Final = frozenset({"Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An instance as EC2 describes it; a terminated one is described for about an hour."""

    instance_id: str
    lifecycle: str
    vcpus: int  # 0: unknown
    is_live: bool
    removal: Removal


class NodesSource:
    """Finds the instances by the tag that the compute environments give them; needs ec2:DescribeInstances."""

    name = "ec2"

    def __init__(self, *, ec2: "EC2Client", prefix: str, retrier: Retrier) -> None:
        self._ec2 = ec2
        self._prefix = prefix
        self._retrier = retrier
        self._before: dict[str, Node] | None = None  # None: nothing was read yet

    def read(self) -> Observation:
        """Instances now, and those that came and went since the last reading."""
        now = {node.instance_id: node for node in map(node_of, self._instances())}
        increments = (*_still(), *node_increments(self._before, now))
        self._before = now
        return Observation(gauges=tuple(_gauges(now)), increments=increments)

    def _instances(self) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._page(**token)
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _page(self, **token: str) -> Any:
        doing = "looking for instances"
        filters = [{"Name": f"tag:{contract.TAG_DEPLOYMENT}", "Values": [self._prefix]}]
        try:
            return self._retrier.call(doing, self._ec2.describe_instances, Filters=filters, **token)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def node_of(described: Mapping[str, Any]) -> Node:
    """From DescribeInstances. The size is the list's where EC2 does not say it."""
    options = described.get("CpuOptions", {})
    vcpus = options.get("CoreCount", 0) * options.get("ThreadsPerCore", 0)
    listed = load_on_demand_prices().get(described.get("InstanceType", ""))
    return Node(
        instance_id=described["InstanceId"],
        lifecycle=contract.LIFECYCLE_SPOT
        if described.get("InstanceLifecycle") == "spot"
        else contract.LIFECYCLE_ON_DEMAND,
        vcpus=vcpus or (listed.vcpus if listed is not None else 0),
        is_live=described["State"]["Name"] in _LIVE,
        removal=removal_of(described.get("StateReason", {}).get("Code", "")),
    )


def removal_of(code: str) -> Removal:
    """What EC2's code for the state says of an instance that is gone."""
    if code in _INTERRUPTED:
        return Removal.INTERRUPTED
    if code in _ASKED_FOR:
        return Removal.TERMINATED
    return Removal.FAILED if code else Removal.UNKNOWN


def node_increments(before: Mapping[str, Node] | None, now: Mapping[str, Node]) -> Iterator[Sample]:
    """Instances that came and that went; one that did both between two readings counts as both."""
    if before is None:
        return
    for node in now.values():
        known = before.get(node.instance_id)
        if known is None:
            yield sample(metrics.NODES_ADDED, 1, lifecycle=node.lifecycle)
        if not node.is_live and (known is None or known.is_live):
            yield sample(metrics.NODES_REMOVED, 1, lifecycle=node.lifecycle, reason=node.removal)
    for node in before.values():
        if node.is_live and node.instance_id not in now:
            yield sample(metrics.NODES_REMOVED, 1, lifecycle=node.lifecycle, reason=Removal.UNKNOWN)


def _gauges(now: Mapping[str, Node]) -> Iterator[Sample]:
    for lifecycle in LIFECYCLES:
        live = [node for node in now.values() if node.is_live and node.lifecycle == lifecycle]
        yield sample(metrics.NODES, len(live), lifecycle=lifecycle)
        yield sample(metrics.ALLOCATABLE_VCPUS, sum(node.vcpus for node in live), lifecycle=lifecycle)


def _still() -> Iterator[Sample]:
    for lifecycle in LIFECYCLES:
        yield sample(metrics.NODES_ADDED, 0, lifecycle=lifecycle)
        for reason in Removal:
            yield sample(metrics.NODES_REMOVED, 0, lifecycle=lifecycle, reason=reason)
