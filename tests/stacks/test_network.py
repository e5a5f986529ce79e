"""Networks: the public one costs nothing idle, the private one has no way out, and one that is there stays as it is."""

import pytest

import app as spotproof_app
from tests.stacks.assembly import MANAGED_POLICY, Assembly, as_list, synthesise

# Reached otherwise: by gateways, or by the services themselves (Lambda's logs, traces and failure destinations; keys
# are only used through the services that keep data under them).
NOT_BY_ENDPOINT = {"s3", "dynamodb", "xray", "sqs", "kms"}
# IAM's name of a service, and the last part of its endpoint's, where they differ.
ENDPOINTS = {"ecr": {"ecr.api", "ecr.dkr"}, "ecs": {"ecs", "ecs-agent", "ecs-telemetry"}}


@pytest.fixture(scope="module")
def existing(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(
        tmp_path_factory.mktemp("existing"),
        vpc_id="vpc-0123456789abcdef0",
        subnet_ids="subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        vpc_zones="eu-west-1a,eu-west-1b",
    )


def endpoint_services(assembly: Assembly) -> set[str]:
    """Services that have an interface endpoint, as in `com.amazonaws.<region>.<service>`."""
    endpoints = assembly.properties("AWS::EC2::VPCEndpoint")
    joined = [each["ServiceName"]["Fn::Join"][1] for each in endpoints if each["VpcEndpointType"] == "Interface"]
    assert all(parts[:2] == ["com.amazonaws.", {"Ref": "AWS::Region"}] for parts in joined)
    return {parts[2].removeprefix(".") for parts in joined}


def test_the_default_network_has_nothing_that_is_paid_for_idle(assembly: Assembly) -> None:
    assert {each["VpcEndpointType"] for each in assembly.properties("AWS::EC2::VPCEndpoint")} == {"Gateway"}
    for kind in ("AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::KMS::Key"):
        assert not assembly.resources(kind)


def test_a_private_network_has_no_way_out(strict: Assembly) -> None:
    for kind in (
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
        "AWS::EC2::Route",
        "AWS::EC2::VPCGatewayAttachment",
    ):
        assert not strict.resources(kind)
    assert {each["MapPublicIpOnLaunch"] for each in strict.properties("AWS::EC2::Subnet")} == {False}


def test_every_service_that_a_role_may_call_can_be_reached_from_the_private_network(strict: Assembly) -> None:
    allowed = {
        action.partition(":")[0]
        for suffix in ("Compute", "Events")
        for resource in strict.template(suffix)["Resources"].values()
        if resource["Type"] == MANAGED_POLICY
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }
    needed = {name for service in allowed - NOT_BY_ENDPOINT for name in ENDPOINTS.get(service, {service})}

    assert endpoint_services(strict) == needed


def test_endpoints_take_https_from_the_network_only_and_are_in_every_zone(strict: Assembly) -> None:
    (group,) = [
        each for each in strict.properties("AWS::EC2::SecurityGroup") if each.get("SecurityGroupIngress") is not None
    ]
    (rule,) = group["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("10.0.0.0/16", "tcp", 443, 443)
    for each in strict.properties("AWS::EC2::VPCEndpoint"):
        if each["VpcEndpointType"] == "Interface":
            assert len(each["SubnetIds"]) == 3
            assert each["PrivateDnsEnabled"] is True


@pytest.mark.parametrize("profile", ["assembly", "strict"])
def test_nothing_is_in_the_default_security_group(profile: str, request: pytest.FixtureRequest) -> None:
    app: Assembly = request.getfixturevalue(profile)

    for environment in app.properties("AWS::Batch::ComputeEnvironment"):
        assert environment["ComputeResources"]["SecurityGroupIds"]
    for function in app.properties("AWS::Lambda::Function"):
        assert "VpcConfig" not in function or function["VpcConfig"]["SecurityGroupIds"]
    for endpoint in app.properties("AWS::EC2::VPCEndpoint"):
        assert endpoint["VpcEndpointType"] == "Gateway" or endpoint["SecurityGroupIds"]


@pytest.mark.parametrize("profile", ["assembly", "strict"])
def test_a_network_of_ours_logs_all_flows(profile: str, request: pytest.FixtureRequest) -> None:
    app: Assembly = request.getfixturevalue(profile)

    flow_log, (network,) = app.only("AWS::EC2::FlowLog"), app.resources("AWS::EC2::VPC")
    assert (flow_log["ResourceId"], flow_log["TrafficType"]) == ({"Ref": network}, "ALL")
    group = app.resources("AWS::Logs::LogGroup")[flow_log["LogGroupName"]["Ref"]]["Properties"]
    assert group["RetentionInDays"] == 30


def test_an_existing_network_is_used_as_it_is(existing: Assembly) -> None:
    for environment in existing.properties("AWS::Batch::ComputeEnvironment"):
        subnets = environment["ComputeResources"]["Subnets"]
        assert subnets == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    kinds = {resource["Type"] for resource in existing.template("Compute")["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::EC2::")} == {
        "AWS::EC2::LaunchTemplate",
        "AWS::EC2::SecurityGroup",
    }
    assert existing.only("AWS::EC2::SecurityGroup")["VpcId"] == "vpc-0123456789abcdef0"
    assert "missing" not in existing.manifest
    assert "aws:cdk:warning" not in (existing.directory / "Spotproof-Compute.metadata.json").read_text()


def test_functions_are_in_the_network_and_their_code_may_not_touch_it(strict: Assembly) -> None:
    functions = strict.properties("AWS::Lambda::Function")
    assert all(len(each["VpcConfig"]["SubnetIds"]) == 3 for each in functions)

    policies = [
        resource["Properties"]["PolicyDocument"]["Statement"]
        for resource in strict.template("Events")["Resources"].values()
        if resource["Type"] == MANAGED_POLICY
    ]
    assert len(policies) == len(functions)
    for statements in policies:
        allowed = {a for s in statements if s["Effect"] == "Allow" for a in as_list(s["Action"])}
        (denied,) = (s for s in statements if s["Effect"] == "Deny")
        assert {each for each in allowed if "NetworkInterface" in each or "IpAddresses" in each} <= set(
            denied["Action"]
        )
        assert list(denied["Condition"]["ArnLike"]) == ["lambda:SourceFunctionArn"]


def test_zones_of_another_region_than_the_cdk_deploys_to_stop_the_synthesis(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {"vpc_id": "vpc-12345678", "subnet_ids": "subnet-12345678", "vpc_zones": "eu-west-1a"}
    flags = {**spotproof_app.cdk_flags(), **network}
    monkeypatch.setattr(spotproof_app, "cdk_flags", lambda: flags)
    monkeypatch.setenv("CDK_DEFAULT_REGION", "us-east-1")

    assert spotproof_app.main() == 3
    assert capsys.readouterr().err == (
        "spotproof: context value vpc_zones must be zones of us-east-1, the region of this deployment, "
        "got 'eu-west-1a'\n"
    )
