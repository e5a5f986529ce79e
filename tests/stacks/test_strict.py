"""What a strict deployment has besides: everything kept under a key of ours, versions, and bounds."""

import json

import pytest

from tests.stacks.assembly import Assembly, Json, bucket, role_statements

KEY = "AWS::KMS::Key"
HASH_CHARACTERS = 8  # at the end of a logical id


def key_id(assembly: Assembly) -> str:
    (found,) = assembly.resources(KEY)
    return found


def test_the_key_is_renewed_and_serves_others_only_for_this_account(strict: Assembly) -> None:
    key = strict.only(KEY)

    assert key["EnableKeyRotation"] is True
    for statement in key["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert statement["Condition"]
            assert not [action for action in statement["Action"] if "*" in action]


def test_the_table_is_under_the_key(strict: Assembly) -> None:
    table = strict.only("AWS::DynamoDB::GlobalTable")

    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    (replica,) = table["Replicas"]
    assert replica["SSESpecification"] == {"KMSMasterKeyId": {"Fn::GetAtt": [key_id(strict), "Arn"]}}
    assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("name", ["Work", "Data"])
def test_a_bucket_is_under_the_key_and_keeps_versions(strict: Assembly, name: str) -> None:
    _, properties = bucket(strict, name)

    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {
            "KMSMasterKeyID": {"Fn::GetAtt": [key_id(strict), "Arn"]},
            "SSEAlgorithm": "aws:kms",
        },
    }
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert any("NoncurrentVersionExpiration" in each for each in properties["LifecycleConfiguration"]["Rules"])


@pytest.mark.parametrize(
    ("kind", "property_"),
    [("AWS::SQS::Queue", "KmsMasterKeyId"), ("AWS::Logs::LogGroup", "KmsKeyId"), ("AWS::SNS::Topic", "KmsMasterKeyId")],
)
def test_messages_and_logs_are_under_the_key(strict: Assembly, kind: str, property_: str) -> None:
    assert strict.resources(kind)
    for properties in strict.properties(kind):
        assert "DataKey" in json.dumps(properties[property_])


def statements_by_role(assembly: Assembly) -> dict[str, list[Json]]:
    """Of hosts, workers and functions."""
    roles = assembly.resources("AWS::IAM::Role")
    names = [name[:-HASH_CHARACTERS] for name in roles]
    return {name: role_statements(assembly, name) for name in names}


def test_who_reads_or_writes_data_may_use_the_key_through_its_services_only(strict: Assembly) -> None:
    users = set()
    for name, statements in statements_by_role(strict).items():
        for each in statements:
            if "kms:Decrypt" in each["Action"]:
                users.add(name)
                assert "DataKey" in json.dumps(each["Resource"])
                assert set(each["Condition"]["StringEquals"]) == {"kms:ViaService"}

    with_data = {name for name, found in statements_by_role(strict).items() if "dynamodb:" in json.dumps(found)}
    assert users == with_data
    assert {"JobRole", "ControllerRole"} <= users


def test_no_function_can_use_up_the_account(strict: Assembly) -> None:
    for function in strict.properties("AWS::Lambda::Function"):
        assert function["ReservedConcurrentExecutions"] == 5


def test_every_alarm_does_something(strict: Assembly) -> None:
    for alarm in strict.properties("AWS::CloudWatch::Alarm"):
        assert alarm["AlarmActions"]
