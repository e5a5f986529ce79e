"""An account in which everything is as the doctor wants it, as answers that fit the shapes of botocore's models."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError, NoRegionError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from spotproof import contract
from spotproof.clients import Clients
from spotproof.settings import AwsSettings
from spotproof_cli.doctor.subject import REQUIRED_STACKS

REGION, ACCOUNT = "eu-central-1", "123456789012"
NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}"
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/Spotproof-Events-FailedEvents"
FUNCTION, RULE, TEMPLATE = "Spotproof-Events-Controller", "Spotproof-Events-ControllerRule", "lt-0123456789abcdef0"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:Spotproof-Attention"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ALARMS = ("Spotproof-ControllerFails", "Spotproof-Attention")
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
SERVICES = {
    "autoscaling": "autoscaling", "batch": "batch", "cloudformation": "cloudformation", "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb", "ec2": "ec2", "events": "events", "iam": "iam", "kms": "kms", "lambda_": "lambda", "logs": "logs", "s3": "s3",
    "service_quotas": "service-quotas", "sns": "sns", "sqs": "sqs", "ssm": "ssm", "sts": "sts",
}  # fmt: skip


@cache
def model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def error(code: str, *, date: str = DATE) -> ClientError:
    """A refusal as botocore raises it."""
    headers = {"date": date}
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said the test"},
            "ResponseMetadata": {
                "HTTPHeaders": headers,
                "RequestId": "r",
                "HostId": "",
                "HTTPStatusCode": 400,
                "RetryAttempts": 0,
            },
        },
        "Operation",
    )


class Service:
    """One AWS service that gives prepared answers; requests and answers must fit its model."""

    def __init__(self, account: "Account", attribute: str) -> None:
        self._account, self._attribute, self._model = account, attribute, model(SERVICES[attribute])

    @property
    def meta(self) -> Any:
        region = self._account.region or ("aws-global" if self._attribute in ("sts", "iam") else None)
        if region is None:
            raise NoRegionError
        return type("Meta", (), {"region_name": region})

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            key = f"{self._attribute}.{operation}"
            self._fits(operation, request, "input_shape")
            self._account.asked.append((key, request))
            answer = self._account.answer(key, request)
            if isinstance(answer, Exception):
                raise answer
            self._fits(operation, {name: value for name, value in answer.items() if name != "ResponseMetadata"})
            return answer

        return call

    def _fits(self, operation: str, document: Mapping[str, Any], side: str = "output_shape") -> None:
        name = "".join(part.capitalize() for part in operation.split("_"))
        found = next(each for each in self._model.operation_names if each.lower() == name.lower())
        report = ParamValidator().validate(document, getattr(self._model.operation_model(found), side))
        assert not report.has_errors(), f"{operation} {side}: {report.generate_report()}"


class Account:
    """Answers by `client.operation`; a test changes what it breaks, by an edit in place or an exception."""

    def __init__(self) -> None:
        self.region: str | None = REGION
        self.answers: dict[str, Any] = copy.deepcopy(ANSWERS)
        self.stacks: dict[str, Any] = {f"Spotproof-{suffix}": _stack(suffix) for suffix in REQUIRED_STACKS}
        self.resources = copy.deepcopy(RESOURCES)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def clients(self) -> Clients:
        made = Clients(AwsSettings(region=REGION, endpoint_url=None))
        vars(made).update({attribute: Service(self, attribute) for attribute in SERVICES})
        return made

    def answer(self, key: str, request: Mapping[str, Any]) -> Any:
        if key == "cloudformation.describe_stacks" and key not in self.answers:
            stack = self.stacks.get(request["StackName"])
            return error("ValidationError") if stack is None else {"Stacks": [stack]}
        if key == "cloudformation.list_stack_resources":
            return self._listed(request)
        answer = self.answers[key]
        return answer(request) if callable(answer) else answer

    def _listed(self, request: Mapping[str, Any]) -> Any:
        """One resource on a page: paging is always exercised."""
        found = self.resources[request["StackName"].partition("-")[2]]
        page = int(request.get("NextToken", 0))
        token = {"NextToken": str(page + 1)} if page + 1 < len(found) else {}
        return {"StackResourceSummaries": found[page : page + 1], **token}

    def undeploy(self) -> None:
        self.stacks.clear()


class FrozenClock:
    """Noon; what is slept is counted."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.slept_s

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds


