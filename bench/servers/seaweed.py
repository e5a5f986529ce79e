"""SeaweedFS as a real S3 server on this machine; `make setup-bench` installs its binary."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.servers.process import Endpoint

READY_S: Final = 60.0
MEMORY: Final = Path("/dev/shm")
# -filer.maxMB: an object of up to 64 MB is one blob; the rest keeps it from calling home and from opening other ports.
FLAGS: Final = (
    "-filer", "-s3", "-filer.maxMB=64", "-volume.max=30", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false",
    "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
)  # fmt: skip


@contextmanager
def seaweed_server(*, bucket: str = "bench") -> Iterator[Endpoint]:
    """A fresh server with an empty bucket, its files in memory where that is possible, until the block ends.

    Raises:
        RuntimeError: it is not installed, or did not become ready; the text has its last words.
    """
    program = Path(sys.executable).parent / "weed"
    if not program.exists():
        raise RuntimeError("SeaweedFS is not installed: run make setup-bench")
    folder = Path(tempfile.mkdtemp(prefix="seaweed-", dir=MEMORY if MEMORY.is_dir() else None))
    ports = _free_ports(4)
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    command = [str(program), "server", f"-dir={folder}", *FLAGS]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        url = f"http://127.0.0.1:{ports[-1]}"
        _make_bucket(f"{url}/{bucket}", process, log)
        yield Endpoint(url=url)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _make_bucket(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the server takes it: it listens before its parts have found each other."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5):
                pass
            with urllib.request.urlopen(urllib.request.Request(f"{url}/ready", data=b"yes", method="PUT"), timeout=5):
                pass
            with urllib.request.urlopen(urllib.request.Request(f"{url}/ready", method="DELETE"), timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 409:
                raise RuntimeError(f"SeaweedFS refused {url}: {error}") from error
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS did not become ready: {log.read_text(errors='replace')[-500:]}")


def _free_ports(count: int) -> list[int]:
    """Free ports whose partner 10000 higher, on which each part of SeaweedFS speaks gRPC, is free as well."""
    found: list[int] = []
    for port in range(18_000, 28_000, 7):
        if _is_free(port) and _is_free(port + 10_000):
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no free ports between 18000 and 38000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
