"""The servers that are measured against, each with both clients."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from bench.servers.process import null_server
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.clients import Clients
from spotproof.clock import SystemClock
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings

BUCKET: Final = "bench"
SERVERS: Final = ("null", "null-tls", "shaped", "seaweed")
SHAPED_LATENCY_MS: Final = 30.0
SHAPED_MBPS: Final = 90.0  # 10^6 bytes a second and connection
KEY: Final = "0" * 16  # no server here checks it


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One endpoint."""

    server: str
    objects: ObjectStore
    boto3_client: Any  # with boto3's own defaults, besides the address


@contextmanager
def open_bench(server: str) -> Iterator[Bench]:
    """The server with its empty bucket, until the block ends."""
    with tempfile.TemporaryDirectory() as folder, _endpoint(server, Path(folder)) as endpoint:
        certificate = str(endpoint.certificate) if endpoint.certificate else None
        settings = AwsSettings(
            region="us-east-1",
            endpoint_url=endpoint.url,
            access_key_id=KEY,
            secret_access_key=KEY,
            ca_bundle=certificate,
        )
        clients = Clients(settings)
        objects = ObstoreObjectStore(
            clients=clients, bucket=BUCKET, retrier=Retrier(clock=SystemClock(), rng=random.Random(1))
        )
        peer = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=endpoint.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            verify=certificate,
            config=Config(s3={"addressing_style": "path"}),  # there are no bucket names in 127.0.0.1
        )
        yield Bench(server=server, objects=objects, boto3_client=peer)


def _endpoint(server: str, folder: Path) -> Any:
    match server:
        case "null":
            return null_server(bucket=BUCKET)
        case "null-tls":
            return null_server(bucket=BUCKET, tls_folder=folder)
        case "shaped":
            return null_server(bucket=BUCKET, latency_ms=SHAPED_LATENCY_MS, mbps=SHAPED_MBPS)
        case "seaweed":
            from bench.servers.seaweed import seaweed_server  # its package is installed for benches only

            return seaweed_server(bucket=BUCKET)
    raise ValueError(f"server must be one of {SERVERS}, got {server!r}")
