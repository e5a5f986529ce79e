"""Auto Scaling calls that show the groups behind compute environments."""

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from localcloud.batch.store import BatchStore
from localcloud.fleet import Fleet
from localcloud.launches import GROUP_TAG
from localcloud.reactor import Reactor
from localcloud.scaling_groups import ScalingGroup, scaling_groups
from localcloud.seams import Response, Seams


class ScalingGroupReads:
    """DescribeAutoScalingGroups over the compute environments of the account, instead of the emulator's own groups."""

    def __init__(
        self, *, seams: Seams, fleet: Fleet, reactor: Reactor, store_for: Callable[[str, str], BatchStore]
    ) -> None:
        self._seams = seams
        self._fleet = fleet
        self._reactor = reactor
        self._store_for = store_for

    def install(self) -> None:
        self._seams.autoscaling._ACTION_MAP["DescribeAutoScalingGroups"] = self.describe

    def describe(self, parameters: Any) -> Response:
        """All groups, or those that are named; one page."""
        wanted = self._seams.autoscaling._parse_member_list(parameters, "AutoScalingGroupNames")
        with self._reactor.reading():
            groups = scaling_groups(self._store_for(*self._seams.current()))
            members = "".join(
                f"<member>{self._group(group)}</member>" for group in groups if not wanted or group.name in wanted
            )
        body = f"<AutoScalingGroups>{members}</AutoScalingGroups>"
        response: Response = self._seams.autoscaling._xml(
            200,
            "DescribeAutoScalingGroupsResponse",
            f"<DescribeAutoScalingGroupsResult>{body}</DescribeAutoScalingGroupsResult>",
        )
        return response

    def _group(self, group: ScalingGroup) -> str:
        live = [
            one for one in self._fleet.instances.values() if one.is_live and one.request.tags[GROUP_TAG] == group.name
        ]
        instances = "".join(
            f"<member><InstanceId>{one.id}</InstanceId><AvailabilityZone>{one.zone}</AvailabilityZone></member>"
            for one in live
        )
        return (
            f"<AutoScalingGroupName>{escape(group.name)}</AutoScalingGroupName>"
            f"<AutoScalingGroupARN>{escape(group.arn)}</AutoScalingGroupARN>"
            f"<MinSize>0</MinSize><MaxSize>{len(live)}</MaxSize><DesiredCapacity>{len(live)}</DesiredCapacity>"
            f"<VPCZoneIdentifier>{','.join(group.subnets)}</VPCZoneIdentifier>"
            f"<MixedInstancesPolicy>{_policy(group)}</MixedInstancesPolicy>"
            f"<Instances>{instances}</Instances>"
        )


def _policy(group: ScalingGroup) -> str:
    specification = f"<LaunchTemplateName>{escape(group.launch_template)}</LaunchTemplateName>"
    share = 0 if group.is_spot else 100
    return (
        f"<LaunchTemplate><LaunchTemplateSpecification>{specification}</LaunchTemplateSpecification></LaunchTemplate>"
        "<InstancesDistribution><OnDemandBaseCapacity>0</OnDemandBaseCapacity>"
        f"<OnDemandPercentageAboveBaseCapacity>{share}</OnDemandPercentageAboveBaseCapacity></InstancesDistribution>"
    )
