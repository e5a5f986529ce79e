"""The app as a whole: stacks, references between them, outputs, and what it must not need."""

import json
import re

import pytest

from spotproof import contract
from tests.stacks.assembly import SUFFIXES, Assembly, as_list, synthesise, walk

# AWS offers no narrower resource for these.
ACTIONS_ON_EVERYTHING = {
    "ec2:DescribeSpotPriceHistory",
    "batch:DescribeJobs",
    "batch:ListJobs",
    "batch:DescribeJobQueues",
    "batch:DescribeComputeEnvironments",
    "ec2:DescribeInstanceTypes",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeInstances",
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:InjectApiError",  # narrowed to one kind of injection by a condition
}
# A fixed name would clash when CloudFormation replaces the resource, or in a second deployment.
NAMES = {
    "TableName",
    "BucketName",
    "QueueName",
    "FunctionName",
    "RoleName",
    "JobQueueName",
    "ComputeEnvironmentName",
    "LogGroupName",
    "LaunchTemplateName",
    "GroupName",
}


def test_the_stacks_are_called_by_prefix_and_part(assembly: Assembly, second: Assembly) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        artifacts = app.manifest["artifacts"]
        stacks = {name for name, each in artifacts.items() if each["type"] == "aws:cloudformation:stack"}
        assert stacks == {f"{prefix}-{suffix}" for suffix in SUFFIXES}


def test_synthesis_asks_nothing_of_an_account(assembly: Assembly) -> None:
    assert "missing" not in assembly.manifest  # look-ups that the command line would do with credentials
    environments = {
        each["environment"]
        for each in assembly.manifest["artifacts"].values()
        if each["type"] == "aws:cloudformation:stack"
    }
    assert environments == {"aws://unknown-account/unknown-region"}


def test_stacks_refer_to_each_other_by_exports_that_lock_what_is_in_use(assembly: Assembly) -> None:
    """Weak references would be Fn::GetStackOutput: an output could vanish under a stack that reads it."""
    text = assembly.text()

    assert "Fn::GetStackOutput" not in text
    assert "Fn::ImportValue" in text
    exported = {
        output["Export"]["Name"]
        for suffix in SUFFIXES
        for output in assembly.template(suffix).get("Outputs", {}).values()
        if "Export" in output
    }
    imported = {value for key, value in walk([assembly.template(s) for s in SUFFIXES]) if key == "Fn::ImportValue"}
    assert imported == exported


def test_no_custom_resource_runs_code_during_the_deployment(assembly: Assembly) -> None:
    kinds = {r["Type"] for suffix in SUFFIXES for r in assembly.template(suffix)["Resources"].values()}

    assert not [kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))]


def test_a_person_finds_in_the_outputs_what_is_needed_to_submit(assembly: Assembly) -> None:
    state, compute = assembly.outputs("State"), assembly.outputs("Compute")

    assert {contract.OUTPUT_TABLE, contract.OUTPUT_WORK_BUCKET, contract.OUTPUT_DATA_BUCKET} <= set(state)
    assert {contract.OUTPUT_SPOT_QUEUE, contract.OUTPUT_ON_DEMAND_QUEUE, contract.OUTPUT_LOG_GROUP} <= set(compute)
    assert compute[contract.OUTPUT_JOB_DEFINITIONS]["Value"] == "spotproof-flight-delays"
    queues = [json.dumps(compute[name]) for name in (contract.OUTPUT_SPOT_QUEUE, contract.OUTPUT_ON_DEMAND_QUEUE)]
    assert "SpotQueue" in queues[0]
    assert "OnDemandQueue" in queues[1]


def test_nothing_that_can_be_replaced_has_a_fixed_name(assembly: Assembly) -> None:
    for suffix in SUFFIXES:
        for name, resource in assembly.template(suffix)["Resources"].items():
            fixed = {
                key: value
                for key, value in resource.get("Properties", {}).items()
                if key in NAMES and isinstance(value, str)
            }
            assert fixed == {}, name


def test_no_role_may_do_everything_or_anything_everywhere(assembly: Assembly) -> None:
    for policy in assembly.properties("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            allowed = as_list(statement["Action"])
            assert not [action for action in allowed if "*" in action], allowed
            if "*" in as_list(statement["Resource"]):
                assert set(allowed) <= ACTIONS_ON_EVERYTHING


def test_managed_policies_are_only_those_that_aws_made_for_the_purpose(assembly: Assembly) -> None:
    managed = {
        part
        for role in assembly.properties("AWS::IAM::Role")
        for arn in role.get("ManagedPolicyArns", [])
        for part in re.findall(r"service-role/(\w+)", json.dumps(arn))
    }

    assert managed == {"AmazonEC2ContainerServiceforEC2Role", "AWSLambdaBasicExecutionRole"}


def test_the_same_app_gives_the_same_templates(assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert synthesise(tmp_path_factory.mktemp("again")).text() == assembly.text()


def test_assets_are_named_after_what_went_in(assembly: Assembly) -> None:
    assets = json.loads((assembly.directory / "Spotproof-Compute.assets.json").read_text())["files"]

    zips = [each for each in assets.values() if each["source"]["path"].endswith(".zip")]
    assert [each["source"]["packaging"] for each in zips] == ["file"]
