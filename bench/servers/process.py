"""Servers in processes of their own, so that their work is not counted as the client's."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.servers.certificate import CERTIFICATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens, and the certificate to trust there."""

    url: str
    certificate: Path | None = None


@contextmanager
def null_server(
    *, latency_ms: float = 0.0, mbps: float = 0.0, tls_folder: Path | None = None, bucket: str = "bench"
) -> Iterator[Endpoint]:
    """bench.servers.null with an empty bucket, until the block ends."""
    command = [sys.executable, "-m", "bench.servers.null", "--bucket", bucket]
    command += ["--latency-ms", str(latency_ms), "--mbps", str(mbps)]
    command += ["--tls", str(tls_folder)] if tls_folder else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the null server did not start; its own words are above")
        yield Endpoint(url=url, certificate=tls_folder / CERTIFICATE if tls_folder else None)
    finally:
        process.stdin.close()
        process.wait(timeout=10)
