"""AWS clients: the one place that makes them, with explicit timeouts and no hidden retries."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from spotproof.settings import AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
POOL_CONNECTIONS = 16


class AwsClients(Protocol):
    """The clients that workers and Lambdas use; the simulator passes its own."""

    @property
    def dynamodb(self) -> "DynamoDBClient": ...

    @property
    def s3(self) -> "S3Client": ...

    @property
    def batch(self) -> "BatchClient": ...

    @property
    def events(self) -> "EventBridgeClient": ...

    @property
    def ec2(self) -> "EC2Client": ...


@dataclass(frozen=True)
class Clients:
    """Lazily made clients of one account and region.

    botocore's own retries are off: spotproof.retries is the single retry layer, because a retry must know the drain
    deadline and must be simulated.
    """

    settings: AwsSettings

    @cached_property
    def _session(self) -> Any:
        import boto3

        if self.settings.profile is None and self.settings.access_key_id is None:
            return boto3  # its default session: service models are loaded once in a process
        return boto3.Session(
            profile_name=self.settings.profile,
            aws_access_key_id=self.settings.access_key_id,
            aws_secret_access_key=self.settings.secret_access_key,
        )

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=POOL_CONNECTIONS,
            s3={"addressing_style": "path" if self.settings.is_local else "auto"},
            user_agent_extra="spotproof",
        )
        return self._session.client(
            service,
            config=config,
            region_name=self.settings.region,
            endpoint_url=self.settings.endpoint_url,
        )

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        client: DynamoDBClient = self._make("dynamodb")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        client: S3Client = self._make("s3")
        return client

    @cached_property
    def batch(self) -> "BatchClient":
        client: BatchClient = self._make("batch")
        return client

    @cached_property
    def events(self) -> "EventBridgeClient":
        client: EventBridgeClient = self._make("events")
        return client

    @cached_property
    def ec2(self) -> "EC2Client":
        client: EC2Client = self._make("ec2")
        return client

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        client: CloudWatchLogsClient = self._make("logs")
        return client

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        client: CloudFormationClient = self._make("cloudformation")
        return client

    @cached_property
    def sts(self) -> "STSClient":
        client: STSClient = self._make("sts")
        return client
