"""What the services say about a deployed resource, in the words of its CloudFormation type."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Properties = Mapping[str, Any]
CreateClient = Callable[[str], Any]
Reader = Callable[[CreateClient, str, Properties], dict[str, Any]]  # client, physical id, template's properties

_FUNCTION_PROPERTIES = (
    "Architectures",
    "DeadLetterConfig",
    "Description",
    "Environment",
    "Handler",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig",
)
_DEFINITION_PROPERTIES = (
    "ContainerProperties",
    "JobDefinitionName",
    "Parameters",
    "PlatformCapabilities",
    "PropagateTags",
    "RetryStrategy",
    "Timeout",
    "Type",
)


def _bucket(client: CreateClient, name: str, _wanted: Properties) -> dict[str, Any]:
    s3 = client("s3")
    encryption = _try(lambda: s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"], [])
    defaults = [
        {"ServerSideEncryptionByDefault": rule.get("ApplyServerSideEncryptionByDefault")} for rule in encryption
    ]
    lifecycle = _try(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"], [])
    logging = s3.get_bucket_logging(Bucket=name).get("LoggingEnabled", {})
    ownership = _try(lambda: s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"], {})
    return {
        "BucketEncryption": {"ServerSideEncryptionConfiguration": defaults},
        "LifecycleConfiguration": {"Rules": [_lifecycle_rule(rule) for rule in lifecycle]},
        "LoggingConfiguration": {
            "DestinationBucketName": logging.get("TargetBucket"),
            "LogFilePrefix": logging.get("TargetPrefix"),
        },
        "OwnershipControls": ownership,
        "PublicAccessBlockConfiguration": _try(
            lambda: s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"], {}
        ),
        "VersioningConfiguration": s3.get_bucket_versioning(Bucket=name),
        "Tags": _try(lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"], []),
    }


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    chosen = rule.get("Filter") or {}
    conditions = chosen.get("And") or chosen
    expiration = rule.get("Expiration") or {}
    return {
        "Id": rule.get("ID"),
        "Status": rule["Status"],
        "Prefix": conditions.get("Prefix"),
        "TagFilters": list(conditions.get("Tags") or []) + ([conditions["Tag"]] if "Tag" in conditions else []),
        "ExpirationInDays": expiration.get("Days"),
        "ExpiredObjectDeleteMarker": expiration.get("ExpiredObjectDeleteMarker"),
        "NoncurrentVersionExpiration": rule.get("NoncurrentVersionExpiration"),
        "AbortIncompleteMultipartUpload": rule.get("AbortIncompleteMultipartUpload"),
    }


def _bucket_policy(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    policy = client("s3").get_bucket_policy(Bucket=wanted["Bucket"])["Policy"]
    return {"Bucket": wanted["Bucket"], "PolicyDocument": json.loads(policy)}


def _table(client: CreateClient, name: str, wanted: Properties) -> dict[str, Any]:
    dynamodb = client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    recovery_specification = {
        "PointInTimeRecoveryEnabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
        "RecoveryPeriodInDays": recovery.get("RecoveryPeriodInDays"),
    }
    replicas = [
        {
            "Region": replica["Region"],
            "PointInTimeRecoverySpecification": recovery_specification,
            "GlobalSecondaryIndexes": table.get("GlobalSecondaryIndexes", []),
            "DeletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
            "Tags": _try(lambda: dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"], []),
        }
        for replica in wanted.get("Replicas", [])
    ]
    return {
        "AttributeDefinitions": table["AttributeDefinitions"],
        "KeySchema": table["KeySchema"],
        "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode"),
        "GlobalSecondaryIndexes": table.get("GlobalSecondaryIndexes", []),
        "TimeToLiveSpecification": {
            "AttributeName": ttl.get("AttributeName"),
            "Enabled": ttl.get("TimeToLiveStatus") == "ENABLED",
        },
        "PointInTimeRecoverySpecification": recovery_specification,
        "Replicas": replicas,
    }


def _function(client: CreateClient, name: str, _wanted: Properties) -> dict[str, Any]:
    answer = client("lambda").get_function(FunctionName=name)
    configuration = answer["Configuration"]
    found = {key: configuration.get(key) for key in _FUNCTION_PROPERTIES}
    found["ReservedConcurrentExecutions"] = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions")
    return found


def _invoke_config(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    name, qualifier = wanted["FunctionName"], wanted.get("Qualifier", "$LATEST")
    found = client("lambda").get_function_event_invoke_config(FunctionName=name, Qualifier=qualifier)
    return {key: found.get(key) for key in ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")}


def _rule(client: CreateClient, physical: str, _wanted: Properties) -> dict[str, Any]:
    events, name = client("events"), physical.rpartition("/")[2].rpartition("|")[2]
    rule = events.describe_rule(Name=name)
    pattern = rule.get("EventPattern")
    return {
        "EventPattern": json.loads(pattern) if pattern else None,
        "ScheduleExpression": rule.get("ScheduleExpression"),
        "State": rule["State"],
        "Description": rule.get("Description"),
        "Targets": events.list_targets_by_rule(Rule=name)["Targets"],
    }


def _queue(client: CreateClient, url: str, _wanted: Properties) -> dict[str, Any]:
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = attributes.get("RedrivePolicy")
    return {**attributes, "RedrivePolicy": json.loads(redrive) if redrive else None}


def _log_group(client: CreateClient, name: str, _wanted: Properties) -> dict[str, Any]:
    groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return {"RetentionInDays": next(one.get("retentionInDays") for one in groups if one["logGroupName"] == name)}


def _role(client: CreateClient, name: str, _wanted: Properties) -> dict[str, Any]:
    iam = client("iam")
    role = iam.get_role(RoleName=name)["Role"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"],
        "Description": role.get("Description"),
        "ManagedPolicyArns": [one["PolicyArn"] for one in attached],
        "Policies": [
            {
                "PolicyName": policy,
                "PolicyDocument": iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"],
            }
            for policy in inline
        ],
    }


def _inline_policy(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    iam, name = client("iam"), wanted["PolicyName"]
    holders = [role for role in wanted.get("Roles", []) if name in iam.list_role_policies(RoleName=role)["PolicyNames"]]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for role in holders]
    return {"PolicyName": name, "Roles": holders, "PolicyDocument": documents[0] if documents else None}


def _permission(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    policy = json.loads(client("lambda").get_policy(FunctionName=wanted["FunctionName"])["Policy"])
    for statement in policy["Statement"]:
        principal, action = statement.get("Principal", {}), statement.get("Action")
        source = (statement.get("Condition") or {}).get("ArnLike", {}).get("AWS:SourceArn")
        if action == wanted["Action"] and wanted["Principal"] in (principal, *dict(principal).values()):
            return {"Action": action, "Principal": wanted["Principal"], "SourceArn": source}
    return {"Action": None, "Principal": None, "SourceArn": None}


def _queue_policy(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    url = wanted["Queues"][0]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    return {"PolicyDocument": json.loads(attributes.get("Policy", "{}"))}


def _environment(client: CreateClient, arn: str, _wanted: Properties) -> dict[str, Any]:
    batch = client("batch")
    found = batch.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"][0]
    names = {"ComputeResources": "computeResources", "State": "state", "UpdatePolicy": "updatePolicy", "Tags": "tags"}
    return {name: found.get(key) for name, key in names.items()}


def _job_queue(client: CreateClient, arn: str, _wanted: Properties) -> dict[str, Any]:
    found = client("batch").describe_job_queues(jobQueues=[arn])["jobQueues"][0]
    names = {
        "ComputeEnvironmentOrder": "computeEnvironmentOrder",
        "JobStateTimeLimitActions": "jobStateTimeLimitActions",
        "Priority": "priority",
        "State": "state",
    }
    return {name: found.get(key) for name, key in names.items()}


def _definition(client: CreateClient, arn: str, _wanted: Properties) -> dict[str, Any]:
    found = client("batch").describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"][0]
    return {name: found.get(name[0].lower() + name[1:]) for name in _DEFINITION_PROPERTIES}


def _launch_template(client: CreateClient, physical: str, _wanted: Properties) -> dict[str, Any]:
    versions = client("ec2").describe_launch_template_versions(LaunchTemplateId=physical)["LaunchTemplateVersions"]
    newest = max(versions, key=lambda one: one["VersionNumber"])
    return {"LaunchTemplateData": newest["LaunchTemplateData"]}


def _subnet(client: CreateClient, physical: str, _wanted: Properties) -> dict[str, Any]:
    subnet = client("ec2").describe_subnets(SubnetIds=[physical])["Subnets"][0]
    return {key: subnet.get(key) for key in ("AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "VpcId")}


def _vpc_endpoint(client: CreateClient, physical: str, _wanted: Properties) -> dict[str, Any]:
    endpoint = client("ec2").describe_vpc_endpoints(VpcEndpointIds=[physical])["VpcEndpoints"][0]
    return {key: endpoint.get(key) for key in ("RouteTableIds", "ServiceName", "VpcEndpointType", "VpcId")}


def _flow_log(client: CreateClient, flow_log_id: str, _wanted: Properties) -> dict[str, Any]:
    (found,) = client("ec2").describe_flow_logs(FlowLogIds=[flow_log_id])["FlowLogs"]
    same = {name: found.get(name) for name in ("LogDestinationType", "ResourceId", "TrafficType")}
    return {**same, "LogGroupName": found.get("LogDestination")}  # the emulator tells the group by this name


def _managed_policy(client: CreateClient, arn: str, _wanted: Properties) -> dict[str, Any]:
    iam = client("iam")
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {"Description": policy.get("Description"), "Path": policy["Path"], "PolicyDocument": version["Document"]}


def _experiment_template(client: CreateClient, template_id: str, _wanted: Properties) -> dict[str, Any]:
    found = client("fis").get_experiment_template(id=template_id)["experimentTemplate"]
    names = ("Actions", "Description", "ExperimentOptions", "RoleArn", "StopConditions", "Tags", "Targets")
    return {name: found.get(name[0].lower() + name[1:]) for name in names}


def _alarm(client: CreateClient, name: str, wanted: Properties) -> dict[str, Any]:
    alarm = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return {property_name: alarm.get(property_name) for property_name in wanted if property_name != "Tags"}


def _composite_alarm(client: CreateClient, name: str, wanted: Properties) -> dict[str, Any]:
    answer = client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    (alarm,) = answer["CompositeAlarms"]
    return {property_name: alarm.get(property_name) for property_name in wanted if property_name != "Tags"}


def _dashboard(client: CreateClient, name: str, _wanted: Properties) -> dict[str, Any]:
    found = client("cloudwatch").get_dashboard(DashboardName=name)
    return {key: found.get(key) for key in ("DashboardName", "DashboardBody")}


def _query_definition(client: CreateClient, query_id: str, _wanted: Properties) -> dict[str, Any]:
    saved = client("logs").describe_query_definitions()["queryDefinitions"]
    (found,) = [each for each in saved if each["queryDefinitionId"] == query_id]
    names = {"Name": "name", "QueryString": "queryString", "LogGroupNames": "logGroupNames"}
    return {name: found.get(key) for name, key in names.items()}


def _topic(client: CreateClient, arn: str, _wanted: Properties) -> dict[str, Any]:
    found = client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    return {name: found.get(name) for name in ("DisplayName", "KmsMasterKeyId")}


def _topic_policy(client: CreateClient, _physical: str, wanted: Properties) -> dict[str, Any]:
    policy = client("sns").get_topic_attributes(TopicArn=wanted["Topics"][0])["Attributes"].get("Policy", "{}")
    return {"PolicyDocument": json.loads(policy)}


def _try(read: Callable[[], Any], otherwise: Any) -> Any:
    from botocore.exceptions import ClientError

    try:
        return read()
    except ClientError:
        return otherwise  # the service answers 404 for a configuration that isn't there


READERS: Mapping[str, Reader] = {
    "AWS::Batch::ComputeEnvironment": _environment,
    "AWS::Batch::JobDefinition": _definition,
    "AWS::Batch::JobQueue": _job_queue,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::CompositeAlarm": _composite_alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::DynamoDB::GlobalTable": _table,
    "AWS::DynamoDB::Table": _table,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::EC2::LaunchTemplate": _launch_template,
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::VPCEndpoint": _vpc_endpoint,
    "AWS::Events::Rule": _rule,
    "AWS::FIS::ExperimentTemplate": _experiment_template,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::Policy": _inline_policy,
    "AWS::IAM::Role": _role,
    "AWS::Lambda::EventInvokeConfig": _invoke_config,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Logs::QueryDefinition": _query_definition,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
}
