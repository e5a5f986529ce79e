"""Where workers run: the network, the machines, the queues."""

import json
import re

import pytest

from stacks.instance_types import parse_type
from tests.stacks.assembly import Assembly, Json, user_data

ENVIRONMENT = "AWS::Batch::ComputeEnvironment"
QUEUE = "AWS::Batch::JobQueue"


def environments(assembly: Assembly) -> dict[str, Json]:
    """Compute resources by type, SPOT and EC2."""
    found = [each["ComputeResources"] for each in assembly.properties(ENVIRONMENT)]
    return {each["Type"]: each for each in found}


def test_spot_and_on_demand_are_separate_environments_each_with_its_own_queue(assembly: Assembly) -> None:
    queues = assembly.properties(QUEUE)

    used = [
        [each["ComputeEnvironment"]["Fn::GetAtt"][0] for each in queue["ComputeEnvironmentOrder"]] for queue in queues
    ]
    assert sorted(len(each) for each in used) == [1, 1]
    assert {name for each in used for name in each} == set(assembly.resources(ENVIRONMENT))
    assert set(environments(assembly)) == {"SPOT", "EC2"}


def test_allocation_prefers_pools_that_are_deep_and_cheap(assembly: Assembly) -> None:
    found = environments(assembly)

    assert found["SPOT"]["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    assert found["EC2"]["AllocationStrategy"] == "BEST_FIT_PROGRESSIVE"


def test_no_bid_below_the_on_demand_price_invites_interruptions(assembly: Assembly) -> None:
    assert "BidPercentage" not in environments(assembly)["SPOT"]
    assert "SpotIamFleetRole" not in environments(assembly)["SPOT"]


@pytest.mark.parametrize("kind", ["SPOT", "EC2"])
def test_enough_types_families_and_generations_of_one_architecture(assembly: Assembly, kind: str) -> None:
    """Trap 3: CDK synthesises a mix of architectures; Batch refuses it."""
    names = environments(assembly)[kind]["InstanceTypes"]

    types = [parse_type(name) for name in names]  # fails on "optimal", which Batch adds unless told not to
    assert len(set(names)) >= 12
    assert len({each.family for each in types}) >= 3
    assert len({each.generation for each in types}) >= 2
    assert {each.architecture for each in types} == {"x86_64"}


@pytest.mark.parametrize("kind", ["SPOT", "EC2"])
def test_a_new_launch_template_version_reaches_the_environment(assembly: Assembly, kind: str) -> None:
    """Trap 4: $Default never moves."""
    template = environments(assembly)[kind]["LaunchTemplate"]

    (template_id,) = assembly.resources("AWS::EC2::LaunchTemplate")
    assert template == {
        "LaunchTemplateId": {"Ref": template_id},
        "Version": {"Fn::GetAtt": [template_id, "LatestVersionNumber"]},
    }


def test_user_data_is_mime_multipart_with_one_shell_script(assembly: Assembly) -> None:
    """Trap 5."""
    text = user_data(assembly)

    assert text.startswith("Content-Type: multipart/mixed; boundary=")
    assert "MIME-Version: 1.0" in text
    assert text.count("text/x-shellscript") == 1


def test_user_data_only_configures_the_ecs_agent(assembly: Assembly) -> None:
    """Traps 1, 5, 6 and 7: draining, a long stop timeout, room on the disk, nothing reserved, no daemon, no AWS CLI."""
    script = user_data(assembly).split("#!/bin/bash\n")[1].split("\n--")[0]

    assert script.splitlines() == [
        "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
        "echo ECS_CONTAINER_STOP_TIMEOUT=110s >> /etc/ecs/ecs.config",
        "echo ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=10m >> /etc/ecs/ecs.config",
    ]
    assert not re.search("ECS_CLUSTER|ECS_INSTANCE_ATTRIBUTES", script)


def test_containers_reach_instance_metadata_version_2_and_nothing_else_does(assembly: Assembly) -> None:
    options = assembly.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["MetadataOptions"]

    assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}


def test_the_disk_of_a_host_is_encrypted(assembly: Assembly) -> None:
    (device,) = assembly.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]

    assert device["DeviceName"] == "/dev/xvda"
    assert (device["Ebs"]["Encrypted"], device["Ebs"]["VolumeType"]) == (True, "gp3")


