"""Two small stacks that meet every rule, also the strict ones; tests break one thing at a time."""

import copy
from typing import Any

Json = dict[str, Any]
TYPES = [
    "m5.large",
    "m5a.large",
    "m6i.large",
    "m6a.large",
    "c5.xlarge",
    "c6i.xlarge",
    "c6a.xlarge",
    "r5.large",
    "r6i.large",
]
DIGEST = "a" * 64
TLS_ONLY = {
    "Effect": "Deny",
    "Action": "sqs:*",
    "Principal": {"AWS": "*"},
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def good_templates() -> dict[str, Json]:
    """Fresh templates by stack name, for a test to change."""
    return {"State": copy.deepcopy(_STATE), "Main": copy.deepcopy(_MAIN)}


def _get(logical_id: str, attribute: str = "Arn") -> Json:
    return {"Fn::GetAtt": [logical_id, attribute]}


def _environment(kind: str, strategy: str) -> Json:
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {
            "ReplaceComputeEnvironment": False,
            "UpdatePolicy": {"TerminateJobsOnUpdate": False},
            "ComputeResources": {
                "Type": kind,
                "AllocationStrategy": strategy,
                "MinvCpus": 0,
                "InstanceTypes": [*TYPES, "m7i.large"],
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Host"},
                    "Version": _get("Host", "LatestVersionNumber"),
                },
            },
        },
    }


def _queue(environment: str) -> Json:
    reasons = ("JOB_RESOURCE_REQUIREMENT", "COMPUTE_ENVIRONMENT_MAX_RESOURCE")
    return {
        "Type": "AWS::Batch::JobQueue",
        "Properties": {
            "ComputeEnvironmentOrder": [{"ComputeEnvironment": _get(environment, "ComputeEnvironmentArn"), "Order": 1}],
            "JobStateTimeLimitActions": [
                {"Action": "CANCEL", "Reason": f"MISCONFIGURATION:{reason}", "State": "RUNNABLE", "MaxTimeSeconds": 600}
                for reason in reasons
            ],
        },
    }


def _policy(*statements: Json) -> Json:
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "p",
            "PolicyDocument": {"Statement": list(statements)},
            "Roles": [{"Ref": "JobRole"}],
        },
    }


def _allow(action: Any, resource: Any, **more: Any) -> Json:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def _role(service: str) -> Json:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [statement]}}}


_STATE: Json = {
    "Resources": {
        "Table": {
            "Type": "AWS::DynamoDB::GlobalTable",
            "DeletionPolicy": "Retain",
            "Properties": {
                "Replicas": [
                    {
                        "Region": {"Ref": "AWS::Region"},
                        "DeletionProtectionEnabled": True,
                        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                    }
                ]
            },
        },
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                "LoggingConfiguration": {"DestinationBucketName": {"Ref": "AccessLogs"}},
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "parts",
                            "Status": "Enabled",
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        },
                        {"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
                        {"Id": "stop", "Status": "Enabled", "Prefix": "control/", "ExpirationInDays": 1},
                        {
                            "Id": "done",
                            "Status": "Enabled",
                            "TagFilters": [{"Key": "k", "Value": "v"}],
                            "ExpirationInDays": 1,
                        },
                    ]
                },
            },
        },
        "AccessLogs": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "parts",
                            "Status": "Enabled",
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        },
                        {"Id": "age", "Status": "Enabled", "ExpirationInDays": 90},
                    ]
                }
            },
        },
        "Failed": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1_209_600}},
        "FailedPolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Failed"}],
                "PolicyDocument": {"Statement": [TLS_ONLY]},
            },
        },
    },
    "Outputs": {
        "TableArn": {"Value": _get("Table"), "Export": {"Name": "State:Table"}},
        "FailedArn": {"Value": _get("Failed"), "Export": {"Name": "State:Failed"}},
        "ImageName": {"Value": f"public.ecr.aws/team/worker@sha256:{DIGEST}", "Export": {"Name": "State:Image"}},
    },
}

