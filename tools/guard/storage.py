"""Rules for what must not be lost: the table and the buckets."""

from collections.abc import Iterator
from typing import Any, Final

from spotproof import contract
from tools.guard.assembly import Assembly, Json, Resource, as_list
from tools.guard.rule import Rule

TABLES: Final = ("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table")
BUCKETS: Final = ("AWS::S3::Bucket",)
# Objects that no run reads again: a stop file belongs to an instance, a record to a run that has ended.
MAY_AGE: Final = (contract.CONTROL_PREFIX, contract.HISTORY_PREFIX)


def _copies(table: Resource) -> list[Json]:
    """Where recovery and protection are said: per replica of a global table, else on the table itself."""
    return as_list(table.get("Replicas")) if table.kind == TABLES[0] else [table.properties]


def can_be_recovered(table: Resource, _assembly: Assembly) -> Iterator[str]:
    copies = _copies(table)
    if not copies:
        yield "no replica: recovery is said nowhere"
    for copy in copies:
        if (copy.get("PointInTimeRecoverySpecification") or {}).get("PointInTimeRecoveryEnabled") is not True:
            yield "point-in-time recovery is off"


def is_kept(table: Resource, _assembly: Assembly) -> Iterator[str]:
    policy = table.attributes.get("DeletionPolicy")
    protected = [copy.get("DeletionProtectionEnabled") is True for copy in _copies(table)]
    if policy not in ("Retain", "Delete"):
        yield f"DeletionPolicy is {policy}: say Retain or Delete"
    if policy == "Retain" and not all(protected):
        yield "kept when its stack goes, but anybody may delete it: DeletionProtectionEnabled is not true"
    if policy == "Delete" and any(protected):
        yield "to be deleted with its stack, and protected from it: the stack could never go"


def has_no_time_to_live(table: Resource, _assembly: Assembly) -> Iterator[str]:
    if table.get("TimeToLiveSpecification.Enabled", False):
        yield "time to live deletes rows within days and shows expired ones: a lease's expiry is compared"


def _lifecycle(bucket: Resource) -> list[Json]:
    rules = as_list(bucket.get("LifecycleConfiguration.Rules"))
    return [rule for rule in rules if rule.get("Status") == "Enabled"]


def drops_abandoned_uploads(bucket: Resource, _assembly: Assembly) -> Iterator[str]:
    for rule in _lifecycle(bucket):
        days = (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")
        if days and not rule.get("Prefix") and not rule.get("TagFilters"):
            return
    yield "no rule aborts multipart uploads in all of the bucket: parts of killed workers are paid for, for ever"


def drops_old_versions(bucket: Resource, _assembly: Assembly) -> Iterator[str]:
    versioned = bucket.get("VersioningConfiguration.Status") == "Enabled"
    if versioned and not any(_expires_noncurrent(rule) for rule in _lifecycle(bucket)):
        yield "versioned, and no rule expires noncurrent versions: what is deleted is paid for, for ever"


def _expires_noncurrent(rule: Json) -> bool:
    return bool(rule.get("NoncurrentVersionExpiration") or rule.get("NoncurrentVersionExpirationInDays"))


def keeps_what_lives(bucket: Resource, assembly: Assembly) -> Iterator[str]:
    """A bucket of access logs holds nothing that lives."""
    if _holds_access_logs(bucket, assembly):
        return
    for rule in _lifecycle(bucket):
        expires = "ExpirationInDays" in rule or "ExpirationDate" in rule
        if expires and not rule.get("TagFilters") and rule.get("Prefix") not in MAY_AGE:
            yield f"rule {rule.get('Id')} deletes by age alone: a checkpoint of a long run is old and alive"


def _holds_access_logs(bucket: Resource, assembly: Assembly) -> bool:
    destinations: list[tuple[Any, Resource]] = [
        (other.get("LoggingConfiguration.DestinationBucketName"), other) for other in assembly.of_kind(*BUCKETS)
    ]
    return any(assembly.refers_to(value, bucket, by=other) for value, other in destinations)


STORAGE_RULES: Final = (
    Rule(
        name="table-recovery",
        kinds=TABLES,
        demand="the table can be had back as it was at any second of the last weeks",
        check=can_be_recovered,
    ),
    Rule(
        name="table-deletion",
        kinds=TABLES,
        demand="a table that is to be kept is protected, one that is to go is not",
        check=is_kept,
    ),
    Rule(name="table-ttl", kinds=TABLES, demand="no row is deleted by age", check=has_no_time_to_live),
    Rule(
        name="bucket-uploads",
        kinds=BUCKETS,
        demand="abandoned multipart uploads are aborted in all of the bucket",
        check=drops_abandoned_uploads,
    ),
    Rule(
        name="bucket-versions",
        kinds=BUCKETS,
        demand="old versions of a versioned bucket expire",
        check=drops_old_versions,
    ),
    Rule(
        name="bucket-live-objects",
        kinds=BUCKETS,
        demand="nothing that a run may still need is deleted by age",
        check=keeps_what_lives,
    ),
)
