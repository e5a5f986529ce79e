"""The Auto Scaling groups behind compute environments: Batch makes them, and experiments aim at them."""

from dataclasses import dataclass

from localcloud.batch.store import BatchStore, ComputeEnvironment
from localcloud.instance import Lifecycle
from localcloud.launches import group_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingGroup:
    """One group, as DescribeAutoScalingGroups shows it."""

    name: str
    arn: str
    subnets: tuple[str, ...]
    launch_template: str
    is_spot: bool


def scaling_groups(store: BatchStore) -> list[ScalingGroup]:
    """The groups of one account and region; Fargate has none."""
    return [_group(store, environment) for environment in store.environments.values() if not environment.is_fargate]


def _group(store: BatchStore, environment: ComputeEnvironment) -> ScalingGroup:
    name, identity = group_of(environment), environment.document["uuid"]
    place = f"{store.region}:{store.account}"
    return ScalingGroup(
        name=name,
        arn=f"arn:aws:autoscaling:{place}:autoScalingGroup:{identity}:autoScalingGroupName/{name}",
        subnets=tuple(environment.resources["subnets"]),
        launch_template=f"Batch-lt-{identity}",
        is_spot=environment.lifecycle is Lifecycle.SPOT,
    )
