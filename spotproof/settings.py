"""Environment variables: the one place that reads them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal
from urllib.parse import urlsplit

from spotproof import contract
from spotproof.errors import ConfigurationError

NUMBER_MAX: Final = 1e9  # of seconds, MiB or processors: more is a slip of the hand


def environment() -> Mapping[str, str]:
    """The process environment, read-only."""
    return os.environ


def required(env: Mapping[str, str], name: str) -> str:
    """The variable's value.

    Raises:
        ConfigurationError: if it is missing or empty; the text names it.
    """
    value = env.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"environment variable {name} is not set; the job definition of the stack sets it")
    return value


def positive_float(env: Mapping[str, str], name: str, default: float) -> float:
    """The variable as a number above zero and up to NUMBER_MAX.

    Raises:
        ConfigurationError: if it is not one.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= NUMBER_MAX:
        raise ConfigurationError(
            f"environment variable {name} must be a number above 0 and at most {NUMBER_MAX:g}, got {text!r}"
        )
    return value


def whole_number(env: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    """The variable as a whole number from `least` to NUMBER_MAX.

    Raises:
        ConfigurationError: if it is not one.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= NUMBER_MAX):
        raise ConfigurationError(
            f"environment variable {name} must be a whole number from {least} to {NUMBER_MAX:g}, got {text!r}"
        )
    return int(text)


def notice_lead_s(env: Mapping[str, str]) -> float:
    """Seconds between a spot notice and the reclaim: 120 on EC2; an accelerated local account sets its own."""
    return positive_float(env, contract.ENV_NOTICE_LEAD, contract.NOTICE_LEAD_S)


def is_endpoint(url: str) -> bool:
    """Whether the text is an address that AWS's APIs could have: http or https, a host, plain characters."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or broken brackets
        return False
    return well_formed and re.fullmatch(r"[!-~]+", url) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """Which AWS to talk to. `endpoint_url` is the local account's; None is AWS itself."""

    region: str | None
    endpoint_url: str | None
    profile: str | None = None  # of the shared AWS configuration; the command line's --profile
    access_key_id: str | None = None  # None: the usual chain of credential providers
    secret_access_key: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None  # path of the certificates to trust; None: the usual ones

    @property
    def is_local(self) -> bool:
        host = urlsplit(self.endpoint_url or "").hostname
        return host in ("127.0.0.1", "localhost", "::1")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "AwsSettings":
        """Raises ConfigurationError: the endpoint is no URL."""
        endpoint_url = env.get("AWS_ENDPOINT_URL") or None
        if endpoint_url is not None and not is_endpoint(endpoint_url):
            raise ConfigurationError(
                f"AWS_ENDPOINT_URL must be a URL such as http://127.0.0.1:4566, got {endpoint_url!r}"
            )
        return cls(
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            endpoint_url=endpoint_url,
            ca_bundle=env.get("AWS_CA_BUNDLE") or None,
        )


Tracker = Literal["auto", "compare", "pagemap"]


class Transport(StrEnum):
    """What carries checkpoints to and from S3."""

    OBSTORE = "obstore"
    BOTO3 = "boto3"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Transport | None":
        """The one that is forced, if any.

        Raises:
            ConfigurationError: the variable names another.
        """
        text = env.get(contract.ENV_TRANSPORT, "").strip()
        if text and text not in (*cls,):
            raise ConfigurationError(
                f"environment variable {contract.ENV_TRANSPORT} must be {' or '.join(cls)}, got {text!r}"
            )
        return cls(text) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """What Batch tells a container about itself (job_env_vars of the Batch user guide)."""

    job_id: str  # with :index for array children; empty outside Batch
    attempt: int
    array_index: int
    queue: str
    compute_environment: str
    vcpus: float
    memory_mib: int = 0  # 0 = unknown
    array_size: int = 1  # how many workers were submitted together
    fargate_spot_queue: str = ""  # the Spot queue of a worker on Fargate; empty: it runs on an instance

    @property
    def on_fargate(self) -> bool:
        """Whether the worker has no host: no instance metadata, and SIGTERM is its notice."""
        return bool(self.fargate_spot_queue)

    @property
    def on_spot_queue(self) -> bool:
        """Of a worker on Fargate: whether its capacity can be taken away."""
        return self.queue.rpartition("/")[2] == self.fargate_spot_queue

    @property
    def parent_job_id(self) -> str:
        return self.job_id.partition(":")[0]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BatchSettings":
        return cls(
            job_id=env.get("AWS_BATCH_JOB_ID", ""),
            attempt=whole_number(env, "AWS_BATCH_JOB_ATTEMPT", 1, least=1),
            array_index=whole_number(env, "AWS_BATCH_JOB_ARRAY_INDEX", 0, least=0),
            queue=env.get("AWS_BATCH_JQ_NAME", ""),
            compute_environment=env.get("AWS_BATCH_CE_NAME", ""),
            vcpus=positive_float(env, "SPOTPROOF_VCPUS", 1.0),
            memory_mib=int(positive_float(env, contract.ENV_MEMORY, 0)),
            array_size=whole_number(env, "AWS_BATCH_JOB_ARRAY_SIZE", 1, least=1),
            fargate_spot_queue=env.get(contract.ENV_FARGATE_SPOT_QUEUE, "").strip(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Everything a worker process needs from its environment."""

    table: str
    work_bucket: str
    data_bucket: str
    aws: AwsSettings
    batch: BatchSettings
    imds_url: str
    notice_lead_s: float
    stop_grace_s: float
    log_level: str
    scratch_dir: str
    job_definition: str
    tracker: Tracker = "auto"  # how changed pages of arrays are found
    transport: Transport | None = None  # None: obstore if it can be imported, else boto3
    stack: str = "unknown"  # prefix of the deployment's stacks; a dimension of the metrics

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "WorkerSettings":
        """Raises ConfigurationError, naming the first variable that is missing or wrong."""
        return cls(
            table=required(env, contract.ENV_TABLE),
            work_bucket=required(env, contract.ENV_WORK_BUCKET),
            data_bucket=required(env, contract.ENV_DATA_BUCKET),
            aws=AwsSettings.from_env(env),
            batch=BatchSettings.from_env(env),
            imds_url=env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254",
            notice_lead_s=notice_lead_s(env),
            stop_grace_s=positive_float(env, contract.ENV_STOP_GRACE, contract.STOP_GRACE_S),
            log_level=env.get(contract.ENV_LOG_LEVEL, "INFO") or "INFO",
            scratch_dir=env.get("TMPDIR") or "/tmp",  # noqa: S108 - the container's own scratch space
            job_definition=env.get("SPOTPROOF_JOB_DEFINITION", ""),
            tracker=_tracker(env),
            transport=Transport.from_env(env),
            stack=env.get(contract.ENV_STACK, "").strip() or "unknown",
        )


def _tracker(env: Mapping[str, str]) -> Tracker:
    match env.get(contract.ENV_TRACKER, "").strip() or "auto":
        case "auto":
            return "auto"
        case "compare":
            return "compare"
        case "pagemap":
            return "pagemap"
        case text:
            raise ConfigurationError(
                f"environment variable {contract.ENV_TRACKER} must be auto, compare or pagemap, got {text!r}"
            )
