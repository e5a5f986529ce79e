"""Families of hosts besides the usual one: Graviton, GPUs, Fargate Spot; and queues that are shared."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

import app as spotproof_app
from lambdas.queue_pairs import parse_further
from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.compliance import RulePacks
from stacks.compute import check_jobs
from stacks.families import FAMILIES
from stacks.images import repository_arn
from stacks.instance_types import DEFAULT_TYPES, parse_type
from stacks.job_definitions import retry_rules
from stacks.jobs import JOBS, JobSpec
from stacks.settings import DeploySettings
from tests.stacks.assembly import PYTHON, Assembly, Json, synthesise, tiny_bundles
from tools.guard.assembly import Assembly as GuardedAssembly
from tools.guard.rules import findings

MODULE = JOBS[0].module
ROWS = (
    *JOBS,
    JobSpec(name="arm", module=MODULE, family="graviton"),
    JobSpec(name="cuda", module=MODULE, family="gpu", gpus=1, vcpus=4, memory_mib=8000),
    JobSpec(name="serverless", module=MODULE, family="fargate", vcpus=2, memory_mib=4096),
)
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker"
QUEUES = (
    "Spot",
    "OnDemand",
    "GravitonSpot",
    "GravitonOnDemand",
    "GpuSpot",
    "GpuOnDemand",
    "FargateSpot",
    "FargateOnDemand",
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A deployment with every family, shared queues, and chosen sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spotproof_app, "JOBS", ROWS)
        return synthesise(
            tmp_path_factory.mktemp("everything"),
            families="x86_64,graviton,gpu,fargate",
            fair_shares="nightly=1,research=0.5",
            fair_share_reserve="20",
            worker_image_gpu=IMAGE,
            spot_vcpus_min="4",
            gpu_spot_vcpus_max="96",
            fargate_on_demand_vcpus_max="32",
            disk_gib="120",
            tags="team=delays",
        )


def named(assembly: Assembly, kind: str, name: str, *, ends: str = "") -> Json:
    """Properties of the resource of the fleet that has this construct id."""
    (found,) = (
        resource["Properties"]
        for logical_id, resource in assembly.resources(kind).items()
        if logical_id.startswith(f"Fleet{name}{ends}") and len(logical_id) == len(f"Fleet{name}{ends}") + 8
    )
    properties: Json = found
    return properties


def environment(assembly: Assembly, name: str) -> Json:
    return named(assembly, "AWS::Batch::ComputeEnvironment", name)


def definition(assembly: Assembly, job: str) -> Json:
    (found,) = (
        each
        for each in assembly.properties("AWS::Batch::JobDefinition")
        if each["JobDefinitionName"] == f"spotproof-{job}"
    )
    return found


def container(assembly: Assembly, job: str) -> Json:
    properties: Json = definition(assembly, job)["ContainerProperties"]
    return properties


def variables(assembly: Assembly, job: str) -> Json:
    return {each["Name"]: each["Value"] for each in container(assembly, job)["Environment"]}


def test_every_family_has_a_spot_and_an_on_demand_queue_of_its_own(everything: Assembly) -> None:
    assert len(everything.resources("AWS::Batch::JobQueue")) == len(QUEUES)
    for name in QUEUES:
        (order,) = named(everything, "AWS::Batch::JobQueue", name, ends="SharedQueue")["ComputeEnvironmentOrder"]
        assert order["ComputeEnvironment"]["Fn::GetAtt"][0].startswith(f"Fleet{name}")


@pytest.mark.parametrize(
    ("family", "architecture", "image"),
    [("", "x86_64", "ECS_AL2023"), ("Graviton", "arm64", "ECS_AL2023"), ("Gpu", "x86_64", "ECS_AL2023_NVIDIA")],
)
def test_hosts_of_a_family_are_alike_where_they_must_be(
    everything: Assembly, family: str, architecture: str, image: str
) -> None:
    for capacity in ("Spot", "OnDemand"):
        resources = environment(everything, family + capacity)["ComputeResources"]
        types = [parse_type(name) for name in resources["InstanceTypes"]]
        assert {each.architecture for each in types} == {architecture}
        assert len({each.name for each in types}) >= 10
        assert len({each.family for each in types}) >= 3
        assert {each.gpus for each in types} == ({1} if family == "Gpu" else {0})
        assert resources["Ec2Configuration"] == [{"ImageType": image}]
        assert resources["Tags"]["Lifecycle"] == ("spot" if capacity == "Spot" else "on-demand")


def test_fargate_environments_have_only_what_batch_takes_there(everything: Assembly) -> None:
    """CreateComputeEnvironment: tags, types, roles, templates and update policies are refused for Fargate."""
    kinds = [environment(everything, name)["ComputeResources"]["Type"] for name in ("FargateSpot", "FargateOnDemand")]

    assert kinds == ["FARGATE_SPOT", "FARGATE"]
    for name in ("FargateSpot", "FargateOnDemand"):
        found = environment(everything, name)
        assert set(found["ComputeResources"]) == {"MaxvCpus", "SecurityGroupIds", "Subnets", "Type"}
        assert "UpdatePolicy" not in found


def test_each_environment_has_the_limits_that_were_chosen_for_it(everything: Assembly) -> None:
    found = {name: environment(everything, name)["ComputeResources"] for name in QUEUES}

    assert {name: each["MaxvCpus"] for name, each in found.items()} == {
        "Spot": 256,
        "OnDemand": 64,
        "GravitonSpot": 256,
        "GravitonOnDemand": 64,
        "GpuSpot": 96,
        "GpuOnDemand": 16,
        "FargateSpot": 256,
        "FargateOnDemand": 32,
    }
    assert [found[name]["MinvCpus"] for name in ("Spot", "OnDemand", "GpuSpot")] == [4, 0, 0]
    (device,) = everything.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]
    assert device["Ebs"]["VolumeSize"] == 120


def test_a_job_of_graviton_gets_wheels_and_image_of_its_architecture(everything: Assembly) -> None:
    usual, arm = (variables(everything, job)[contract.ENV_CODE_URI] for job in (JOBS[0].name, "arm"))

    assert usual != arm
    assert container(everything, "arm")["Image"] == f"public.ecr.aws/docker/library/python:{PYTHON}-slim"


def test_a_job_of_gpu_asks_for_its_gpus_and_for_their_driver(everything: Assembly) -> None:
    needs = {each["Type"]: each["Value"] for each in container(everything, "cuda")["ResourceRequirements"]}

    assert needs == {"VCPU": "4", "MEMORY": "8000", "GPU": "1"}
    assert variables(everything, "cuda")["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert container(everything, "cuda")["Image"] == IMAGE


def test_a_job_of_fargate_is_defined_for_it(everything: Assembly) -> None:
    found = container(everything, "serverless")

    assert definition(everything, "serverless")["PlatformCapabilities"] == ["FARGATE"]
    assert found["NetworkConfiguration"] == {"AssignPublicIp": "ENABLED"}
    assert found["User"] == "65534:65534"
    assert "ExecutionRoleArn" in found
    assert found["LinuxParameters"] == {"InitProcessEnabled": True}  # the others are refused on Fargate
    assert "Volumes" not in found  # they would belong to root
    spot_queue = json.dumps(variables(everything, "serverless")[contract.ENV_FARGATE_SPOT_QUEUE])
    assert "FleetFargateSpotSharedQueue" in spot_queue


def test_workers_on_hosts_can_write_their_scratch_and_nothing_else(everything: Assembly) -> None:
    for job in (JOBS[0].name, "arm", "cuda"):
        found = container(everything, job)
        assert found["ReadonlyRootFilesystem"] is True
        assert found["Volumes"] == [{"Name": "scratch", "Host": {}}]
        (mount,) = found["MountPoints"]
        assert (mount["ContainerPath"], mount["SourceVolume"]) == ("/tmp", "scratch")
        assert not mount.get("ReadOnly")
        assert variables(everything, job)["HOME"] == "/tmp"


@pytest.mark.parametrize(("job", "first"), [(JOBS[0].name, "Host EC2*"), ("serverless", "Your Spot Task*")])
def test_a_reclaim_is_told_by_each_kind_of_host_in_its_own_words(everything: Assembly, job: str, first: str) -> None:
    rules = definition(everything, job)["RetryStrategy"]["EvaluateOnExit"]

    assert {"Action": "RETRY", "OnStatusReason": first} in rules
    assert rules[-1] == {"Action": "EXIT", "OnReason": "*"}
    assert len(rules) <= 5


def test_every_family_has_rules_that_batch_takes() -> None:
    for family in FAMILIES.values():
        assert len(retry_rules(family)) == 5


def test_shares_divide_every_queue(everything: Assembly) -> None:
    policy = everything.only("AWS::Batch::SchedulingPolicy")["FairsharePolicy"]

    assert policy == {
        "ComputeReservation": 20,
        "ShareDecaySeconds": 3600,
        "ShareDistribution": [
            {"ShareIdentifier": "nightly", "WeightFactor": 1},
            {"ShareIdentifier": "research", "WeightFactor": 0.5},
        ],
    }
    for name in QUEUES:
        queue = named(everything, "AWS::Batch::JobQueue", name, ends="SharedQueue")
        assert queue["SchedulingPolicyArn"]["Fn::GetAtt"][0].startswith("FleetShares")


def test_without_shares_first_come_is_first_served(assembly: Assembly) -> None:
    """A queue that began so can't be shared later: sharing makes another one, with another id."""
    assert not assembly.resources("AWS::Batch::SchedulingPolicy")
    for name, queue in assembly.resources("AWS::Batch::JobQueue").items():
        assert "SchedulingPolicyArn" not in queue["Properties"]
        assert "Shared" not in name


