"""Checks of what must not be lost: table and buckets, their protection, and whether they can be read from here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.errors import AwsError, AwsMissingError
from spotproof.retries import as_aws_error, error_code
from spotproof_cli.doctor.stacks import DEPLOY
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef
    from mypy_boto3_s3.type_defs import LifecycleRuleOutputTypeDef

_BUCKETS: Final = (contract.OUTPUT_WORK_BUCKET, contract.OUTPUT_DATA_BUCKET)
_NEEDED: Final = (contract.RUNS_PREFIX, contract.CHECKPOINTS_PREFIX, contract.STAGING_PREFIX)  # however long a run is
_MISSING: Final = frozenset({"404", "NoSuchBucket"})


def _table(subject: Subject) -> Sequence[Verdict]:
    name = subject.output(contract.STACK_STATE, contract.OUTPUT_TABLE)
    try:
        table = subject.call("describing the table", subject.clients.dynamodb.describe_table, TableName=name)["Table"]
    except AwsMissingError:
        fix = "restore it from a point in time or a backup under that name, or deploy into a new --prefix"
        return [fail(f"the table {name} is gone", fix=fix)]
    return [*_shape(name, table)] or [ok(f"{name} is active, with {len(contract.TABLE_INDEXES)} indexes")]


def _shape(name: str, table: "TableDescriptionTypeDef") -> Iterator[Verdict]:
    if table.get("TableStatus") not in ("ACTIVE", "UPDATING"):
        yield fail(f"the table {name} is {table.get('TableStatus')}", fix="wait, or see the DynamoDB console")
    indexes = {
        each.get("IndexName"): each.get("IndexStatus", "ACTIVE") for each in table.get("GlobalSecondaryIndexes", [])
    }
    for spec in contract.TABLE_INDEXES:
        status = indexes.get(spec.name)
        if status is None:
            yield fail(f"the table {name} has no index {spec.name}", fix=DEPLOY)
        elif status not in ("ACTIVE", "UPDATING"):
            yield warn(f"the index {spec.name} is {status}", fix="wait until DynamoDB has filled it")


def _recovery(subject: Subject) -> Sequence[Verdict]:
    name = subject.output(contract.STACK_STATE, contract.OUTPUT_TABLE)
    try:
        answer = subject.call(
            "reading the table's backups", subject.clients.dynamodb.describe_continuous_backups, TableName=name
        )
    except AwsMissingError:
        return [fail(f"the table {name} is gone", fix="see the check `table`")]
    recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        command = f"aws dynamodb update-continuous-backups --table-name {name}"
        enable = "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        return [fail(f"the table {name} can't be restored to a point in time", fix=f"{command} {enable}")]
    return [ok("point-in-time recovery is on")]


def _buckets(subject: Subject) -> Sequence[Verdict]:
    verdicts = [verdict for output in _BUCKETS for verdict in _bucket(subject, output)]
    return verdicts or [ok("both are there, closed to the public; data is versioned")]


def _bucket(subject: Subject, output: str) -> Iterator[Verdict]:
    name, s3 = subject.output(contract.STACK_STATE, output), subject.clients.s3
    try:
        subject.call(f"looking for the bucket {name}", s3.head_bucket, Bucket=name)
    except ClientError as error:
        if error_code(error) not in _MISSING:
            raise
        yield fail(
            f"the bucket {name} is gone", fix=f"make it again under that name, then {DEPLOY}; its objects are lost"
        )
        return
    if not _is_closed(subject, name):
        block = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        fix = f"aws s3api put-public-access-block --bucket {name} --public-access-block-configuration {block}"
        yield fail(f"the bucket {name} does not block public access", fix=fix)
    versioning = subject.call(f"reading the versioning of {name}", s3.get_bucket_versioning, Bucket=name)
    if output == contract.OUTPUT_DATA_BUCKET and versioning.get("Status") != "Enabled":
        fix = f"aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled"
        yield warn(f"the bucket {name} keeps no older versions: what people overwrite is lost", fix=fix)


def _is_closed(subject: Subject, bucket: str) -> bool:
    try:
        answer = subject.call(
            f"reading the public access block of {bucket}", subject.clients.s3.get_public_access_block, Bucket=bucket
        )
    except ClientError as error:
        if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        return False
    block = answer["PublicAccessBlockConfiguration"]
    return bool(
        block.get("BlockPublicAcls")
        and block.get("IgnorePublicAcls")
        and block.get("BlockPublicPolicy")
        and block.get("RestrictPublicBuckets")
    )


def _lifecycle(subject: Subject) -> Sequence[Verdict]:
    verdicts: list[Verdict] = []
    for output in _BUCKETS:
        name = subject.output(contract.STACK_STATE, output)
        rules = [rule for rule in _rules(subject, name) if rule["Status"] == "Enabled"]
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            verdicts.append(warn(f"nothing ends abandoned uploads in {name}: they are billed for ever", fix=DEPLOY))
        if output == contract.OUTPUT_WORK_BUCKET:
            verdicts += _work_rules(name, rules)
    return verdicts or [ok("what is done expires, what a run needs does not")]


def _rules(subject: Subject, bucket: str) -> "Sequence[LifecycleRuleOutputTypeDef]":
    doing = f"reading the lifecycle rules of {bucket}"
    try:
        answer = subject.call(doing, subject.clients.s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    except ClientError as error:
        if error_code(error) != "NoSuchLifecycleConfiguration":
            raise
        return []
    return answer["Rules"]


def _work_rules(bucket: str, rules: "Sequence[LifecycleRuleOutputTypeDef]") -> Iterator[Verdict]:
    """A rule that ends objects by age alone would take checkpoints from under a long run."""
    tag, value = contract.CHECKPOINT_DONE_TAG
    ending = [rule for rule in rules if "Days" in rule.get("Expiration", {}) or "Date" in rule.get("Expiration", {})]
    if not any((tag, value) in _tags(rule) for rule in ending):
        yield warn(f"nothing deletes objects tagged {tag}={value} from {bucket}: old checkpoints pile up", fix=DEPLOY)
    for rule in ending:
        prefix = _prefix(rule)
        if not _tags(rule) and any(each.startswith(prefix) or prefix.startswith(each) for each in _NEEDED):
            text = f"the lifecycle rule {rule.get('ID', '')!r} of {bucket} deletes what runs still need, by its age"
            yield fail(text, fix=f"remove the rule, or {DEPLOY}")


def _filter(rule: "LifecycleRuleOutputTypeDef") -> Mapping[str, Any]:
    given: Mapping[str, Any] = rule.get("Filter", {})
    combined: Mapping[str, Any] = given.get("And", given)
    return combined


def _tags(rule: "LifecycleRuleOutputTypeDef") -> set[tuple[str, str]]:
    chosen = _filter(rule)
    return {(tag["Key"], tag["Value"]) for tag in [*chosen.get("Tags", []), *filter(None, [chosen.get("Tag")])]}


def _prefix(rule: "LifecycleRuleOutputTypeDef") -> str:
    return str(_filter(rule).get("Prefix") or rule.get("Prefix") or "")


def _keys(subject: Subject) -> Sequence[Verdict]:
    """Without its key, what is kept under it can't be read; once the key is deleted, never again."""
    keys = [each.physical_id for each in subject.resources_anywhere("AWS::KMS::Key")]
    if not keys:
        return [ok("AWS's own keys")]
    verdicts = []
    for key in keys:
        answer = subject.call(f"reading the key {key}", subject.clients.kms.describe_key, KeyId=key)
        state = answer["KeyMetadata"].get("KeyState")
        if state == "PendingDeletion":
            fix = f"aws kms cancel-key-deletion --key-id {key} && aws kms enable-key --key-id {key}"
            verdicts.append(fail(f"the key {key} is about to be deleted, and with it all data", fix=fix))
        elif state != "Enabled":
            text = f"the key {key} is {state}: nothing that is kept under it can be read"
            verdicts.append(fail(text, fix=f"aws kms enable-key --key-id {key}"))
    return verdicts or [ok(f"{len(keys)} enabled")]


