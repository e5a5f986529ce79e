"""S3 lifecycle rules carried out, with the clock moved forward by days."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """One thing a rule removed."""

    bucket: str
    key: str
    rule: str
    what: str  # object, noncurrent version, multipart upload


def expire(client: "S3Client", *, days: float) -> list[Expired]:
    """Do what S3 would have done `days` days from now: delete what every bucket's enabled rules say has expired."""
    now = datetime.now(UTC) + timedelta(days=days)
    gone: list[Expired] = []
    for bucket in client.list_buckets()["Buckets"]:
        name = bucket["Name"]
        try:
            rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        except client.exceptions.ClientError:
            continue  # the bucket has no rules
        enabled = [rule for rule in rules if rule["Status"] == "Enabled"]
        gone += _expire_objects(client, name, enabled, now)
        gone += _expire_versions(client, name, enabled, now)
        gone += _abort_uploads(client, name, enabled, now)
    return gone


def covers(rule: Mapping[str, Any], key: str, tags: Mapping[str, str]) -> bool:
    """Whether a lifecycle rule's filter takes in an object."""
    wanted = rule.get("Filter") or {}
    conditions = wanted.get("And") or wanted
    pairs = list(conditions.get("Tags") or []) + ([conditions["Tag"]] if "Tag" in conditions else [])
    return key.startswith(conditions.get("Prefix") or rule.get("Prefix") or "") and all(
        tags.get(pair["Key"]) == pair["Value"] for pair in pairs
    )


def _expire_objects(client: "S3Client", bucket: str, rules: list[Any], now: datetime) -> Iterator[Expired]:
    by_age = [(rule, rule["Expiration"]["Days"]) for rule in rules if (rule.get("Expiration") or {}).get("Days")]
    if not by_age:
        return
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            old = [rule for rule, age in by_age if now >= item["LastModified"] + timedelta(days=age)]
            rule = _first_covering(client, bucket, item["Key"], old)
            if rule is not None:
                client.delete_object(Bucket=bucket, Key=item["Key"])
                yield Expired(bucket=bucket, key=item["Key"], rule=rule.get("ID", ""), what="object")


def _expire_versions(client: "S3Client", bucket: str, rules: list[Any], now: datetime) -> Iterator[Expired]:
    by_age = [
        (rule, rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
        for rule in rules
        if (rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays")
    ]
    if not by_age:
        return
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in page.get("Versions", []):
            if item["IsLatest"]:
                continue
            for rule, age in by_age:
                if now >= item["LastModified"] + timedelta(days=age) and covers(rule, item["Key"], {}):
                    client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
                    yield Expired(bucket=bucket, key=item["Key"], rule=rule.get("ID", ""), what="noncurrent version")
                    break


def _abort_uploads(client: "S3Client", bucket: str, rules: list[Any], now: datetime) -> Iterator[Expired]:
    by_age = [
        (rule, rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        for rule in rules
        if rule.get("AbortIncompleteMultipartUpload")
    ]
    for item in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) if by_age else []:
        for rule, age in by_age:
            if now >= item["Initiated"] + timedelta(days=age) and covers(rule, item["Key"], {}):
                client.abort_multipart_upload(Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"])
                yield Expired(bucket=bucket, key=item["Key"], rule=rule.get("ID", ""), what="multipart upload")
                break


def _first_covering(client: "S3Client", bucket: str, key: str, rules: list[Any]) -> Any:
    if not rules:
        return None
    needs_tags = any("Tag" in str(rule.get("Filter")) for rule in rules)
    found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] if needs_tags else []
    tags = {tag["Key"]: tag["Value"] for tag in found}
    return next((rule for rule in rules if covers(rule, key, tags)), None)
