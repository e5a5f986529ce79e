"""A small cloud assembly written by hand: two stacks with every kind of resource the account repairs."""

import json
from pathlib import Path
from typing import Any

from localcloud.images import HOST_VERSION

STATE_STACK = "LocalState"
COMPUTE_STACK = "LocalCompute"
SPOT_TYPES = ["m5.large", "m5a.large", "m6i.large", "c5.large", "r5.large"]
IMAGE = f"public.ecr.aws/docker/library/python:{HOST_VERSION}-slim"

HANDLER = """
import json, os, boto3
def handler(event, context):
    if event.get("detail", {}).get("state") == "fail-on-purpose" or event.get("source") == "test.failing":
        raise RuntimeError("asked to fail")
    boto3.client("s3").put_object(
        Bucket=os.environ["BUCKET"],
        Key=f"seen/{event['detail-type'].replace(' ', '-')}/{context.aws_request_id}.json",
        Body=json.dumps(event),
    )
"""


def write_small_assembly(directory: Path) -> Path:
    """Write the assembly as `cdk synth` would; returns its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    function = directory / "asset.function"
    function.mkdir(exist_ok=True)
    (function / "index.py").write_text(HANDLER)
    templates = {STATE_STACK: _state_template(), COMPUTE_STACK: _compute_template()}
    artifacts: dict[str, Any] = {}
    for name, template in templates.items():
        (directory / f"{name}.template.json").write_text(json.dumps(template))
        (directory / f"{name}.assets.json").write_text(json.dumps(_asset_manifest(name)))
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": [f"{name}.assets"] + ([STATE_STACK] if name == COMPUTE_STACK else []),
        }
    # The dependent stack comes first on purpose.
    ordered = dict(sorted(artifacts.items()))
    (directory / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": ordered}))
    return directory


def _asset_manifest(stack: str) -> dict[str, Any]:
    bucket = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
    destinations = {"current": {"bucketName": bucket, "objectKey": "function.zip"}}
    zipped = {"source": {"path": "asset.function", "packaging": "zip"}, "destinations": destinations}
    return {"version": "48.0.0", "files": {"function": zipped} if stack == COMPUTE_STACK else {}}


def _state_template() -> dict[str, Any]:
    return {
        "Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"},
                        {"AttributeName": "sk", "KeyType": "RANGE"},
                    ],
                    "AttributeDefinitions": [
                        {"AttributeName": "pk", "AttributeType": "S"},
                        {"AttributeName": "sk", "AttributeType": "S"},
                    ],
                    "BillingMode": "PAY_PER_REQUEST",
                    "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
                    "Replicas": [
                        {
                            "Region": {"Ref": "AWS::Region"},
                            "DeletionProtectionEnabled": True,
                            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                        }
                    ],
                },
            },
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "LifecycleConfiguration": {
                        "Rules": [
                            {
                                "Id": "done",
                                "Status": "Enabled",
                                "Prefix": "checkpoints/",
                                "TagFilters": [{"Key": "state", "Value": "done"}],
                                "ExpirationInDays": 2,
                            },
                            {
                                "Id": "parts",
                                "Status": "Enabled",
                                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                            },
                        ]
                    }
                },
            },
        },
        "Outputs": {
            "Bucket": {"Value": {"Ref": "Bucket"}, "Export": {"Name": "LocalState:Bucket"}},
            "Table": {"Value": {"Ref": "Table"}, "Export": {"Name": "LocalState:Table"}},
        },
    }


def _trust(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _policy(name: str, actions: list[str]) -> dict[str, Any]:
    bucket = {"Fn::ImportValue": "LocalState:Bucket"}
    resources = [{"Fn::Sub": ["arn:aws:s3:::${b}", {"b": bucket}]}, {"Fn::Sub": ["arn:aws:s3:::${b}/*", {"b": bucket}]}]
    table = {"Fn::ImportValue": "LocalState:Table"}
    table_arn = {"Fn::Sub": ["arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${t}", {"t": table}]}
    statement = {"Effect": "Allow", "Action": actions, "Resource": [*resources, table_arn]}
    return {"PolicyName": name, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _environment(kind: str, max_vcpus: int) -> dict[str, Any]:
    strategies = {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {
            "Type": "managed",
            "ReplaceComputeEnvironment": False,
            "UpdatePolicy": {"TerminateJobsOnUpdate": False, "JobExecutionTimeoutMinutes": 60},
            "ComputeResources": {
                "Type": kind,
                "AllocationStrategy": strategies[kind],
                "MinvCpus": 0,
                "MaxvCpus": max_vcpus,
                "InstanceTypes": SPOT_TYPES,
                "InstanceRole": {"Fn::GetAtt": ["Profile", "Arn"]},
                "Subnets": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
                "Tags": {"Lifecycle": kind.lower()},
            },
        },
    }


def _queue(*environments: str) -> dict[str, Any]:
    order = [
        {"ComputeEnvironment": {"Fn::GetAtt": [name, "ComputeEnvironmentArn"]}, "Order": position}
        for position, name in enumerate(environments, start=1)
    ]
    properties = {"Priority": 10, "State": "ENABLED", "ComputeEnvironmentOrder": order}
    return {"Type": "AWS::Batch::JobQueue", "Properties": properties}


def _rule(pattern: dict[str, Any] | None = None, schedule: str | None = None) -> dict[str, Any]:
    target = {
        "Id": "function",
        "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["RuleDlq", "Arn"]}},
    }
    properties: dict[str, Any] = {"State": "ENABLED", "Targets": [target]}
    properties |= {"EventPattern": pattern} if pattern else {"ScheduleExpression": schedule}
    return {"Type": "AWS::Events::Rule", "Properties": properties}


def _permission(rule: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Fn::GetAtt": ["Function", "Arn"]},
            "Principal": "events.amazonaws.com",
            "SourceArn": {"Fn::GetAtt": [rule, "Arn"]},
        },
    }


def _compute_template() -> dict[str, Any]:
    bucket = {"Fn::ImportValue": "LocalState:Bucket"}
    resources: dict[str, Any] = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "InstanceRole"}]}},
        "InstanceRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": _trust("ec2.amazonaws.com")},
        },
        "JobRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": _trust("ecs-tasks.amazonaws.com"),
                "Policies": [_policy("job", ["s3:PutObject", "s3:GetObject", "dynamodb:PutItem"])],
            },
        },
        "FunctionRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": _trust("lambda.amazonaws.com"),
                "Policies": [_policy("function", ["s3:PutObject"])],
            },
        },
        "Spot": _environment("SPOT", 16),
        "OnDemand": _environment("EC2", 8),
        "SpotQueue": _queue("Spot"),
        "OnDemandQueue": _queue("OnDemand"),
        "MixedQueue": _queue("Spot", "OnDemand"),
        "JobLogs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        "RuleDlq": {"Type": "AWS::SQS::Queue"},
        "FunctionDlq": {"Type": "AWS::SQS::Queue"},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Timeout": 20,
                "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
                "Code": {
                    "S3Bucket": {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"},
                    "S3Key": "function.zip",
                },
                "Environment": {"Variables": {"BUCKET": bucket}},
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["FunctionDlq", "Arn"]}},
                "ReservedConcurrentExecutions": 5,
            },
        },
        "OnWarning": _rule({"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}),
        "OnWarningPermission": _permission("OnWarning"),
        "OnFailing": _rule({"source": ["test.failing"]}),
        "OnFailingPermission": _permission("OnFailing"),
        "OnJob": _rule(
            {"source": ["aws.batch"], "detail-type": ["Batch Job State Change"], "detail": {"jobName": ["watched"]}}
        ),
        "OnJobPermission": _permission("OnJob"),
        "OnForbidden": _rule({"source": ["test.forbidden"]}),
        "EveryDay": _rule(schedule="rate(1 day)"),
        "EveryDayPermission": _permission("EveryDay"),
        "Definition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "Type": "container",
                "PlatformCapabilities": ["EC2"],
                "Parameters": {"text": "from the definition"},
                "RetryStrategy": {
                    "Attempts": 3,
                    "EvaluateOnExit": [
                        {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
                        {"Action": "RETRY", "OnExitCode": "75"},
                        {"Action": "EXIT", "OnReason": "*"},
                    ],
                },
                "ContainerProperties": {
                    "Image": IMAGE,
                    "Command": ["python3", "-c", "print('hello')"],
                    "JobRoleArn": {"Fn::GetAtt": ["JobRole", "Arn"]},
                    "ResourceRequirements": [{"Type": "VCPU", "Value": "1"}, {"Type": "MEMORY", "Value": "512"}],
                    "Environment": [{"Name": "BUCKET", "Value": bucket}],
                    "LogConfiguration": {
                        "LogDriver": "awslogs",
                        "Options": {"awslogs-group": {"Ref": "JobLogs"}, "awslogs-stream-prefix": "job"},
                    },
                },
            },
        },
    }
    for letter, block in (("A", "10.0.0.0/24"), ("B", "10.0.1.0/24")):
        zone = {"Fn::Sub": f"${{AWS::Region}}{letter.lower()}"}
        properties = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": block, "AvailabilityZone": zone}
        resources[f"Subnet{letter}"] = {"Type": "AWS::EC2::Subnet", "Properties": properties}
    outputs = (
        "SpotQueue",
        "OnDemandQueue",
        "MixedQueue",
        "Definition",
        "JobLogs",
        "RuleDlq",
        "FunctionDlq",
        "EveryDay",
    )
    return {
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in outputs}
        | {"JobRole": {"Value": {"Ref": "JobRole"}}, "Bucket": {"Value": bucket}},
    }
