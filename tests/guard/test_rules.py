"""Each rule is broken by a template, alone; a template that meets all of them is left alone."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.guard.good_templates import Json, good_templates
from tools.guard.assembly import Assembly
from tools.guard.rules import RULES, findings

Change = Callable[[Json], Any]  # of all resources, by logical id


def put(path: str, value: Any) -> Change:
    """Sets the property at `LogicalId.Name.Name`; a number is a position in a list."""

    def change(resources: Json) -> None:
        *names, last = path.split(".")
        inner = _property(resources, names)
        inner[int(last) if isinstance(inner, list) else last] = value

    return change


def drop(path: str) -> Change:
    """Takes the property at the path away."""

    def change(resources: Json) -> None:
        *names, last = path.split(".")
        inner = _property(resources, names)
        del inner[int(last) if isinstance(inner, list) else last]

    return change


def both(*changes: Change) -> Change:
    return lambda resources: [change(resources) for change in changes]


def attribute(logical_id: str, name: str, value: Any) -> Change:
    return lambda resources: resources[logical_id].update({name: value})


def remove(logical_id: str) -> Change:
    return lambda resources: resources.pop(logical_id)


def allow(action: str, resource: Any, **more: Any) -> Change:
    """Allows the job's role one thing more."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return lambda resources: resources["JobPolicy"]["Properties"]["PolicyDocument"]["Statement"].append(statement)


def first_condition(condition: Json) -> Change:
    """Puts a condition before those by which the job is retried."""
    return lambda resources: _property(resources, ["Job", "RetryStrategy", "EvaluateOnExit"]).insert(0, condition)


def _property(resources: Json, names: list[str]) -> Any:
    inner = resources[names[0]]["Properties"]
    for name in names[1:]:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    return inner


CONTAINER, LOGGING = "Job.ContainerProperties", "Job.ContainerProperties.LogConfiguration"
SPOT, TARGET = "Spot.ComputeResources", "Rule.Targets.0"
REPLICA, LIFECYCLE = "Table.Replicas.0", "Bucket.LifecycleConfiguration.Rules"
DATA = "Host.LaunchTemplateData"
LETS_RULE_IN = "UndeliveredPolicy.PolicyDocument.Statement.1"

