"""What must not be lost: the table and the buckets."""

import pytest

from spotproof import contract
from tests.stacks.assembly import Assembly, Json, bucket

TABLE = "AWS::DynamoDB::GlobalTable"
BUCKETS = ("Work", "Data")


def key_names(schema: list[Json]) -> list[tuple[str, str]]:
    return [(part["AttributeName"], part["KeyType"]) for part in schema]


def test_the_table_has_the_keys_of_the_contract(assembly: Assembly) -> None:
    table = assembly.only(TABLE)

    assert key_names(table["KeySchema"]) == [(contract.PARTITION_KEY, "HASH"), (contract.SORT_KEY, "RANGE")]


def test_the_table_has_exactly_the_indexes_of_the_contract(assembly: Assembly) -> None:
    table = assembly.only(TABLE)

    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    found = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert set(found) == {spec.name for spec in contract.TABLE_INDEXES}
    for spec in contract.TABLE_INDEXES:
        index = found[spec.name]
        assert key_names(index["KeySchema"]) == [(spec.partition_key, "HASH"), (spec.sort_key, "RANGE")]
        assert (types[spec.partition_key], types[spec.sort_key]) == ("S", spec.sort_key_type)
        assert index["Projection"].get("NonKeyAttributes", []) == list(spec.include)


def test_the_table_is_on_demand_and_can_be_restored_to_any_second(assembly: Assembly) -> None:
    table = assembly.only(TABLE)

    assert table["BillingMode"] == "PAY_PER_REQUEST"
    (replica,) = table["Replicas"]
    assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_no_lease_depends_on_time_to_live(assembly: Assembly) -> None:
    """Trap 14: DynamoDB deletes within days and still shows what has expired."""
    assert "TimeToLiveSpecification" not in assembly.only(TABLE)


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_refuses_requests_without_tls(assembly: Assembly, name: str) -> None:
    logical_id, _ = bucket(assembly, name)

    (policy,) = (p for p in assembly.properties("AWS::S3::BucketPolicy") if p["Bucket"] == {"Ref": logical_id})
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2  # the bucket and its objects


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_can_never_be_public_and_is_encrypted(assembly: Assembly, name: str) -> None:
    _, properties = bucket(assembly, name)

    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


@pytest.mark.parametrize("name", BUCKETS)
def test_abandoned_multipart_uploads_and_old_versions_do_not_pile_up(assembly: Assembly, name: str) -> None:
    _, properties = bucket(assembly, name)

    rules = properties["LifecycleConfiguration"]["Rules"]
    aborts = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
    assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in aborts] == [1]
    assert "TagFilters" not in aborts[0]  # S3 refuses the two together
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    assert all(rule["Status"] == "Enabled" for rule in rules)


def test_what_a_live_run_needs_never_expires_by_age(assembly: Assembly) -> None:
    """Trap 13: whole days, at midnight UTC. Only what carries the done tag expires, records and stop files."""
    _, properties = bucket(assembly, "Work")

    expiring = [rule for rule in properties["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    tag, value = contract.CHECKPOINT_DONE_TAG
    assert [(rule.get("TagFilters"), rule.get("Prefix"), rule["ExpirationInDays"]) for rule in expiring] == [
        ([{"Key": tag, "Value": value}], None, 1),
        (None, contract.HISTORY_PREFIX, 400),
        (None, contract.CONTROL_PREFIX, 1),
    ]


def test_results_are_versioned_and_never_expire(assembly: Assembly) -> None:
    _, properties = bucket(assembly, "Data")

    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert not any("ExpirationInDays" in rule for rule in properties["LifecycleConfiguration"]["Rules"])


@pytest.mark.parametrize("kind", [TABLE, "AWS::S3::Bucket"])
def test_data_outlives_its_stack_unless_told_otherwise(assembly: Assembly, second: Assembly, kind: str) -> None:
    policies = [{each["DeletionPolicy"] for each in app.resources(kind).values()} for app in (assembly, second)]

    assert policies == [{"Retain"}, {"Delete"}]


def test_a_table_that_is_kept_is_protected_from_deletion(assembly: Assembly, second: Assembly) -> None:
    protected = [app.only(TABLE)["Replicas"][0].get("DeletionProtectionEnabled") for app in (assembly, second)]

    assert protected == [True, False]