def _reach(subject: Subject) -> Sequence[Verdict]:
    """The data plane, as `status` and `results` use it; describing a table proves nothing about reading it."""
    table = subject.output(contract.STACK_STATE, contract.OUTPUT_TABLE)
    key = {contract.PARTITION_KEY: {"S": contract.POOLS_PK}, contract.SORT_KEY: {"S": "doctor"}}
    verdicts: list[Verdict] = []
    try:
        subject.call("reading the table", subject.clients.dynamodb.get_item, TableName=table, Key=key)
    except (AwsError, ClientError) as error:
        verdicts.append(_unreachable(error, f"the table {table}", "dynamodb:GetItem and dynamodb:Query"))
    for output in _BUCKETS:
        bucket = subject.output(contract.STACK_STATE, output)
        try:
            subject.call("listing a bucket", subject.clients.s3.list_objects_v2, Bucket=bucket, MaxKeys=1)
        except (AwsError, ClientError) as error:
            verdicts.append(_unreachable(error, f"the bucket {bucket}", "s3:ListBucket and s3:GetObject"))
    return verdicts or [ok("table and buckets can be read from here")]


def _unreachable(error: Exception, what: str, actions: str) -> Verdict:
    told = error if isinstance(error, AwsError) else as_aws_error(error, doing="reading")
    return fail(
        f"{what} can't be read from here: {told}", fix=f"allow {actions} on {what}, and let the network reach it"
    )


_STATE: Final = (contract.STACK_STATE,)
CHECKS: Final = (
    Check(
        name="table",
        claim="the table and its indexes are active",
        examine=_table,
        actions=("dynamodb:DescribeTable",),
        needs=_STATE,
    ),
    Check(
        name="recovery",
        claim="the table can be restored to any second of the last weeks",
        examine=_recovery,
        actions=("dynamodb:DescribeContinuousBackups",),
        needs=_STATE,
    ),
    Check(
        name="buckets",
        claim="both buckets are there and closed to the public; overwritten data can be had back",
        examine=_buckets,
        actions=("s3:ListBucket", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning"),
        needs=_STATE,
    ),
    Check(
        name="lifecycle",
        claim="S3 deletes what is done and abandoned, and nothing that a run needs",
        examine=_lifecycle,
        actions=("s3:GetLifecycleConfiguration",),
        needs=_STATE,
    ),
    Check(
        name="keys",
        claim="keys that the deployment encrypts with are enabled",
        examine=_keys,
        actions=("kms:DescribeKey",),
        needs=_STATE,
    ),
    Check(
        name="reach",
        claim="table and buckets can be read from here",
        examine=_reach,
        actions=("dynamodb:GetItem", "s3:ListBucket"),
        needs=_STATE,
    ),
)