BREAKS: dict[str, tuple[Change, ...]] = {
    "job-timeout": (drop("Job.Timeout"), put("Job.Timeout.AttemptDurationSeconds", 59)),
    "job-logs": (
        drop(LOGGING),
        put(f"{LOGGING}.LogDriver", "json-file"),
        put(f"{LOGGING}.Options.awslogs-group", "/aws/batch/job"),
        put(f"{LOGGING}.Options.awslogs-create-group", "true"),
    ),
    "job-roles": (
        drop(f"{CONTAINER}.JobRoleArn"),
        drop(f"{CONTAINER}.ExecutionRoleArn"),
        put(f"{CONTAINER}.ExecutionRoleArn", {"Fn::GetAtt": ["JobRole", "Arn"]}),
    ),
    "job-user": (drop(f"{CONTAINER}.User"), put(f"{CONTAINER}.User", "0:65534"), put(f"{CONTAINER}.User", "root")),
    "job-read-only-root": (
        drop(f"{CONTAINER}.ReadonlyRootFilesystem"),
        put(f"{CONTAINER}.ReadonlyRootFilesystem", False),
        drop(f"{CONTAINER}.MountPoints"),
        put(f"{CONTAINER}.MountPoints.0.ReadOnly", True),
    ),
    "job-privileges": (
        put(f"{CONTAINER}.Privileged", True),
        put(f"{CONTAINER}.LinuxParameters.Devices", [{"HostPath": "/dev/kvm"}]),
        put(f"{CONTAINER}.Volumes.0.Host", {"SourcePath": "/var/run/docker.sock"}),
    ),
    "job-init": (drop(f"{CONTAINER}.LinuxParameters"),),
    "job-retries": (
        drop("Job.RetryStrategy"),
        put("Job.RetryStrategy.Attempts", 1),
        put("Job.RetryStrategy.Attempts", 11),
        put("Job.RetryStrategy.Attempts", {"Ref": "Attempts"}),
        drop("Job.RetryStrategy.EvaluateOnExit.1"),
        drop("Job.RetryStrategy.EvaluateOnExit.0"),
        put("Job.RetryStrategy.EvaluateOnExit.1", {"Action": "RETRY", "OnReason": "*"}),
        first_condition({"Action": "EXIT", "OnReason": "*"}),
        first_condition({"Action": "EXIT", "OnStatusReason": "Host*"}),
        first_condition({"Action": "RETRY", "OnReason": "*"}),  # which retries everything
        put("Job.PlatformCapabilities", ["FARGATE"]),  # where a reclaim is told in other words
        put("Job.RetryStrategy.EvaluateOnExit.1", {"Action": "EXIT", "OnReason": "*", "OnExitCode": "1"}),
    ),
    "job-image-digest": (
        put(f"{CONTAINER}.Image", "public.ecr.aws/docker/library/python:3.14-slim"),
        put(f"{CONTAINER}.Image", "team/worker@sha256:abc"),
    ),
    "environment-types": (
        put(f"{SPOT}.InstanceTypes", ["m5.large", "c5.large", "r5.large"]),
        put(f"{SPOT}.InstanceTypes", [f"m5.{size}xlarge" for size in range(2, 14)]),
        put(f"{SPOT}.InstanceTypes.9", "optimal"),
    ),
    "environment-strategy": (
        put(f"{SPOT}.AllocationStrategy", "BEST_FIT"),
        drop(f"{SPOT}.AllocationStrategy"),
        put(f"{SPOT}.BidPercentage", 60),
        put("OnDemand.ComputeResources.AllocationStrategy", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
    ),
    "environment-idle": (put(f"{SPOT}.MinvCpus", 2),),
    "environment-template": (
        put(f"{SPOT}.LaunchTemplate.Version", "$Latest"),
        put(f"{SPOT}.LaunchTemplate.Version", {"Fn::GetAtt": ["Host", "DefaultVersionNumber"]}),
        put(f"{SPOT}.LaunchTemplate.Version", {"Fn::GetAtt": ["JobRole", "LatestVersionNumber"]}),
        drop(f"{SPOT}.LaunchTemplate.Version"),
    ),
    "environment-update": (
        drop("Spot.ReplaceComputeEnvironment"),
        put("Spot.UpdatePolicy.TerminateJobsOnUpdate", True),
        put("Spot.ComputeEnvironmentName", "fixed"),
    ),
    "queue-architecture": (put(f"{SPOT}.InstanceTypes.0", "m7g.large"), put(f"{SPOT}.InstanceTypes.0", "g5g.xlarge")),
    "queue-lifecycle": (
        lambda resources: resources["SpotQueue"]["Properties"]["ComputeEnvironmentOrder"].append(
            {"ComputeEnvironment": {"Ref": "OnDemand"}, "Order": 2}
        ),
        put("SpotQueue.ComputeEnvironmentOrder", [{"ComputeEnvironment": "arn:aws:batch:elsewhere", "Order": 1}]),
    ),
    "queue-stuck-jobs": (
        drop("SpotQueue.JobStateTimeLimitActions.0"),
        lambda resources: resources["SpotQueue"]["Properties"]["JobStateTimeLimitActions"].append(
            {"Action": "CANCEL", "Reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}
        ),
    ),
    "host-metadata": (
        put(f"{DATA}.MetadataOptions.HttpTokens", "optional"),
        put(f"{DATA}.MetadataOptions.HttpPutResponseHopLimit", 1),
        drop(f"{DATA}.MetadataOptions"),
    ),
    "host-disks": (put(f"{DATA}.BlockDeviceMappings.0.Ebs.Encrypted", False), drop(f"{DATA}.BlockDeviceMappings")),
    "host-user-data": (
        put(f"{DATA}.UserData", {"Fn::Base64": "#!/bin/sh\n"}),
        put(f"{DATA}.UserData", {"Fn::Base64": "Content-Type: multipart/mixed\necho ECS_CLUSTER=mine"}),
    ),
    "table-recovery": (
        drop(f"{REPLICA}.PointInTimeRecoverySpecification"),
        put(f"{REPLICA}.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", False),
        both(attribute("Table", "Type", "AWS::DynamoDB::Table"), put("Table.DeletionProtectionEnabled", True)),
    ),
    "table-deletion": (
        put(f"{REPLICA}.DeletionProtectionEnabled", False),
        attribute("Table", "DeletionPolicy", "Delete"),
        attribute("Table", "DeletionPolicy", None),
    ),
    "table-ttl": (put("Table.TimeToLiveSpecification", {"AttributeName": "ttl", "Enabled": True}),),
    "bucket-uploads": (
        drop(f"{LIFECYCLE}.0"),
        put(f"{LIFECYCLE}.0.Prefix", "staging/"),
        put(f"{LIFECYCLE}.0.Status", "Disabled"),
    ),
    "bucket-versions": (drop(f"{LIFECYCLE}.1"),),
    "bucket-live-objects": (
        put(f"{LIFECYCLE}.2.Prefix", "checkpoints/"),
        drop(f"{LIFECYCLE}.3.TagFilters"),
        drop("Bucket.LoggingConfiguration"),
    ),
    "rule-pattern": (
        drop("Rule.EventPattern"),
        drop("Rule.EventPattern.source"),
        put("Rule.EventPattern.detail-type", []),
        drop("Rule.EventPattern.detail"),
    ),
    "target-limits": (
        drop(f"{TARGET}.RetryPolicy"),
        drop(f"{TARGET}.RetryPolicy.MaximumRetryAttempts"),
        put("Rule.Targets", []),
    ),
    "target-dead-letters": (
        drop(f"{TARGET}.DeadLetterConfig"),
        drop(LETS_RULE_IN),
        put(f"{LETS_RULE_IN}.Action", "sqs:ReceiveMessage"),
        put(f"{LETS_RULE_IN}.Condition.ArnEquals", {"aws:SourceArn": {"Fn::GetAtt": ["SpotQueue", "Arn"]}}),
    ),
    "target-permission": (
        remove("RulePermission"),
        put("RulePermission.SourceArn", {"Fn::GetAtt": ["SpotQueue", "Arn"]}),
    ),
    "queue-tls": (
        remove("FailedPolicy"),
        put("FailedPolicy.PolicyDocument.Statement.0.Effect", "Allow"),
        put("FailedPolicy.PolicyDocument.Statement.0.Action", "sqs:SendMessage"),
        put("FailedPolicy.PolicyDocument.Statement.0.Principal", {"Service": "events.amazonaws.com"}),
    ),
    "queue-retention": (drop("Undelivered.MessageRetentionPeriod"), put("Failed.MessageRetentionPeriod", 86_400)),
    "function-failures": (
        remove("FunctionInvoke"),
        drop("FunctionInvoke.DestinationConfig"),
        drop("FunctionInvoke.MaximumEventAgeInSeconds"),
        both(remove("Closing"), put("Provider.LoggingConfig", {"LogGroup": {"Ref": "Logs"}})),
    ),
    "function-limits": (drop("Function.Timeout"), drop("Function.MemorySize")),
    "function-logs": (drop("Function.LoggingConfig"), put("Function.LoggingConfig.LogGroup", "/aws/lambda/x")),
    "log-retention": (drop("Logs.RetentionInDays"),),
    "privilege-actions": (
        allow("*", "arn:aws:s3:::b"),
        allow("s3:*", "arn:aws:s3:::b"),
        allow("s3:Get*", "arn:aws:s3:::b"),
        lambda resources: resources["JobPolicy"]["Properties"]["PolicyDocument"]["Statement"].append(
            {"Effect": "Allow", "NotAction": "iam:CreateUser", "Resource": "arn:aws:s3:::b"}
        ),
        lambda resources: resources["JobRole"]["Properties"].update(
            Policies=[{"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:x"}}}]
        ),
    ),
    "privilege-resources": (
        allow("s3:GetObject", "*"),
        allow("s3:GetObject", ["arn:aws:s3:::b/x", {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::*"]]}]),
        allow("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:123456789012:*"),
        allow("dynamodb:GetItem", "arn:aws:dynamodb:*:*:*/*"),
        allow("sqs:SendMessage", "arn:aws:sqs:*:123456789012:queue"),
        allow("sqs:SendMessage", {"Fn::Sub": "arn:aws:*"}),
        lambda resources: resources["JobPolicy"]["Properties"]["PolicyDocument"]["Statement"].append(
            {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::b"}
        ),
    ),
    "privilege-pass-role": (drop("JobPolicy.PolicyDocument.Statement.2.Condition"),),
    "role-trust": (
        put("JobRole.AssumeRolePolicyDocument.Statement.0.Principal", {"AWS": "*"}),
        put("JobRole.AssumeRolePolicyDocument.Statement.0.Principal", "*"),
    ),
    "no-secrets": (
        put("Function.Environment.Variables.DB_PASSWORD", "hunter2"),
        put("Function.Environment.Variables.API_TOKEN", "abc"),
        put("Job.Parameters.secret", "abc"),
        put("Job.Parameters.dbPassword", "abc"),
        put("Job.Parameters.team", "github" + "_pat_" + "a1B2" * 9),
        put(f"{CONTAINER}.Environment.0", {"Name": "AWS_ACCESS_KEY_ID", "Value": "x"}),
        put(f"{CONTAINER}.Environment.0.Value", "postgres://user:pass@db.example/x"),
        put(f"{CONTAINER}.Command", ["run", "-----BEGIN " + "PRIVATE KEY-----"]),
    ),
    "experiment-stop": (
        both(put("Experiment.StopConditions", [{"Source": "none"}]), put("Stops.AlarmActions", ["arn:aws:sns:x"])),
        both(
            put("Experiment.StopConditions.0.Value", {"Fn::GetAtt": ["JobRole", "Arn"]}),
            put("Stops.AlarmActions", ["arn:aws:sns:x"]),
        ),
    ),
    "experiment-target": (
        drop("Experiment.Targets.Instances.ResourceTags"),
        put("Experiment.Targets.Instances.ResourceTags", {"Name": "any"}),
        put("Experiment.Targets", {}),
    ),
    "alarm-heard": (
        put("Loud.AlarmRule", "TRUE"),
        drop("Loud.AlarmActions"),
        drop("Stops.TreatMissingData"),
        put("Loud.ActionsEnabled", False),
        both(
            put("Loud.AlarmRule", "TRUE"),
            put("Quiet.AlarmActions", ["arn:aws:sns:x"]),
            put("Quiet.ActionsEnabled", False),
        ),
    ),
}


def changed(change: Change) -> Assembly:
    templates = good_templates()
    resources = {name: body for template in templates.values() for name, body in template["Resources"].items()}
    names = set(resources)
    change(resources)
    for removed in names - set(resources):
        for template in templates.values():
            template["Resources"].pop(removed, None)
    return Assembly(templates)


def test_a_deployment_that_meets_every_rule_is_left_alone() -> None:
    assert findings(Assembly(good_templates()), strict=True) == ()


def test_on_fargate_the_root_may_be_written_and_a_reclaim_has_its_own_words() -> None:
    container = "Job.ContainerProperties"
    on_fargate = both(
        put("Job.PlatformCapabilities", ["FARGATE"]),
        put("Job.RetryStrategy.EvaluateOnExit.0.OnStatusReason", "Your Spot Task*"),
        put(f"{container}.ReadonlyRootFilesystem", False),
        drop(f"{container}.MountPoints"),
    )

    assert findings(changed(on_fargate), strict=True) == ()


def test_what_says_nothing_of_a_reclaim_may_come_before_its_retry() -> None:
    for condition in ({"OnReason": "OutOfMemoryError*"}, {"OnExitCode": "1"}, {"OnStatusReason": "Task failed*"}):
        assert findings(changed(first_condition({"Action": "EXIT", **condition})), strict=True) == ()


def test_every_rule_has_templates_that_break_it() -> None:
    assert sorted(BREAKS) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize(
    ("rule", "change"),
    [pytest.param(rule, change, id=f"{rule}-{n}") for rule, all_ in BREAKS.items() for n, change in enumerate(all_, 1)],
)
def test_what_breaks_a_rule_is_found_by_that_rule_alone(rule: str, change: Change) -> None:
    found = findings(changed(change), strict=True)

    assert {finding.rule for finding in found} == {rule}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.strict])
def test_what_only_the_strict_profile_wants_is_not_asked_of_others(rule: str) -> None:
    assert findings(changed(BREAKS[rule][0]), strict=False) == ()


def test_every_demand_says_what_it_wants() -> None:
    assert [rule.name for rule in RULES if len(rule.demand.split()) < 3] == []