def _stack(suffix: str) -> dict[str, Any]:
    outputs = {
        contract.STACK_STATE: {
            contract.OUTPUT_TABLE: "table",
            contract.OUTPUT_WORK_BUCKET: "work-bucket",
            contract.OUTPUT_DATA_BUCKET: "data-bucket",
        },
        contract.STACK_COMPUTE: {contract.OUTPUT_JOB_DEFINITIONS: "spotproof-a,spotproof-b"},
        contract.STACK_MONITORING: {contract.OUTPUT_ATTENTION_TOPIC: TOPIC},
    }.get(suffix, {})
    named = {**outputs, contract.OUTPUT_VERSION: contract.VERSION}
    return {
        "StackName": f"Spotproof-{suffix}",
        "CreationTime": NOW,
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in named.items()],
        "Parameters": [{"ParameterKey": "BootstrapVersion", "ParameterValue": "/cdk-bootstrap/hnb659fds/version"}],
    }


def _resource(kind: str, physical_id: str) -> dict[str, Any]:
    logical_id = physical_id.rpartition("/")[2].replace("-", "")
    fixed = {"LastUpdatedTimestamp": NOW, "ResourceStatus": "CREATE_COMPLETE"}
    return {"LogicalResourceId": logical_id, "PhysicalResourceId": physical_id, "ResourceType": kind, **fixed}


def _environment(kind: str, vcpus: int) -> dict[str, Any]:
    return {
        "computeEnvironmentName": f"{kind}-Env",
        "computeEnvironmentArn": f"{ARN}:compute-environment/{kind}-Env",
        "state": "ENABLED",
        "status": "VALID",
        "computeResources": {
            "type": kind,
            "maxvCpus": vcpus,
            "subnets": ["subnet-a", "subnet-b"],
            "instanceTypes": ["m7i.large", "c7i.large"],
            "launchTemplate": {"launchTemplateId": TEMPLATE, "version": "3"},
        },
    }


def _quota(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"Quota": {"QuotaCode": request["QuotaCode"], "Value": 256.0}}


def _drift_started(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"StackDriftDetectionId": f"drift-of-{request['StackName']}"}


def _in_sync(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "StackId": "x",
        "StackDriftDetectionId": request["StackDriftDetectionId"],
        "DetectionStatus": "DETECTION_COMPLETE",
        "StackDriftStatus": "IN_SYNC",
        "Timestamp": NOW,
    }


