"""Deleting a run's 10,000 objects: `aws s3 rm --recursive` and our clean-up, by turns, each in a process of its own.

Run: python -m bench.cleanup (after `make setup-bench`; `--quick` for a look). Claim: at least 3 times the speed. Both
processes start cold, import what they need, and find 10,000 small objects below one folder; afterwards the folder must
be empty. CPU seconds are the client's alone. Requests are ours as counted and, for the AWS command line, those that it
sends in its debug log of one more, uncounted round.
"""

import argparse
import http.client
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

from bench.machine import publish, spread
from bench.servers.process import Endpoint, null_server
from bench.servers.seaweed import seaweed_server
from spotproof.checkpoints.garbage_deletion import BulkDeletion
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectFacts, Undeleted
from spotproof.clients import Clients
from spotproof.clock import SystemClock
from spotproof.concurrency import ThreadSpawner
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings

BUCKET: Final = "bench"
FOLDER: Final = "checkpoints/run/"
OBJECTS: Final = 10_000
BODY: Final = b"x" * 1024
FILLERS: Final = 32
SENT: Final = re.compile(rb"Making request for OperationModel\(name=(\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A server to delete from."""

    name: str
    server: Callable[[], AbstractContextManager[Endpoint]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took from start to end."""

    wall_s: float
    cpu_s: float


SCENES: Final = (
    Scene(name="null server, HTTP", server=partial(null_server, bucket=BUCKET)),
    Scene(name="shaped: 30 ms per request, HTTP", server=partial(null_server, latency_ms=30.0, bucket=BUCKET)),
    Scene(name="SeaweedFS, HTTP", server=partial(seaweed_server, bucket=BUCKET)),
)


class CountingStore:
    """The bucket as the clean-up sees it; counts requests, a page of the listing for every thousand keys."""

    def __init__(self, store: S3ObjectStore) -> None:
        self._store = store
        self.listed = 0
        self.deletes = 0

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        self.deletes += 1
        return self._store.delete_batch(keys)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
        for facts in self._store.list(prefix, after=after):
            self.listed += 1
            yield facts

    @property
    def requests(self) -> int:
        return self.deletes + max(1, -(-self.listed // 1000))


def settings_of(url: str) -> AwsSettings:
    return AwsSettings(region="us-east-1", endpoint_url=url, access_key_id="bench", secret_access_key="bench")


def store_at(url: str) -> S3ObjectStore:
    retrier = Retrier(clock=SystemClock(), rng=random.Random(1))
    return S3ObjectStore(client=Clients(settings=settings_of(url)).s3, bucket=BUCKET, retrier=retrier)


def delete_ours(url: str) -> None:
    """What the measured process does: the clean-up as the finalizer runs it. Prints what it did."""
    store, clock = CountingStore(store_at(url)), SystemClock()
    done = BulkDeletion(objects=store, spawner=ThreadSpawner(), clock=clock).delete_all(
        FOLDER, deadline=clock.monotonic() + 900
    )
    print(json.dumps({"deleted": done.deleted, "requests": store.requests, "complete": done.complete}))


def fill(url: str, count: int) -> None:
    """Put the objects, unsigned, over kept connections: not what is measured."""
    place = urlsplit(url)

    def put(numbers: range) -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        for number in numbers:
            connection.request("PUT", f"/{BUCKET}/{FOLDER}{number:08d}/d/{number:012d}", body=BODY)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the server at {url} refused an object: {answer.status}")
        connection.close()

    with ThreadPoolExecutor(FILLERS) as threads:
        list(threads.map(put, [range(first, count, FILLERS) for first in range(FILLERS)]))


def measure(command: Sequence[str]) -> tuple[Cost, bytes]:
    """Run the process to its end; what it took, and its output."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, env=environment(), capture_output=True, check=False)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RuntimeError(f"{command[0]} failed: {ended.stderr.decode(errors='replace')[-500:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s=wall_s, cpu_s=cpu_s), ended.stdout + ended.stderr


def environment() -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
    nothing_of_the_user = {"AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    return {**os.environ, **credentials, **nothing_of_the_user}


def commands(url: str) -> dict[str, list[str]]:
    aws = str(Path(sys.executable).parent / "aws")
    theirs = [sys.executable, aws, "s3", "rm", f"s3://{BUCKET}/{FOLDER}", "--recursive", "--only-show-errors"]
    return {
        "aws s3 rm --recursive": [*theirs, "--endpoint-url", url],
        "spotproof": [sys.executable, "-m", "bench.cleanup", "--delete", url],
    }


def one_round(url: str, command: Sequence[str], count: int) -> tuple[Cost, bytes]:
    fill(url, count)
    cost, output = measure(command)
    left = sum(1 for _ in store_at(url).list(FOLDER))
    if left:
        raise RuntimeError(f"{command[0]} left {left} of {count} objects")
    return cost, output


def count_requests(count: int) -> dict[str, int]:
    """From a round of its own, the same at every server: the debug log is slow."""
    with null_server(bucket=BUCKET) as endpoint:
        theirs, ours = commands(endpoint.url).items()
        _, log = one_round(endpoint.url, [*theirs[1], "--debug"], count)
        _, said = one_round(endpoint.url, ours[1], count)
    return {theirs[0]: len(SENT.findall(log)), ours[0]: int(json.loads(said)["requests"])}


def play(scene: Scene, *, rounds: int, count: int) -> dict[str, Any]:
    with scene.server() as endpoint:
        ways = commands(endpoint.url)
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, command in ways.items():
                costs[name].append(one_round(endpoint.url, command, count)[0])
    base, ours = costs.values()
    print(f"{scene.name}: {median(ratios(base, ours, 'wall_s')):.1f} x", file=sys.stderr)
    return {
        **{
            name: {
                "wall_s": spread([each.wall_s for each in found]),
                "cpu_s": spread([each.cpu_s for each in found]),
            }
            for name, found in costs.items()
        },
        "times_faster_wall": spread(ratios(base, ours, "wall_s")),
        "times_less_cpu": spread(ratios(base, ours, "cpu_s")),
    }


def ratios(base: Sequence[Cost], ours: Sequence[Cost], member: str) -> list[float]:
    """Round by round."""
    return [getattr(theirs, member) / getattr(mine, member) for theirs, mine in zip(base, ours, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, and nothing is published")
    parser.add_argument("--rounds", type=int, default=5, help="of each client (5)")
    parser.add_argument("--delete", metavar="URL", help="used by itself: delete there, and say what was done")
    arguments = parser.parse_args()
    if arguments.delete:
        delete_ours(arguments.delete)
        return
    version = subprocess.run([*commands("")["aws s3 rm --recursive"][:2], "--version"], capture_output=True, text=True)
    facts: dict[str, Any] = {"objects": OBJECTS, "object_bytes": len(BODY), "aws": version.stdout.split(" ")[0]}
    facts["requests"] = count_requests(OBJECTS)
    rounds = 1 if arguments.quick else arguments.rounds
    results = {scene.name: play(scene, rounds=rounds, count=OBJECTS) for scene in SCENES}
    if arguments.quick:
        print(json.dumps({**facts, "scenes": results}, indent=1))
    else:
        publish("cleanup", {**facts, "scenes": results})


if __name__ == "__main__":
    main()