_MAIN: Json = {
    "Resources": {
        "Host": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
                    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
                    "UserData": {
                        "Fn::Base64": {
                            "Fn::Join": [
                                "",
                                [
                                    "Content-Type: multipart/mixed; boundary=b\n",
                                    {
                                        "Fn::Base64": "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config"
                                    },
                                ],
                            ]
                        }
                    },
                }
            },
        },
        "Spot": _environment("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
        "OnDemand": _environment("EC2", "BEST_FIT_PROGRESSIVE"),
        "SpotQueue": _queue("Spot"),
        "OnDemandQueue": _queue("OnDemand"),
        "JobRole": _role("ecs-tasks.amazonaws.com"),
        "ExecutionRole": _role("ecs-tasks.amazonaws.com"),
        "JobPolicy": _policy(
            _allow(["dynamodb:GetItem"], {"Fn::ImportValue": "State:Table"}),
            _allow("ec2:DescribeSpotPriceHistory", "*"),
            _allow(
                "iam:PassRole",
                _get("JobRole"),
                Condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
        ),
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        "Job": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "PlatformCapabilities": ["EC2"],
                "Timeout": {"AttemptDurationSeconds": 3600},
                "Parameters": {"run": "auto"},
                "RetryStrategy": {
                    "Attempts": 10,
                    "EvaluateOnExit": [
                        {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
                        {"Action": "EXIT", "OnReason": "*"},
                    ],
                },
                "ContainerProperties": {
                    "Image": {"Fn::ImportValue": "State:Image"},
                    "User": "65534:65534",
                    "ReadonlyRootFilesystem": True,
                    "MountPoints": [{"ContainerPath": "/tmp", "SourceVolume": "scratch", "ReadOnly": False}],
                    "Volumes": [{"Name": "scratch", "Host": {}}],
                    "LinuxParameters": {"InitProcessEnabled": True},
                    "JobRoleArn": _get("JobRole"),
                    "ExecutionRoleArn": _get("ExecutionRole"),
                    "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": {"Ref": "Logs"}}},
                    "Environment": [{"Name": "SPOTPROOF_TABLE", "Value": "shards"}],
                },
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Timeout": 30,
                "MemorySize": 256,
                "LoggingConfig": {"LogGroup": {"Ref": "Logs"}},
                "Environment": {"Variables": {"SPOTPROOF_TABLE": "shards", "API_TOKEN_ARN": {"Ref": "Token"}}},
            },
        },
        "FunctionInvoke": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "MaximumEventAgeInSeconds": 120,
                "DestinationConfig": {"OnFailure": {"Destination": {"Fn::ImportValue": "State:Failed"}}},
            },
        },
        "Provider": {"Type": "AWS::Lambda::Function", "Properties": {"Timeout": 60, "MemorySize": 128}},
        "Closing": {"Type": "Custom::Closing", "Properties": {"ServiceToken": _get("Provider")}},
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {
                    "source": ["aws.batch"],
                    "detail-type": ["Batch Job State Change"],
                    "detail": {"jobQueue": [{"Ref": "SpotQueue"}]},
                },
                "Targets": [
                    {
                        "Id": "Target0",
                        "Arn": _get("Function"),
                        "DeadLetterConfig": {"Arn": _get("Undelivered")},
                        "RetryPolicy": {"MaximumEventAgeInSeconds": 120, "MaximumRetryAttempts": 10},
                    }
                ],
            },
        },
        "RulePermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Principal": "events.amazonaws.com",
                "FunctionName": _get("Function"),
                "SourceArn": _get("Rule"),
            },
        },
        "Undelivered": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1_209_600}},
        "UndeliveredPolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Undelivered"}],
                "PolicyDocument": {
                    "Statement": [
                        TLS_ONLY,
                        {
                            "Effect": "Allow",
                            "Action": "sqs:SendMessage",
                            "Principal": {"Service": "events.amazonaws.com"},
                            "Condition": {"ArnEquals": {"aws:SourceArn": _get("Rule")}},
                        },
                    ]
                },
            },
        },
        "Stops": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"TreatMissingData": "notBreaching"}},
        "Quiet": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"TreatMissingData": "notBreaching"}},
        "Loud": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmRule": {"Fn::Sub": 'ALARM("${Quiet.Arn}")'}, "AlarmActions": ["arn:aws:sns:x"]},
        },
        "Experiment": {
            "Type": "AWS::FIS::ExperimentTemplate",
            "Properties": {
                "StopConditions": [{"Source": "aws:cloudwatch:alarm", "Value": _get("Stops")}],
                "Targets": {"Instances": {"ResourceTags": {"Spotproof": "Spotproof"}}},
            },
        },
    }
}
