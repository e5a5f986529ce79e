"""The network of hosts: public without standing cost, private without a way out, or one that is there already."""

from aws_cdk import Annotations, Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.log_groups import log_group
from stacks.permissions import allow
from stacks.roles import service_role
from stacks.settings import DeploySettings

SUBNET_MASK = 20  # of a range of 65,536 addresses: room for 16 subnets of 4,091 hosts

# What hosts call from where there is no way out; S3 and DynamoDB have gateways of their own, which cost nothing.
_SERVICES = ec2.InterfaceVpcEndpointAwsService
HOST_ENDPOINTS = {
    "Ecs": _SERVICES.ECS,
    "EcsAgent": _SERVICES.ECS_AGENT,
    "EcsTelemetry": _SERVICES.ECS_TELEMETRY,
    "EcrApi": _SERVICES.ECR,
    "EcrDocker": _SERVICES.ECR_DOCKER,
    "Logs": _SERVICES.CLOUDWATCH_LOGS,
    "Events": _SERVICES.EVENTBRIDGE,
    "Ec2": _SERVICES.EC2,
}
# And what the functions call besides, where they are in the network too.
FUNCTION_ENDPOINTS = {"Batch": _SERVICES.BATCH, "AutoScaling": _SERVICES.AUTOSCALING}


class Network(Construct):
    """A network and the subnets to use. One that is given is taken as it is: nothing is looked up or added."""

    def __init__(self, scope: Construct, *, settings: DeploySettings, key: kms.IKey | None) -> None:
        """`key`: of the log of flows; without one CloudWatch Logs has its own."""
        super().__init__(scope, "Network")
        match settings.network_kind:
            case "existing":
                self.vpc, self.subnets = self._existing(settings)
                return
            case "private":
                vpc, kind = self._private(settings), ec2.SubnetType.PRIVATE_ISOLATED
                self._interface_endpoints(vpc, settings)
            case "public":
                vpc, kind = self._vpc(settings, ec2.SubnetType.PUBLIC, name="Public"), ec2.SubnetType.PUBLIC
        self.vpc, self.subnets = vpc, ec2.SubnetSelection(subnet_type=kind)
        self._flow_log(vpc, days=settings.log_retention_days, key=key)

    def _existing(self, settings: DeploySettings) -> tuple[ec2.IVpc, ec2.SubnetSelection]:
        zones = list(dict.fromkeys(settings.vpc_zones))
        vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=settings.vpc_id, availability_zones=zones)
        subnets = [
            ec2.Subnet.from_subnet_attributes(self, f"Subnet{index}", subnet_id=subnet, availability_zone=zone)
            for index, (subnet, zone) in enumerate(zip(settings.subnet_ids, settings.vpc_zones, strict=True))
        ]
        for subnet in subnets:  # the CDK warns that it knows no route table; nothing here asks for one
            Annotations.of(subnet).acknowledge_warning("@aws-cdk/aws-ec2:noSubnetRouteTableId")
        return vpc, ec2.SubnetSelection(subnets=subnets)

    def _private(self, settings: DeploySettings) -> ec2.Vpc:
        return self._vpc(settings, ec2.SubnetType.PRIVATE_ISOLATED, name="Private")

    def _vpc(self, settings: DeploySettings, kind: ec2.SubnetType, *, name: str) -> ec2.Vpc:
        """No NAT to pay for, S3 and DynamoDB through free gateway endpoints.

        The zones are expressions that CloudFormation fills in: CDK would otherwise look them up with credentials, or
        settle for two.
        """
        public = kind == ec2.SubnetType.PUBLIC
        gateways = ec2.GatewayVpcEndpointAwsService
        return ec2.Vpc(
            self,
            "Default",  # keeps the logical ids that it would have without this construct around it
            ip_addresses=ec2.IpAddresses.cidr(settings.vpc_cidr),
            availability_zones=[Fn.select(index, Fn.get_azs()) for index in range(settings.zones)],
            nat_gateways=0,
            restrict_default_security_group=False,  # would add a custom resource; nothing uses that group
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name=name, subnet_type=kind, map_public_ip_on_launch=public or None, cidr_mask=SUBNET_MASK
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=gateways.S3),
                "DynamoDB": ec2.GatewayVpcEndpointOptions(service=gateways.DYNAMODB),
            },
        )

    def _interface_endpoints(self, vpc: ec2.Vpc, settings: DeploySettings) -> None:
        """In every zone: without, a host would stop when the zone with the endpoint does."""
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=vpc,
            description="Spotproof endpoints: HTTPS from the network",
            allow_all_outbound=False,
        )
        group.add_ingress_rule(ec2.Peer.ipv4(settings.vpc_cidr), ec2.Port.HTTPS, "HTTPS from the network")
        services = {**HOST_ENDPOINTS, **(FUNCTION_ENDPOINTS if settings.strict else {})}
        for name, service in services.items():
            vpc.add_interface_endpoint(name, service=service, security_groups=[group], open=False)

    def _flow_log(self, vpc: ec2.Vpc, *, days: int, key: kms.IKey | None) -> None:
        """Who spoke with whom. Costs nothing while there are no hosts."""
        group = log_group(self, "Flows", days=days, key=key)
        role = service_role(
            self,
            "FlowLogRole",
            service="vpc-flow-logs.amazonaws.com",
            description="How VPC writes the flow log of Spotproof's network",
            statements=[
                allow(["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], [group.log_group_arn])
            ],
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
        ec2.FlowLog(
            self,
            "FlowLog",
            resource_type=ec2.FlowLogResourceType.from_vpc(vpc),
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )
