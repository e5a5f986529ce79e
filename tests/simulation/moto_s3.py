"""S3 as moto plays it: the other side of the comparison."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from moto import mock_aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SESSION = boto3.Session(region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")  # parsed once


def moto_client(service: Literal["s3", "dynamodb"]) -> Any:
    """To be made within `mock_aws`."""
    return _SESSION.client(service, config=Config(retries={"total_max_attempts": 1}))


@contextmanager
def moto_s3(*buckets: str) -> Iterator["S3Client"]:
    """A client of an account with these empty buckets."""
    with mock_aws():
        client: S3Client = moto_client("s3")
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield client
