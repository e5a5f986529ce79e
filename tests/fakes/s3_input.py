"""A small S3 with input objects, in memory."""

import gzip
import io
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from moto import mock_aws

from spotproof.retries import Retrier, RetryPolicy
from spotproof.shards.model import PlannedShard
from spotproof.shards.planner import Plan, plan_run
from spotproof.shards.reader import ShardReader
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "input-bucket"
_SESSION = boto3.Session(region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")  # parsed once


class S3Input:
    """Puts objects into a bucket, plans them and reads shards."""

    def __init__(self, s3: "S3Client") -> None:
        self.s3 = s3
        self.retrier = Retrier(clock=FakeClock(), rng=random.Random(0), policy=RetryPolicy(patience_s=5))
        self.requests: list[tuple[str, str]] = []
        s3.meta.events.register("before-call.s3", self._count)

    def _count(self, model: Any, params: Any, **_: Any) -> None:
        self.requests.append((model.name, params["headers"].get("Range", "")))

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode() if isinstance(body, str) else body)

    def put_gzip(self, key: str, body: str) -> None:
        self.put(key, gzip.compress(body.encode(), mtime=0))

    def put_parquet(self, key: str, table: Any, row_group_size: int, **options: Any) -> None:
        file = io.BytesIO()
        pq.write_table(table, file, row_group_size=row_group_size, **options)
        self.put(key, file.getvalue())

    def clear(self) -> None:
        for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            self.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])

    def plan(self, shard_by: str, prefix: str = "in") -> Plan:
        return plan_run(s3=self.s3, retrier=self.retrier, input_uri=f"s3://{BUCKET}/{prefix}", shard_by=shard_by)

    def reader(self, plan: Plan, shard: PlannedShard) -> ShardReader:
        return ShardReader(shard, plan.header, s3=self.s3, retrier=self.retrier)

    def read(self, plan: Plan, batch: int = 1000) -> list[list[Any]]:
        """The records of each shard."""
        return [
            [record for got in self.reader(plan, shard).batches(records=batch) for record in got]
            for shard in plan.shards()
        ]

    def read_by(self, shard_by: str, batch: int = 1000) -> list[list[Any]]:
        return self.read(self.plan(shard_by), batch)


@contextmanager
def fake_s3() -> Iterator[S3Input]:
    with mock_aws():
        s3 = _SESSION.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield S3Input(s3)


def flat(shards: Iterable[list[Any]]) -> list[Any]:
    return [record for shard in shards for record in shard]


def table(**columns: Any) -> Any:
    return pa.table(columns)
