"""Game days: what the experiments take away, from whom, and what ends them early."""

import json

import pytest

from spotproof import contract, events
from tests.stacks.assembly import MANAGED_POLICY, Assembly, Json, as_list, role_statements

TEMPLATE = "AWS::FIS::ExperimentTemplate"
ALARM = "AWS::CloudWatch::Alarm"


def plan(assembly: Assembly, name: str) -> Json:
    """Properties of the template that the plan's output names."""
    (template_id, attribute) = assembly.outputs("GameDays")[contract.GAME_DAY_OUTPUTS[name]]["Value"]["Fn::GetAtt"]
    assert attribute == "Id"
    properties: Json = assembly.resources(TEMPLATE)[template_id]["Properties"]
    return properties


def test_every_plan_has_a_template_and_an_output_that_names_it(assembly: Assembly) -> None:
    found = [plan(assembly, name) for name in contract.GAME_DAY_OUTPUTS]

    assert len({each["Tags"]["Name"] for each in found}) == len(assembly.resources(TEMPLATE)) == 3


@pytest.mark.parametrize(
    ("name", "selection"),
    [("interrupt", "COUNT(1)"), ("interrupt-half", "PERCENT(50)"), ("no-capacity", "COUNT(1)")],
)
def test_interruptions_strike_running_spot_instances_of_this_deployment_only(
    assembly: Assembly, second: Assembly, name: str, selection: str
) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        properties = plan(app, name)

        action = properties["Actions"][contract.GAME_DAY_INSTANCES]
        assert action["ActionId"] == "aws:ec2:send-spot-instance-interruptions"
        assert action["Parameters"] == {"durationBeforeInterruption": "PT2M"}
        assert properties["Targets"][action["Targets"]["SpotInstances"]] == {
            "ResourceType": "aws:ec2:spot-instance",
            "ResourceTags": {"Lifecycle": "spot", "Spotproof": prefix},
            "Filters": [{"Path": "State.Name", "Values": ["running"]}],
            "SelectionMode": selection,
        }


def test_an_experiment_finds_instances_by_tags_that_the_fleet_gives_them(assembly: Assembly) -> None:
    given = [each["ComputeResources"]["Tags"] for each in assembly.properties("AWS::Batch::ComputeEnvironment")]

    for properties in assembly.properties(TEMPLATE):
        for target in properties["Targets"].values():
            assert target["ResourceTags"] in given
            assert target["ResourceTags"]["Lifecycle"] == "spot"


@pytest.mark.parametrize(("fixture", "zones"), [("assembly", 3), ("second", 2)])
def test_the_shortage_covers_every_zone_of_the_network(
    request: pytest.FixtureRequest, fixture: str, zones: int
) -> None:
    app: Assembly = request.getfixturevalue(fixture)
    properties = plan(app, "no-capacity")

    action = properties["Actions"][contract.GAME_DAY_GROUPS]
    assert action["ActionId"] == "aws:ec2:asg-insufficient-instance-capacity-error"
    assert (action["Parameters"]["duration"], action["Parameters"]["percentage"]) == ("PT10M", "100")
    named = action["Parameters"]["availabilityZoneIdentifiers"]["Fn::Join"]
    assert named == [",", [{"Fn::Select": [index, {"Fn::GetAZs": ""}]} for index in range(zones)]]
    target = properties["Targets"][action["Targets"]["AutoScalingGroups"]]
    assert (target["ResourceType"], target["SelectionMode"]) == ("aws:ec2:autoscaling-group", "ALL")


def test_only_the_plan_whose_groups_carry_no_tag_of_ours_may_find_nothing(assembly: Assembly) -> None:
    modes = {
        name: plan(assembly, name)["ExperimentOptions"]["EmptyTargetResolutionMode"]
        for name in contract.GAME_DAY_OUTPUTS
    }

    assert modes == {"interrupt": "fail", "interrupt-half": "fail", "no-capacity": "skip"}


def test_every_experiment_ends_when_spotproof_itself_fails(assembly: Assembly, second: Assembly) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        outputs, alarms = app.outputs("Monitoring"), app.resources(ALARM)
        exported = {each["Export"]["Name"]: each["Value"] for each in outputs.values() if "Export" in each}
        for properties in app.properties(TEMPLATE):
            conditions = properties["StopConditions"]
            assert {each["Source"] for each in conditions} == {"aws:cloudwatch:alarm"}
            stopping = [exported[each["Value"]["Fn::ImportValue"]]["Fn::GetAtt"][0] for each in conditions]
            metrics = [alarms[alarm]["Properties"]["MetricName"] for alarm in stopping]
            assert metrics == [events.METRIC_CONTROLLER_FAILURES, "ApproximateNumberOfMessagesVisible"]
            dimensions = [alarms[alarm]["Properties"]["Dimensions"] for alarm in stopping]
            assert dimensions[0] == [{"Name": "Stack", "Value": prefix}]
            assert "FailedEvents" in json.dumps(dimensions[1])


def test_only_experiments_of_this_account_take_the_role(assembly: Assembly) -> None:
    (role,) = [
        each
        for each in assembly.properties("AWS::IAM::Role")
        if "fis.amazonaws.com" in json.dumps(each["AssumeRolePolicyDocument"])
    ]

    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert ":experiment/*" in json.dumps(statement["Condition"]["ArnLike"]["aws:SourceArn"])


def test_the_role_takes_away_what_is_this_deployments_and_nothing_else(second: Assembly) -> None:
    allowed = {
        action: statement
        for statement in role_statements(second, "ExperimentRole")
        for action in as_list(statement["Action"])
    }

    assert set(allowed) == {
        "ec2:SendSpotInstanceInterruptions",
        "ec2:InjectApiError",
        "ec2:DescribeInstances",
        "autoscaling:DescribeAutoScalingGroups",
    }
    assert allowed["ec2:SendSpotInstanceInterruptions"]["Condition"] == {
        "StringEquals": {"aws:ResourceTag/Spotproof": "Trial"}
    }
    assert allowed["ec2:InjectApiError"]["Condition"] == {
        "ForAnyValue:StringEquals": {"ec2:FisActionId": ["aws:ec2:asg-insufficient-instance-capacity-error"]}
    }


def test_a_template_waits_for_its_role_and_the_role_for_its_policy(assembly: Assembly) -> None:
    resources = assembly.template("GameDays")["Resources"]
    (policy,) = [name for name, each in resources.items() if each["Type"] == MANAGED_POLICY]

    for each in assembly.properties(TEMPLATE):
        role = resources[each["RoleArn"]["Fn::GetAtt"][0]]
        assert role["Properties"]["ManagedPolicyArns"] == [{"Ref": policy}]
