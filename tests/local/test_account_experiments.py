"""Experiments of the Fault Injection Service, in the account, through its API."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.account import TestAccount, eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
ROLE = "game-day"
ALLOWED = ["ec2:SendSpotInstanceInterruptions", "ec2:InjectApiError", "autoscaling:DescribeAutoScalingGroups"]
BATCH_TAGS = {"AWSBatchServiceTag": "batch"}


@pytest.fixture
def role_arn(small: TestAccount) -> str:
    """A role that only experiments of this account may take."""
    iam, account = small.client("iam"), small.running.account
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "fis.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }
    try:
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    except ClientError:
        iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(trust))
    allow(small, ALLOWED)
    return f"arn:aws:iam::{account}:role/{ROLE}"


def allow(small: TestAccount, actions: list[str]) -> None:
    statement = {
        "Effect": "Allow",
        "Action": actions,
        "Resource": "*",
        "Condition": {"StringEqualsIfExists": {"aws:ResourceTag/AWSBatchServiceTag": "batch"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    small.client("iam").put_role_policy(RoleName=ROLE, PolicyName="all", PolicyDocument=policy)


def interruption(role_arn: str, selection: str, **changes: Any) -> dict[str, Any]:
    return {
        "description": "interrupt",
        "roleArn": role_arn,
        "stopConditions": [{"source": "none"}],
        "targets": {
            "hosts": {
                "resourceType": "aws:ec2:spot-instance",
                "resourceTags": BATCH_TAGS,
                "filters": [{"path": "State.Name", "values": ["running"]}],
                "selectionMode": selection,
            }
        },
        "actions": {
            "go": {
                "actionId": "aws:ec2:send-spot-instance-interruptions",
                "parameters": {"durationBeforeInterruption": "PT2M"},
                "targets": {"SpotInstances": "hosts"},
            }
        },
        **changes,
    }


def start(small: TestAccount, template: dict[str, Any]) -> str:
    fis = small.client("fis")
    template_id = fis.create_experiment_template(**template)["experimentTemplate"]["id"]
    return str(fis.start_experiment(experimentTemplateId=template_id)["experiment"]["id"])


def experiment(small: TestAccount, experiment_id: str) -> dict[str, Any]:
    found: dict[str, Any] = small.client("fis").get_experiment(id=experiment_id)["experiment"]
    return found


def wait_for(small: TestAccount, experiment_id: str, *statuses: str) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        found = experiment(small, experiment_id)
        return found if found["state"]["status"] in statuses else None

    found: dict[str, Any] = eventually(reached, f"experiment {statuses}")
    return found


def hosts(small: TestAccount, jobs: list[str]) -> list[str]:
    """The instances of the jobs, each of which has one for itself."""
    for job_id in jobs:
        small.wait_for_line(job_id, "up")
    return [small.host_of(job_id) for job_id in jobs]


def whole_hosts(small: TestAccount, number: int) -> list[str]:
    two_vcpus = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    return hosts(small, [small.submit(SLEEP, containerOverrides=two_vcpus) for _ in range(number)])


def noticed(small: TestAccount, among: list[str]) -> set[str]:
    return {one.id for one in small.admin.state().instances if one.id in among and one.reclaim_at is not None}


def test_half_of_the_tagged_instances_are_interrupted_and_then_reclaimed(small: TestAccount, role_arn: str) -> None:
    small.empty_fleet()
    running = whole_hosts(small, 4)

    experiment_id = start(small, interruption(role_arn, "PERCENT(50)"))

    done = wait_for(small, experiment_id, "completed")
    struck = noticed(small, running)
    assert len(struck) == 2
    assert done["actions"]["go"]["state"]["status"] == "completed"
    assert done["startTime"] <= done["actions"]["go"]["startTime"] <= done["endTime"]
    small.admin.wait_until(
        lambda state: all(one.state == "terminated" for one in state.instances if one.id in struck), what="the reclaim"
    )
    assert noticed(small, running) == struck


def test_one_instance_can_be_named_by_its_arn(small: TestAccount, role_arn: str) -> None:
    first, second = whole_hosts(small, 2)
    arn = f"arn:aws:ec2:{small.running.region}:{small.running.account}:instance/{second}"
    template = interruption(role_arn, "ALL")
    template["targets"]["hosts"] = {
        "resourceType": "aws:ec2:spot-instance",
        "resourceArns": [arn],
        "selectionMode": "ALL",
    }

    wait_for(small, start(small, template), "running", "completed")

    assert noticed(small, [first, second]) == {second}


def test_nobody_to_strike_fails_the_experiment_unless_it_may_be_skipped(small: TestAccount, role_arn: str) -> None:
    template = interruption(role_arn, "ALL")
    template["targets"]["hosts"]["resourceTags"] = {"Lifecycle": "nowhere"}

    failed = wait_for(small, start(small, template), "failed")
    skipped = wait_for(
        small,
        start(small, {**template, "experimentOptions": {"emptyTargetResolutionMode": "skip"}}),
        "completed",
    )

    assert "empty set" in failed["state"]["reason"]
    assert skipped["actions"]["go"]["state"]["status"] == "skipped"


def test_a_role_that_may_not_interrupt_interrupts_nobody(small: TestAccount, role_arn: str) -> None:
    running = whole_hosts(small, 1)
    allow(small, ["ec2:DescribeInstances"])

    failed = wait_for(small, start(small, interruption(role_arn, "ALL")), "failed")

    assert "may not ec2:SendSpotInstanceInterruptions" in failed["state"]["reason"]
    assert not noticed(small, running)


def test_a_role_that_does_not_trust_the_service_is_no_role(small: TestAccount) -> None:
    (role,) = [one for one in small.client("iam").list_roles()["Roles"] if "JobRole" in one["RoleName"]][:1]

    failed = wait_for(small, start(small, interruption(role["Arn"], "ALL")), "failed")

    assert "not able to assume" in failed["state"]["reason"]


def spot_group(small: TestAccount) -> dict[str, Any]:
    groups = small.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    (found,) = [
        group
        for group in groups
        if group["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 0
    ]
    return dict(found)


def shortage(small: TestAccount, role_arn: str, *, stop: list[dict[str, str]]) -> dict[str, Any]:
    zones = {one["AvailabilityZone"] for one in small.client("ec2").describe_subnets()["Subnets"]}
    return {
        "description": "no capacity",
        "roleArn": role_arn,
        "stopConditions": stop,
        "targets": {
            "groups": {
                "resourceType": "aws:ec2:autoscaling-group",
                "resourceArns": [spot_group(small)["AutoScalingGroupARN"]],
                "selectionMode": "ALL",
            }
        },
        "actions": {
            "starve": {
                "actionId": "aws:ec2:asg-insufficient-instance-capacity-error",
                "parameters": {
                    "availabilityZoneIdentifiers": ",".join(sorted(zones)),
                    "duration": "PT12H",
                    "percentage": "100",
                },
                "targets": {"AutoScalingGroups": "groups"},
            }
        },
    }


def test_a_shortage_keeps_jobs_waiting_until_it_is_stopped(small: TestAccount, role_arn: str) -> None:
    small.empty_fleet()
    experiment_id = start(small, shortage(small, role_arn, stop=[{"source": "none"}]))
    wait_for(small, experiment_id, "running")

    starved = small.submit(SLEEP)
    eventually(lambda: "CAPACITY" in (small.describe(starved).get("statusReason") or ""), "a blocked queue")
    on_demand = small.submit(SLEEP, queue="MixedQueue")
    small.wait_for_line(on_demand, "up")
    assert small.describe(starved)["status"] == "RUNNABLE"
    small.client("fis").stop_experiment(id=experiment_id)

    small.wait_for_line(starved, "up")
    stopped = experiment(small, experiment_id)
    assert (stopped["state"]["status"], stopped["actions"]["starve"]["state"]["status"]) == ("stopped", "stopped")
    with pytest.raises(ClientError, match="ConflictException"):
        small.client("fis").stop_experiment(id=experiment_id)


def test_an_alarm_stops_the_experiment_and_keeps_the_next_one_from_doing_anything(
    small: TestAccount, role_arn: str
) -> None:
    cloudwatch = small.client("cloudwatch")
    metric: dict[str, Any] = {"MetricName": "Failures", "Dimensions": [{"Name": "Stack", "Value": "Trial"}]}
    cloudwatch.put_metric_alarm(
        AlarmName="stop", Namespace="Test", Statistic="Sum", Period=600, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="notBreaching", **metric,
    )  # fmt: skip
    arn = f"arn:aws:cloudwatch:{small.running.region}:{small.running.account}:alarm:stop"
    template = shortage(small, role_arn, stop=[{"source": "aws:cloudwatch:alarm", "value": arn}])
    experiment_id = start(small, template)
    wait_for(small, experiment_id, "running")
    other = {**metric, "Dimensions": [{"Name": "Stack", "Value": "Other"}]}

    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{**other, "Value": 1.0}])
    assert experiment(small, experiment_id)["state"]["status"] == "running"
    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{**metric, "Value": 1.0}])

    stopped = wait_for(small, experiment_id, "stopped")
    assert "stop condition" in stopped["state"]["reason"]
    again = wait_for(small, start(small, template), "stopped", "running")
    assert again["actions"]["starve"]["state"]["status"] == "pending"


def test_templates_live_and_die_and_a_client_token_starts_one_experiment(small: TestAccount, role_arn: str) -> None:
    fis = small.client("fis")
    template_id = fis.create_experiment_template(**interruption(role_arn, "ALL", tags={"a": "b"}))[
        "experimentTemplate"
    ]["id"]

    first = fis.start_experiment(experimentTemplateId=template_id, clientToken="same")["experiment"]["id"]
    second = fis.start_experiment(experimentTemplateId=template_id, clientToken="same")["experiment"]["id"]
    fis.delete_experiment_template(id=template_id)

    assert first == second
    assert fis.get_experiment(id=first)["experiment"]["experimentTemplateId"] == template_id
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        fis.get_experiment_template(id=template_id)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        fis.get_experiment(id="EXP0")
