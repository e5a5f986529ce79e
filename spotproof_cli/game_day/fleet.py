"""The Spot instances of a deployment, and the Auto Scaling groups that Batch launches them with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract
from spotproof.errors import AwsMissingError, InputError
from spotproof.leases.model import CapacityClass, Session, SessionState
from spotproof.retries import as_aws_error
from spotproof_cli.game_day.plans import ARNS_MAX

if TYPE_CHECKING:
    from spotproof_cli.deployment import Deployment

GROUP_TAG: Final = "aws:autoscaling:groupName"  # Auto Scaling puts it on each instance of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotInstance:
    """A running Spot instance of the deployment."""

    instance_id: str
    arn: str
    group: str  # name of its Auto Scaling group, empty if EC2 tells none


class FleetReader:
    """Reads EC2, Batch and Auto Scaling."""

    def __init__(self, deployment: "Deployment") -> None:
        self._deployment = deployment
        self._clients = deployment.clients

    def spot_instances(self) -> list[SpotInstance]:
        """Every running Spot instance of the deployment, by the tags of its compute environment.

        Raises:
            AwsError: EC2 refuses or can't be reached.
        """
        filters = [
            {"Name": f"tag:{contract.TAG_DEPLOYMENT}", "Values": [self._deployment.prefix]},
            {"Name": f"tag:{contract.TAG_LIFECYCLE}", "Values": [contract.LIFECYCLE_SPOT]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        pages = self._pages("looking for Spot instances", self._clients.ec2.describe_instances, Filters=filters)
        reservations = [each for page in pages for each in page["Reservations"]]
        meta = self._clients.ec2.meta
        place = f"{meta.partition}:ec2:{meta.region_name}"
        return [_spot_instance(one, each["OwnerId"], place) for each in reservations for one in each["Instances"]]

    def spot_groups(self, instances: Sequence[SpotInstance]) -> list[str]:
        """ARNs of the groups that launch the deployment's Spot instances.

        Raises:
            AwsError: a service refuses or can't be reached.
            AwsMissingError, InputError: as `choose_groups`.
        """
        pages = self._pages("looking for Auto Scaling groups", self._clients.autoscaling.describe_auto_scaling_groups)
        groups = [group for page in pages for group in page["AutoScalingGroups"]]
        return choose_groups(groups, named=[each.group for each in instances], subnets=self._subnets())

    def _subnets(self) -> set[str]:
        """Where the Spot environment launches."""
        queue = self._deployment.names.queues[CapacityClass.SPOT]
        batch = self._clients.batch
        (described,) = self._call("looking at the Spot queue", batch.describe_job_queues, jobQueues=[queue])[
            "jobQueues"
        ]
        names = [each["computeEnvironment"] for each in described["computeEnvironmentOrder"]]
        answer = self._call(
            "looking at the Spot environment", batch.describe_compute_environments, computeEnvironments=names
        )
        return {
            subnet for each in answer["computeEnvironments"] for subnet in each["computeResources"].get("subnets", [])
        }

    def _pages(self, doing: str, request: Any, **parameters: Any) -> Iterable[Mapping[str, Any]]:
        token: dict[str, str] = {}
        while True:
            answer = self._call(doing, request, **parameters, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._deployment.retrier.call(doing, request, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise as_aws_error(error, doing=doing) from error


def hosts_of(sessions: Iterable[Session]) -> list[str]:
    """Instances with live Spot workers, those that hold a shard first, then the longest alive."""
    alive = [
        each
        for each in sessions
        if each.state is SessionState.ALIVE and each.host.instance_id and each.stop is None
        if each.host.lifecycle != contract.LIFECYCLE_ON_DEMAND
    ]
    ordered = sorted(alive, key=lambda each: (each.held is None, each.started_at))
    return list(dict.fromkeys(each.host.instance_id for each in ordered))


def choose_groups(groups: Iterable[Mapping[str, Any]], *, named: Sequence[str], subnets: set[str]) -> list[str]:
    """ARNs of the groups in the environment's subnets that launch Spot.

    Batch tags its groups with nothing of ours. A group is the Spot environment's if one of the Spot instances names it,
    or if it launches nothing but Spot into the same subnets.

    Args:
        groups: as DescribeAutoScalingGroups shows them.
        named: group names that the tags of running Spot instances tell.
        subnets: of the Spot compute environment.

    Raises:
        AwsMissingError: there is none.
        InputError: there are more than one experiment takes.
    """
    found = [
        str(group["AutoScalingGroupARN"])
        for group in groups
        if group["AutoScalingGroupName"] in named or (_inside(group, subnets) and _only_spot(group))
    ]
    if not found:
        raise AwsMissingError("no Auto Scaling group launches Spot instances for this deployment: start the run first")
    if len(found) > ARNS_MAX:
        raise InputError(f"Batch launches Spot with {len(found)} Auto Scaling groups; an experiment names {ARNS_MAX}")
    return found


def _inside(group: Mapping[str, Any], subnets: set[str]) -> bool:
    own = {each for each in str(group.get("VPCZoneIdentifier", "")).split(",") if each}
    return bool(own) and own <= subnets


def _only_spot(group: Mapping[str, Any]) -> bool:
    distribution = group.get("MixedInstancesPolicy", {}).get("InstancesDistribution", {})
    on_demand = [distribution.get(name) for name in ("OnDemandBaseCapacity", "OnDemandPercentageAboveBaseCapacity")]
    return on_demand == [0, 0]


def _spot_instance(described: Mapping[str, Any], owner: str, place: str) -> SpotInstance:
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    return SpotInstance(
        instance_id=described["InstanceId"],
        arn=f"arn:{place}:{owner}:instance/{described['InstanceId']}",
        group=tags.get(GROUP_TAG, ""),
    )
