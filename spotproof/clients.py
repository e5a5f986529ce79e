"""AWS clients: the one place that makes them, with explicit timeouts and no hidden retries."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from spotproof import contract
from spotproof.clock import Clock, SystemClock
from spotproof.errors import ConfigurationError
from spotproof.settings import AwsSettings

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient
    from obstore.store import S3Credential, S3Store

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
POOL_CONNECTIONS = 16
# botocore renews credentials at the latest ten minutes before they end (botocore.credentials, mandatory refresh).
# obstore asks again when less than five minutes of this are left, so it never signs with any that have ended.
CREDENTIALS_TTL: Final = timedelta(minutes=10)


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

    @property
    def autoscaling(self) -> Any: ...


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
            verify=self.settings.ca_bundle,
        )

    def obstore(self, bucket: str, *, timeout_s: float, read_timeout_s: float | None = None) -> "S3Store":
        """obstore's client of a bucket: the endpoint, region and credentials of `s3`, and no retries either.

        Args:
            bucket: its name.
            timeout_s: for a whole request, from the connection to the last byte of the answer.
            read_timeout_s: until the answer begins, the request's own body included, and between parts of it.

        Raises:
            ImportError: obstore is not installed, or not for this machine.
            ConfigurationError: the endpoint is not local and not HTTPS.
        """
        from obstore.store import S3Store

        endpoint, with_bucket = endpoint_of(self.s3.meta.endpoint_url, bucket)
        if not self.settings.is_local and not endpoint.startswith("https:"):
            raise ConfigurationError(
                f"endpoint {endpoint} must be https for checkpoints; or set {contract.ENV_TRANSPORT}=boto3 to use it as it is"
            )
        options: dict[str, Any] = {
            "allow_http": self.settings.is_local,
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "timeout": timedelta(seconds=timeout_s),
            "user_agent": "spotproof",
        }
        if read_timeout_s is not None:
            options["read_timeout"] = timedelta(seconds=read_timeout_s)
        if self.settings.ca_bundle:
            options["root_certificate"] = Path(self.settings.ca_bundle).read_bytes()
        return S3Store(
            bucket,
            endpoint=endpoint,
            aws_endpoint_url_s3=endpoint,  # or the environment's would win
            virtual_hosted_style_request=with_bucket,
            region=self.s3.meta.region_name,
            skip_signature=False,
            unsigned_payload=True,  # as botocore does over HTTPS; what we store carries its own hashes
            credential_provider=self.credentials,
            client_options=options,  # type: ignore[arg-type]
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=timeout_s)},
        )

    @cached_property
    def credentials(self) -> "SessionCredentials":
        """Those that the clients sign with, for signers that are not botocore."""
        import boto3

        session = self._session
        if session is boto3:
            if boto3.DEFAULT_SESSION is None:
                boto3.setup_default_session()
            session = boto3.DEFAULT_SESSION
        return SessionCredentials(session.get_credentials(), SystemClock())

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
    def autoscaling(self) -> Any:
        """Auto Scaling: what EC2 refused to launch."""
        return self._make("autoscaling")

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

    @cached_property
    def lambda_(self) -> "LambdaClient":
        client: LambdaClient = self._make("lambda")
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        client: SQSClient = self._make("sqs")
        return client

    @cached_property
    def fis(self) -> Any:
        """The Fault Injection Service; no type stubs of it are installed, nor of those below."""
        return self._make("fis")

    @cached_property
    def cloudwatch(self) -> Any:
        return self._make("cloudwatch")

    @cached_property
    def iam(self) -> Any:
        return self._make("iam")

    @cached_property
    def kms(self) -> Any:
        return self._make("kms")

    @cached_property
    def service_quotas(self) -> Any:
        return self._make("service-quotas")

    @cached_property
    def sns(self) -> Any:
        return self._make("sns")

    @cached_property
    def ssm(self) -> Any:
        return self._make("ssm")


class SessionCredentials:
    """What obstore calls for credentials: a botocore session's, which renews them itself."""

    def __init__(self, credentials: "Credentials | None", clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self.failure: BotoCoreError | None = None  # why the last call gave none

    def __call__(self) -> "S3Credential":
        from botocore.exceptions import BotoCoreError, NoCredentialsError

        expires_at = self._clock.now() + CREDENTIALS_TTL
        try:
            if self._credentials is None:
                raise NoCredentialsError
            frozen = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            self.failure = error
            raise
        self.failure = None
        return {
            "access_key_id": str(frozen.access_key),
            "secret_access_key": str(frozen.secret_key),
            "token": frozen.token,
            "expires_at": expires_at,
        }


def endpoint_of(s3_url: str, bucket: str) -> tuple[str, bool]:
    """The bucket's endpoint at an S3, and whether it names the bucket: on AWS it does, unless TLS would not fit.

    A wildcard certificate covers one label, so a bucket with a dot in its name goes into the path ("Virtual hosting of
    buckets", S3 user guide).
    """
    url = urlsplit(s3_url)
    if "." not in bucket and (url.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return f"{url.scheme}://{bucket}.{url.netloc}", True
    return s3_url, False
