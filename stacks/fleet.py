"""The machines: network, launch template and the two compute environments with a queue each."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import CfnResource, Duration, Fn, Tags
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from spotproof import contract
from stacks.instance_types import InstanceType
from stacks.settings import DeploySettings

ROOT_DEVICE = "/dev/xvda"  # of the ECS-optimized Amazon Linux 2023 image
ROOT_GIB = 50  # image, containers, scratch of all workers on the host
UPDATE_TIMEOUT = Duration.hours(2)  # an update of the fleet waits this long for running workers
STUCK_AFTER = Duration.minutes(10)

# A notice drains the host, so no new worker lands on a dying machine; and a stopped worker has nearly the whole
# two minutes to save (ECS agent, environment variables of the container agent).
AGENT_CONFIG = ("ECS_ENABLE_SPOT_INSTANCE_DRAINING=true", "ECS_CONTAINER_STOP_TIMEOUT=110s")


class Fleet(Construct):
    """Spot and on-demand: separate environments and queues, because who falls back is our decision, not Batch's."""

    def __init__(self, scope: Construct, *, settings: DeploySettings, types: Sequence[InstanceType]) -> None:
        super().__init__(scope, "Fleet")
        self._prefix = settings.prefix
        self._types = [ec2.InstanceType(each.name) for each in types]
        self.vpc = self._network(zones=settings.zones)
        self._security_group = ec2.SecurityGroup(
            self, "Workers", vpc=self.vpc, description="Spotproof workers: nothing comes in"
        )
        self._template = self._launch_template()
        self.spot_queue = self._queue("Spot", vcpus_max=settings.spot_vcpus_max)
        self.on_demand_queue = self._queue("OnDemand", vcpus_max=settings.on_demand_vcpus_max)

    def _network(self, *, zones: int) -> ec2.Vpc:
        """Public subnets only: no NAT to pay for, S3 and DynamoDB through free gateway endpoints.

        The zones are expressions that CloudFormation fills in: CDK would otherwise look them up with credentials, or
        settle for two.
        """
        return ec2.Vpc(
            self,
            "Network",
            availability_zones=[Fn.select(index, Fn.get_azs()) for index in range(zones)],
            nat_gateways=0,
            restrict_default_security_group=False,  # would add a custom resource; nothing uses that group
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=True, cidr_mask=20
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDB": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )

    def _launch_template(self) -> ec2.LaunchTemplate:
        """User data must be MIME multipart for Batch; two hops, or a container's token request to IMDS hangs."""
        script = ec2.UserData.for_linux()
        script.add_commands(*(f"echo {line} >> /etc/ecs/ecs.config" for line in AGENT_CONFIG))
        user_data = ec2.MultipartUserData()
        user_data.add_part(ec2.MultipartBody.from_user_data(script))
        volume = ec2.BlockDeviceVolume.ebs(ROOT_GIB, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3)
        return ec2.LaunchTemplate(
            self,
            "Host",
            user_data=user_data,
            http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
            http_put_response_hop_limit=2,
            block_devices=[ec2.BlockDevice(device_name=ROOT_DEVICE, volume=volume)],
        )

    def _queue(self, capacity: str, *, vcpus_max: int) -> batch.JobQueue:
        environment = self._environment(capacity, spot=capacity == "Spot", vcpus_max=vcpus_max)
        reasons = batch.JobStateTimeLimitActionsReason
        return batch.JobQueue(
            self,
            f"{capacity}Queue",
            priority=10,
            compute_environments=[batch.OrderedComputeEnvironment(compute_environment=environment, order=1)],
            # A job that can never fit is cancelled. One that waits for capacity is not: the controller helps it out.
            job_state_time_limit_actions=[
                batch.JobStateTimeLimitAction(max_time=STUCK_AFTER, reason=reason)
                for reason in (reasons.JOB_RESOURCE_REQUIREMENT, reasons.COMPUTE_ENVIRONMENT_MAX_RESOURCE)
            ],
        )

    def _environment(self, capacity: str, *, spot: bool, vcpus_max: int) -> batch.ManagedEc2EcsComputeEnvironment:
        strategies = batch.AllocationStrategy
        environment = batch.ManagedEc2EcsComputeEnvironment(
            self,
            capacity,
            vpc=self.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            security_groups=[self._security_group],
            spot=spot,
            allocation_strategy=strategies.SPOT_PRICE_CAPACITY_OPTIMIZED if spot else strategies.BEST_FIT_PROGRESSIVE,
            minv_cpus=0,
            maxv_cpus=vcpus_max,
            instance_types=self._types,
            use_optimal_instance_classes=False,  # or Batch adds types of its own to the list
            images=[batch.EcsMachineImage(image_type=batch.EcsMachineImageType.ECS_AL2023)],
            launch_template=self._template,
            replace_compute_environment=False,
            terminate_on_update=False,
            update_timeout=UPDATE_TIMEOUT,
            update_to_latest_image_version=True,
        )
        # Batch reads $Default once and never again; a version that moves makes it update the fleet.
        cast("CfnResource", environment.node.default_child).add_property_override(
            "ComputeResources.LaunchTemplate.Version", self._template.latest_version_number
        )
        # Tags on the environment reach the instances; tags of the stack do not.
        lifecycle = contract.LIFECYCLE_SPOT if spot else contract.LIFECYCLE_ON_DEMAND
        Tags.of(environment).add(contract.TAG_LIFECYCLE, lifecycle)
        Tags.of(environment).add(contract.TAG_DEPLOYMENT, self._prefix)
        return environment