def test_instances_carry_tags_by_which_an_experiment_finds_them(assembly: Assembly, second: Assembly) -> None:
    """Trap 8: tags of the stack do not reach the instances, those of the compute resources do."""
    assert environments(assembly)["SPOT"]["Tags"] == {"Lifecycle": "spot", "Spotproof": "Spotproof"}
    assert environments(second)["EC2"]["Tags"] == {"Lifecycle": "on-demand", "Spotproof": "Trial"}


def test_the_machine_image_is_stated_because_its_default_moved(assembly: Assembly) -> None:
    for resources in environments(assembly).values():
        assert resources["Ec2Configuration"] == [{"ImageType": "ECS_AL2023"}]
        assert resources["UpdateToLatestImageVersion"] is True


def test_the_fleet_is_updated_in_place_and_waits_for_workers(assembly: Assembly) -> None:
    for properties in assembly.properties(ENVIRONMENT):
        assert properties["ReplaceComputeEnvironment"] is False
        assert "ServiceRole" not in properties  # or Batch could not update in place
        assert properties["UpdatePolicy"] == {"JobExecutionTimeoutMinutes": 120, "TerminateJobsOnUpdate": False}


def test_an_idle_fleet_costs_nothing(assembly: Assembly) -> None:
    assert {each["MinvCpus"] for each in environments(assembly).values()} == {0}
    for kind in ("AWS::EC2::NatGateway", "AWS::EC2::EIP"):
        assert not assembly.resources(kind)
    assert {each["VpcEndpointType"] for each in assembly.properties("AWS::EC2::VPCEndpoint")} == {"Gateway"}


def test_context_caps_the_fleets(assembly: Assembly, second: Assembly) -> None:
    assert [environments(each)["SPOT"]["MaxvCpus"] for each in (assembly, second)] == [256, 16]
    assert environments(assembly)["EC2"]["MaxvCpus"] == 64


def test_s3_and_dynamodb_are_reached_by_gateway_endpoints(assembly: Assembly) -> None:
    text = json.dumps([each["ServiceName"] for each in assembly.properties("AWS::EC2::VPCEndpoint")])

    assert ".s3" in text
    assert ".dynamodb" in text
    tables = set(assembly.resources("AWS::EC2::RouteTable"))
    for endpoint in assembly.properties("AWS::EC2::VPCEndpoint"):
        assert {each["Ref"] for each in endpoint["RouteTableIds"]} == tables


def test_nothing_can_connect_to_a_worker(assembly: Assembly) -> None:
    group = assembly.only("AWS::EC2::SecurityGroup")

    assert "SecurityGroupIngress" not in group
    assert not assembly.resources("AWS::EC2::SecurityGroupIngress")
    (group_id,) = assembly.resources("AWS::EC2::SecurityGroup")
    for resources in environments(assembly).values():
        assert resources["SecurityGroupIds"] == [{"Fn::GetAtt": [group_id, "GroupId"]}]


def test_hosts_get_public_addresses_in_as_many_zones_as_wanted(assembly: Assembly, second: Assembly) -> None:
    for app, zones in ((assembly, 3), (second, 2)):
        subnets = app.properties("AWS::EC2::Subnet")
        assert {each["MapPublicIpOnLaunch"] for each in subnets} == {True}
        assert [each["AvailabilityZone"] for each in subnets] == [
            {"Fn::Select": [index, {"Fn::GetAZs": ""}]} for index in range(zones)
        ]
        assert len(environments(app)["SPOT"]["Subnets"]) == zones


@pytest.mark.parametrize("index", [0, 1])
def test_only_jobs_that_can_never_run_are_cancelled(assembly: Assembly, index: int) -> None:
    """A worker that waits for capacity stays: the controller adds on-demand workers beside it."""
    actions = assembly.properties(QUEUE)[index]["JobStateTimeLimitActions"]

    assert {each["Reason"] for each in actions} == {
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    }
    assert {(each["Action"], each["State"]) for each in actions} == {("CANCEL", "RUNNABLE")}
    assert all(600 <= each["MaxTimeSeconds"] <= 86_400 for each in actions)
