"""CloudFormation properties that the emulator accepts and drops."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from localcloud.cfn.lifecycle_xml import lifecycle_xml
from localcloud.seams import Seams

_S3: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

Properties = dict[str, Any]
Repair = Callable[[str, Properties], None]  # physical id, properties


def install_property_repairs(seams: Seams, *, on_function: Callable[[str], None]) -> None:
    """Wrap the handlers, so that what they drop is set right after them; `on_function` hears of each function."""

    def set_function(name: str, properties: Properties) -> None:
        _set_function(seams, name, properties)
        on_function(name)

    repairs: dict[str, Repair] = {
        "AWS::S3::Bucket": lambda name, properties: _set_bucket(seams, name, properties),
        "AWS::DynamoDB::Table": lambda name, properties: _set_table(seams, name, properties),
        "AWS::DynamoDB::GlobalTable": lambda name, properties: _set_table(seams, name, properties),
        "AWS::Lambda::Function": set_function,
    }
    handlers = seams.provisioners._RESOURCE_HANDLERS
    for kind, repair in repairs.items():
        handlers[kind] = _repaired(handlers[kind], repair)
    for kind, require in _deletable(seams).items():
        handlers[kind] = {**handlers[kind], "delete": _after(require, handlers[kind]["delete"])}


def _deletable(seams: Seams) -> dict[str, Callable[[str], None]]:
    """What must hold before a resource can be deleted; the emulator deletes it whatever is in it."""

    def require_empty(bucket: str) -> None:
        if bucket in seams.s3._buckets and (
            seams.s3._buckets[bucket]["objects"] or seams.s3._bucket_has_versions(bucket)
        ):
            raise ValueError(f"The bucket you tried to delete is not empty: {bucket}")

    def require_unprotected(table: str) -> None:
        if (seams.dynamodb._tables.get(table) or {}).get("DeletionProtectionEnabled"):
            raise ValueError(f"Resource cannot be deleted as it is currently protected against deletion: {table}")

    return {
        "AWS::S3::Bucket": require_empty,
        "AWS::DynamoDB::Table": require_unprotected,
        "AWS::DynamoDB::GlobalTable": require_unprotected,
    }


def _after(require: Callable[[str], None], delete: Callable[[str, Properties], None]) -> Any:
    def delete_if_allowed(physical_id: str, properties: Properties) -> None:
        require(physical_id)
        delete(physical_id, properties)

    return delete_if_allowed


def _repaired(handler: Mapping[str, Any], repair: Repair) -> dict[str, Any]:
    def create(logical_id: str, properties: Properties, stack: str) -> Any:
        created = handler["create"](logical_id, properties, stack)
        repair(created[0], properties)
        return created

    def update(physical_id: str, old: Properties, new: Properties, stack: str, *logical_id: Any) -> Any:
        updated = handler["update"](physical_id, old, new, stack, *logical_id)
        repair(updated[0], new)
        return updated

    wrapped = {**handler, "create": create}
    return {**wrapped, "update": update} if "update" in handler else wrapped


def _set_bucket(seams: Seams, bucket: str, properties: Properties) -> None:
    _set_lifecycle(seams, bucket, properties)
    _set_logging(seams, bucket, properties)


def _set_logging(seams: Seams, bucket: str, properties: Properties) -> None:
    """On record; nothing delivers access logs here."""
    logging = properties.get("LoggingConfiguration") or {}
    if "DestinationBucketName" not in logging:
        seams.s3._bucket_logging_config.pop(bucket, None)
        return
    target, prefix = escape(logging["DestinationBucketName"]), escape(logging.get("LogFilePrefix", ""))
    enabled = f"<TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>"
    body = f'<BucketLoggingStatus xmlns="{_S3}"><LoggingEnabled>{enabled}</LoggingEnabled></BucketLoggingStatus>'
    seams.s3._put_bucket_logging(bucket, body.encode())


def _set_lifecycle(seams: Seams, bucket: str, properties: Properties) -> None:
    rules = (properties.get("LifecycleConfiguration") or {}).get("Rules")
    if not rules:
        seams.s3._bucket_lifecycle.pop(bucket, None)
        return
    status, _, body = seams.s3._put_bucket_lifecycle(bucket, lifecycle_xml(rules))
    if status >= 300:
        raise ValueError(f"LifecycleConfiguration of {bucket}: {body.decode(errors='replace')}")


def _set_table(seams: Seams, table: str, properties: Properties) -> None:
    ttl = properties.get("TimeToLiveSpecification")
    if ttl:
        specification = {"Enabled": _truth(ttl.get("Enabled")), "AttributeName": ttl.get("AttributeName", "")}
        seams.dynamodb._update_ttl({"TableName": table, "TimeToLiveSpecification": specification})
    home = (properties.get("Replicas") or [properties])[0]
    if "DeletionProtectionEnabled" in home:
        protected = _truth(home["DeletionProtectionEnabled"])
        seams.dynamodb._update_table({"TableName": table, "DeletionProtectionEnabled": protected})
    recovery = home.get("PointInTimeRecoverySpecification")
    if recovery:
        specification = {**recovery, "PointInTimeRecoveryEnabled": _truth(recovery.get("PointInTimeRecoveryEnabled"))}
        seams.dynamodb._update_continuous_backups(
            {"TableName": table, "PointInTimeRecoverySpecification": specification}
        )


def _set_function(seams: Seams, name: str, properties: Properties) -> None:
    function = seams.lambda_svc._functions.get(name)
    if function is None:
        return
    if "DeadLetterConfig" in properties:
        function["config"]["DeadLetterConfig"] = properties["DeadLetterConfig"]
    if properties.get("ReservedConcurrentExecutions") is not None:
        function["concurrency"] = int(properties["ReservedConcurrentExecutions"])


def _truth(value: Any) -> bool:
    return str(value).lower() == "true"
