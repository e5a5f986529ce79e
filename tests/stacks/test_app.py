"""The app as a whole: stacks, references between them, outputs, and what it must not need."""

import json

import pytest

from spotproof import contract
from tests.stacks.assembly import MANAGED_POLICY, SUFFIXES, Assembly, as_list, synthesise, walk

MANAGED_POLICY_CHARACTERS = 6144  # IAM's limit, white space not counted; expressions are longer than what they become
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
    "ecs:DiscoverPollEndpoint",
    "ec2:DescribeTags",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
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
    for policy in assembly.properties(MANAGED_POLICY):
        for statement in policy["PolicyDocument"]["Statement"]:
            allowed = as_list(statement["Action"])
            assert not [action for action in allowed if "*" in action], allowed
            if "*" in as_list(statement["Resource"]):
                assert set(allowed) <= ACTIONS_ON_EVERYTHING


def test_each_role_has_one_policy_and_it_is_ours(assembly: Assembly) -> None:
    roles, policies = assembly.resources("AWS::IAM::Role"), assembly.resources(MANAGED_POLICY)

    attached = [role["Properties"]["ManagedPolicyArns"] for role in roles.values()]
    assert sorted(arns[0]["Ref"] for arns in attached if len(arns) == 1) == sorted(policies)
    assert len(attached) == len(policies)
    assert not assembly.resources("AWS::IAM::Policy")  # inline ones, which nobody sees beside the role
    assert not [role for role in roles.values() if "Policies" in role["Properties"]]


def test_a_policy_fits_into_what_iam_takes(assembly: Assembly) -> None:
    for policy in assembly.properties(MANAGED_POLICY):
        assert len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) < MANAGED_POLICY_CHARACTERS


def test_the_same_app_gives_the_same_templates(assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert synthesise(tmp_path_factory.mktemp("again")).text() == assembly.text()


def test_assets_are_named_after_what_went_in(assembly: Assembly) -> None:
    assets = json.loads((assembly.directory / "Spotproof-Compute.assets.json").read_text())["files"]

    zips = [each for each in assets.values() if each["source"]["path"].endswith(".zip")]
    assert [each["source"]["packaging"] for each in zips] == ["file"]