def test_the_outputs_tell_what_the_command_needs(everything: Assembly, assembly: Assembly) -> None:
    found = everything.outputs("Compute")

    assert found[contract.OUTPUT_JOB_FAMILIES]["Value"] == "arm=graviton,cuda=gpu,serverless=fargate"
    assert found[contract.OUTPUT_SHARES]["Value"] == "nightly,research"
    queues = json.dumps(found[contract.OUTPUT_FAMILY_QUEUES]["Value"])
    for name in QUEUES[2:]:
        assert f"Fleet{name}SharedQueue" in queues
    assert not {contract.OUTPUT_JOB_FAMILIES, contract.OUTPUT_SHARES, contract.OUTPUT_FAMILY_QUEUES} & set(
        assembly.outputs("Compute")
    )


def resolved(value: Any) -> str:
    """Text of an expression; what is filled in at deployment is a name of its own."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(resolved(part) for part in value["Fn::Join"][1])
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def test_functions_are_told_the_queues_and_the_memory_of_every_further_family(
    everything: Assembly, assembly: Assembly
) -> None:
    for function in everything.properties("AWS::Lambda::Function"):
        text = resolved(function["Environment"]["Variables"][contract.ENV_FAMILY_QUEUES])
        assert [(pair.family, pair.memory_mib_max) for pair in parse_further(text)] == [
            ("graviton", 30_340),
            ("gpu", 121_362),
            ("fargate", 16_384),
        ]
    for function in assembly.properties("AWS::Lambda::Function"):
        assert contract.ENV_FAMILY_QUEUES not in function["Environment"]["Variables"]


def test_functions_hear_of_the_jobs_of_every_queue(everything: Assembly) -> None:
    rules = [
        each["EventPattern"]["detail"]["jobQueue"]
        for each in everything.properties("AWS::Events::Rule")
        if "jobQueue" in each.get("EventPattern", {}).get("detail", {})
    ]

    assert rules
    assert {len(queues) for queues in rules} == {len(QUEUES)}


def test_queues_go_before_what_their_workers_need_to_save(assembly: Assembly) -> None:
    for queue in assembly.resources("AWS::Batch::JobQueue").values():
        needed = " ".join(queue["DependsOn"])
        assert "JobRole" in needed
        assert "WorkerLogs" in needed
        assert "FleetNetwork" in needed


def test_a_deployment_may_be_of_one_other_family(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spotproof_app, "JOBS", ROWS[3:])
        found = synthesise(tmp_path_factory.mktemp("serverless"), families="fargate", worker_image=f"{IMAGE}:7")

    assert not found.resources("AWS::EC2::LaunchTemplate")
    assert {each["ComputeResources"]["Type"] for each in found.properties("AWS::Batch::ComputeEnvironment")} == {
        "FARGATE",
        "FARGATE_SPOT",
    }
    assert "FleetFargateSpotQueue" in json.dumps(found.outputs("Compute")[contract.OUTPUT_SPOT_QUEUE])
    assert container(found, "serverless")["Image"] == f"{IMAGE}:7"


def test_a_declared_job_of_a_family_that_is_not_deployed_stops_the_synthesis(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with pytest.raises(ConfigurationError, match=r"job 'flight-delays' .* deploy it with -c families=gpu,x86_64"):
        synthesise(tmp_path_factory.mktemp("refused"), families="gpu")


@pytest.mark.parametrize(
    ("rows", "context", "message"),
    [
        (JobSpec(name="wide", module=MODULE, vcpus=2), {"spot_vcpus_max": "1"}, "spot_vcpus_max must be at least 2"),
        (
            JobSpec(name="small", module=MODULE, family="fargate", vcpus=4, memory_mib=8192),
            {"families": "fargate", "fargate_on_demand_vcpus_max": "3"},
            "fargate_on_demand_vcpus_max must be at least 4, which a worker of job 'small' needs, got 3",
        ),
    ],
)
def test_an_environment_that_may_not_start_one_worker_stops_the_synthesis(
    rows: JobSpec, context: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_jobs(DeploySettings.from_context(context), [rows], root=spotproof_app.ROOT)


@pytest.mark.parametrize("types", [DEFAULT_TYPES[:1], ("m5.huge",)])
def test_wrong_types_are_told_before_anything_is_installed(
    types: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[object] = []
    flags = {**spotproof_app.cdk_flags(), "instance_types": ",".join(types)}
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "out"))
    monkeypatch.setattr(spotproof_app, "cdk_flags", lambda: flags)
    monkeypatch.setattr(spotproof_app, "build_bundles", lambda *_, **__: built.append(1))

    assert spotproof_app.main() == 3
    assert capsys.readouterr().err.startswith("spotproof: context value instance_types")
    assert not built


@pytest.mark.parametrize(
    ("image", "arn"),
    [
        (f"{IMAGE}:1", "arn:aws:ecr:eu-west-1:123456789012:repository/team/worker"),
        (f"{IMAGE}@sha256:{'0' * 64}", "arn:aws:ecr:eu-west-1:123456789012:repository/team/worker"),
        (IMAGE, "arn:aws:ecr:eu-west-1:123456789012:repository/team/worker"),
        ("public.ecr.aws/docker/library/python:3.12-slim", None),
        ("registry.example/worker:1", None),
    ],
)
def test_a_private_image_is_pulled_from_its_own_repository(image: str, arn: str | None) -> None:
    assert repository_arn(image, partition="aws") == arn


def test_every_family_passes_the_rule_packs_and_our_own_rules(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spotproof_app, "JOBS", ROWS)
        app = App(
            outdir=str(tmp_path / "out"),
            context={**spotproof_app.cdk_flags(), "families": ",".join(FAMILIES), "fair_shares": "nightly=1"},
            analytics_reporting=False,
        )
        settings = DeploySettings.from_context(app.node.get_all_context())
        spotproof_app.build(app, settings=settings, bundles=tiny_bundles(tmp_path))
    packs = RulePacks(app, settings=settings)
    app.synth()

    assert [str(finding) for finding in packs.findings] == []
    assert [str(finding) for finding in findings(GuardedAssembly.read(tmp_path / "out"), strict=False)] == []
