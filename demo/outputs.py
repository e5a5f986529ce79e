"""A run's published output: its objects by name, their hashes, and the statistics in them."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.statistics import FIELDS, DelayStatistics, Row, merged
from spotproof import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutput:
    """Every object below a run's output prefix, by name relative to it."""

    objects: Mapping[str, bytes]

    @property
    def success(self) -> bytes | None:
        """The `_SUCCESS` manifest, None if there is none."""
        return self.objects.get(contract.SUCCESS_NAME)

    @property
    def data(self) -> dict[str, bytes]:
        """The objects that shards committed: all but the manifest."""
        return {name: body for name, body in sorted(self.objects.items()) if name != contract.SUCCESS_NAME}

    def digests(self) -> dict[str, str]:
        """SHA-256 of every committed object, hexadecimal."""
        return {name: hashlib.sha256(body).hexdigest() for name, body in self.data.items()}

    def statistics(self) -> DelayStatistics:
        """What all shards computed together."""
        carriers = [_parquet_rows(body) for name, body in self.data.items() if name.endswith(".parquet")]
        routes = [_json_rows(body) for name, body in self.data.items() if name.endswith(".json")]
        return DelayStatistics(carriers=merged(carriers), routes=merged(routes))


def read_output(client: "S3Client", uri: str) -> RunOutput:
    """Every object below `uri` (s3://bucket/prefix/)."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    objects = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            body = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            objects[item["Key"].removeprefix(prefix)] = body
    return RunOutput(objects=objects)


def _parquet_rows(body: bytes) -> dict[str, Row]:
    import pyarrow.parquet as parquet

    rows = parquet.read_table(io.BytesIO(body)).to_pylist()
    return {row["carrier"]: tuple(row[field] for field in FIELDS) for row in rows}


def _json_rows(body: bytes) -> dict[str, Row]:
    return {name: tuple(row) for name, row in json.loads(body).items()}