def lifecycle(request: Mapping[str, Any]) -> dict[str, Any]:
    """Rules of the work bucket; the data bucket has the last one."""
    tag, value = contract.CHECKPOINT_DONE_TAG
    rules: list[dict[str, Any]] = [
        {"ID": "done", "Status": "Enabled", "Filter": {"Tag": {"Key": tag, "Value": value}}, "Expiration": {"Days": 1}},
        {"ID": "stops", "Status": "Enabled", "Filter": {"Prefix": contract.CONTROL_PREFIX}, "Expiration": {"Days": 1}},
        {"ID": "markers", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    ]  # fmt: skip
    return {"Rules": rules if request["Bucket"] == "work-bucket" else rules[-1:]}


RESOURCES: dict[str, list[dict[str, Any]]] = {
    contract.STACK_STATE: [_resource("AWS::DynamoDB::GlobalTable", "table"), _resource("AWS::KMS::Key", KEY)],
    contract.STACK_COMPUTE: [
        _resource("AWS::Batch::ComputeEnvironment", f"{ARN}:compute-environment/SPOT-Env"),
        _resource("AWS::Batch::ComputeEnvironment", f"{ARN}:compute-environment/EC2-Env"),
        _resource("AWS::Batch::JobQueue", f"{ARN}:job-queue/SpotQueue"),
        _resource("AWS::Batch::JobQueue", f"{ARN}:job-queue/OnDemandQueue"),
    ],
    contract.STACK_EVENTS: [
        _resource("AWS::Events::Rule", RULE),
        _resource("AWS::Lambda::Function", FUNCTION),
        _resource("AWS::SQS::Queue", QUEUE_URL),
    ],
    contract.STACK_GAME_DAYS: [_resource("AWS::FIS::ExperimentTemplate", "EXT1")],
    contract.STACK_MONITORING: [
        _resource("AWS::CloudWatch::Alarm", ALARMS[0]),
        _resource("AWS::CloudWatch::CompositeAlarm", ALARMS[1]),
    ],
}

ANSWERS: dict[str, Any] = {
    "sts.get_caller_identity": {
        "Account": ACCOUNT,
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann",
        "ResponseMetadata": {"HTTPHeaders": {"date": DATE}},
    },
    "ssm.get_parameter": {"Parameter": {"Name": "/cdk-bootstrap/hnb659fds/version", "Value": "32"}},
    "iam.get_role": {
        "Role": {
            "RoleName": "AWSServiceRoleForEC2Spot",
            "Path": "/",
            "RoleId": "AROA0123456789ABCDEF",
            "Arn": f"arn:aws:iam::{ACCOUNT}:role/x",
            "CreateDate": NOW,
        }
    },
    "ec2.describe_availability_zones": {
        "AvailabilityZones": [{"ZoneName": f"{REGION}{letter}", "State": "available"} for letter in "abc"]
    },
    "ec2.describe_subnets": {
        "Subnets": [
            {"SubnetId": f"subnet-{letter}", "AvailabilityZone": f"{REGION}{letter}"} for letter in "ab"
        ]
    },
    "lambda_.get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}},
    "service_quotas.get_service_quota": _quota,
    "dynamodb.describe_table": {
        "Table": {
            "TableStatus": "ACTIVE",
            "GlobalSecondaryIndexes": [
                {"IndexName": spec.name, "IndexStatus": "ACTIVE"} for spec in contract.TABLE_INDEXES
            ],
        }
    },
    "dynamodb.describe_continuous_backups": {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"},
        }
    },
    "dynamodb.get_item": {},
    "s3.head_bucket": {},
    "s3.get_public_access_block": {
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
    },
    "s3.get_bucket_versioning": {"Status": "Enabled"},
    "s3.get_bucket_lifecycle_configuration": lifecycle,
    "s3.list_objects_v2": {},
    "batch.describe_job_queues": {
        "jobQueues": [
            {
                "jobQueueName": name,
                "jobQueueArn": f"{ARN}:job-queue/{name}",
                "state": "ENABLED",
                "status": "VALID",
                "priority": 10,
                "computeEnvironmentOrder": [],
            }
            for name in ("SpotQueue", "OnDemandQueue")
        ]
    },
    "batch.describe_compute_environments": {
        "computeEnvironments": [_environment("SPOT", 256), _environment("EC2", 64)]
    },
    "batch.describe_job_definitions": {
        "jobDefinitions": [
            {"jobDefinitionName": "spotproof-a", "jobDefinitionArn": "arn", "revision": 1, "type": "container"}
        ]
    },
    "ec2.describe_launch_template_versions": {
        "LaunchTemplateVersions": [
            {
                "VersionNumber": 3,
                "LaunchTemplateData": {
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"}
                },
            }
        ]
    },
    "events.describe_rule": {"Name": RULE, "State": "ENABLED"},
    "events.list_targets_by_rule": {
        "Targets": [{"Id": "1", "Arn": "arn", "DeadLetterConfig": {"Arn": "arn"}}]
    },
    "lambda_.get_function": {"Configuration": {"State": "Active", "LastUpdateStatus": "Successful"}},
    "lambda_.get_function_configuration": {"LoggingConfig": {"LogGroup": "controller-logs"}},
    "logs.filter_log_events": {
        "events": [{"timestamp": 1_795_348_000_000, "message": '{"level":"INFO","event":"round_done"}'}]
    },
    "sqs.get_queue_attributes": {
        "Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}
    },
    "cloudwatch.describe_alarms": {
        "MetricAlarms": [{"AlarmName": ALARMS[0], "StateValue": "OK"}],
        "CompositeAlarms": [{"AlarmName": ALARMS[1], "StateValue": "INSUFFICIENT_DATA"}],
    },
    "kms.describe_key": {"KeyMetadata": {"KeyId": KEY, "KeyState": "Enabled"}},
    "sns.list_subscriptions_by_topic": {
        "Subscriptions": [{"Endpoint": "ann@example.com", "SubscriptionArn": f"{TOPIC}:1", "Protocol": "email"}]
    },
    "cloudformation.detect_stack_drift": _drift_started,
    "cloudformation.describe_stack_drift_detection_status": _in_sync,
}  # fmt: skip
