"""boto3 clients of a running account's root."""

from collections.abc import Callable
from typing import Any

from localcloud.settings import ROOT_SECRET
from localcloud.state_dir import Running


def clients_of(running: Running) -> Callable[[str], Any]:
    """A function from a service's name to its client; the clients share one session."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        aws_access_key_id=running.account, aws_secret_access_key=ROOT_SECRET, region_name=running.region
    )
    config = Config(connect_timeout=3, read_timeout=60, retries={"total_max_attempts": 3})
    return lambda service: session.client(service, endpoint_url=running.endpoint, config=config)  # type: ignore[call-overload]
