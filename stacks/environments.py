"""Compute environments: where the workers of one family run, on Spot or on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import CfnResource, Duration, Tags
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from spotproof import contract
from stacks.families import Family

UPDATE_TIMEOUT = Duration.hours(2)  # an update of the fleet waits this long for running workers

Environment = batch.ManagedEc2EcsComputeEnvironment | batch.FargateComputeEnvironment


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an environment's hosts or tasks are."""

    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection
    security_group: ec2.ISecurityGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What an environment may run."""

    family: Family
    spot: bool
    vcpus_max: int
    vcpus_min: int = 0
    types: Sequence[str] = ()  # empty on Fargate

    @property
    def construct_id(self) -> str:
        return f"{self.family.label}{'Spot' if self.spot else 'OnDemand'}"


def fargate_environment(scope: Construct, capacity: Capacity, place: Place) -> batch.FargateComputeEnvironment:
    """Of Fargate: no hosts of ours, so neither template, types nor tags of instances."""
    environment = batch.FargateComputeEnvironment(
        scope,
        capacity.construct_id,
        vpc=place.vpc,
        vpc_subnets=place.subnets,
        security_groups=[place.security_group],
        spot=capacity.spot,
        maxv_cpus=capacity.vcpus_max,
        replace_compute_environment=False,
    )
    # Without hosts there are none to update, and Batch refuses a policy for it.
    cast("CfnResource", environment.node.default_child).add_property_deletion_override("UpdatePolicy")
    return environment


def host_environment(
    scope: Construct,
    capacity: Capacity,
    place: Place,
    *,
    template: ec2.LaunchTemplate,
    role: iam.IRole,
    deployment: str,
) -> batch.ManagedEc2EcsComputeEnvironment:
    """Of EC2 instances, launched by Batch with the template and the role; `deployment` tags them."""
    strategies, images = batch.AllocationStrategy, batch.EcsMachineImageType
    environment = batch.ManagedEc2EcsComputeEnvironment(
        scope,
        capacity.construct_id,
        vpc=place.vpc,
        vpc_subnets=place.subnets,
        security_groups=[place.security_group],
        spot=capacity.spot,
        allocation_strategy=(
            strategies.SPOT_PRICE_CAPACITY_OPTIMIZED if capacity.spot else strategies.BEST_FIT_PROGRESSIVE
        ),
        minv_cpus=capacity.vcpus_min,
        maxv_cpus=capacity.vcpus_max,
        instance_types=[ec2.InstanceType(name) for name in capacity.types],
        use_optimal_instance_classes=False,  # or Batch adds types of its own to the list
        images=[
            batch.EcsMachineImage(
                image_type=images.ECS_AL2023_NVIDIA if capacity.family.has_gpus else images.ECS_AL2023
            )
        ],
        launch_template=template,
        instance_role=role,
        replace_compute_environment=False,
        terminate_on_update=False,
        update_timeout=UPDATE_TIMEOUT,
        update_to_latest_image_version=True,
    )
    # Batch reads $Default once and never again; a version that moves makes it update the fleet.
    cast("CfnResource", environment.node.default_child).add_property_override(
        "ComputeResources.LaunchTemplate.Version", template.latest_version_number
    )
    # Tags on the environment reach the instances; tags of the stack do not.
    lifecycle = contract.LIFECYCLE_SPOT if capacity.spot else contract.LIFECYCLE_ON_DEMAND
    Tags.of(environment).add(contract.TAG_LIFECYCLE, lifecycle)
    Tags.of(environment).add(contract.TAG_DEPLOYMENT, deployment)
    return environment
