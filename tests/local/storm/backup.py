"""Copies of the account's table and buckets: an account that was killed has neither any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCopy:
    """Every item of a table at one moment."""

    table: str
    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCopy:
    """One object with all that readers of it look at."""

    bucket: str
    key: str
    body: bytes
    content_type: str
    metadata: Mapping[str, str]


def copy_table(client: "DynamoDBClient", table: str) -> TableCopy:
    """The table as one consistent page: like a point in time of its backups, never a mixture of two.

    Raises:
        ValueError: the table has more than a page, which the emulator would not read at one moment.
    """
    page = client.scan(TableName=table, ConsistentRead=True)
    if "LastEvaluatedKey" in page:
        raise ValueError(f"table {table} is too big for a copy of one moment")
    return TableCopy(table=table, items=page["Items"])


def restore_table(client: "DynamoDBClient", copy: TableCopy) -> None:
    """Put every item into the (empty) table of the same name."""
    for item in copy.items:
        client.put_item(TableName=copy.table, Item=item)


def copy_bucket(client: "S3Client", bucket: str) -> list[ObjectCopy]:
    """Every object of the bucket; one that is deleted meanwhile is left out."""
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for listed in page.get("Contents", []):
            try:
                answer = client.get_object(Bucket=bucket, Key=listed["Key"])
            except client.exceptions.NoSuchKey:
                continue
            found.append(
                ObjectCopy(
                    bucket=bucket,
                    key=listed["Key"],
                    body=answer["Body"].read(),
                    content_type=answer["ContentType"],
                    metadata=answer["Metadata"],
                )
            )
    return found


def restore_objects(client: "S3Client", copies: Sequence[ObjectCopy]) -> None:
    """Put every object back under its key."""
    for copy in copies:
        client.put_object(
            Bucket=copy.bucket,
            Key=copy.key,
            Body=copy.body,
            ContentType=copy.content_type,
            Metadata=dict(copy.metadata),
        )
