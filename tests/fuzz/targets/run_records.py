"""Targets: what finished runs left: records for the sizing, manifests of outputs, lists of staged files."""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from spotproof.capacity.sizing.history import JobHistory
from spotproof.capacity.sizing.record import decode_record
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.clock import Clock
from spotproof.commits.staging import digest_of, read_output_pointer
from spotproof.commits.success import read_success, success_key
from spotproof.contract import staging_prefix
from spotproof.errors import ItemError, OutputConflictError, OutputDamagedError, SpotproofError
from spotproof.leases.model import OutputFile, OutputPointer
from spotproof.retries import Retrier
from spotproof_cli.downloads import relative_path
from spotproof_cli.success_manifest import read_manifest
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run
from tests.fuzz.mutations import json_mutation
from tests.fuzz.target import Target
from tests.fuzz.targets.names import is_inside
from tests.fuzz.targets.plans import OneObject
from tests.unit.capacity.sizing_samples import a_record, a_sample

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET: Final = "objects in a bucket that others may have written"
RUN: Final = a_run()
PREFIX: Final = staging_prefix(RUN.run_id, 7)
FILES: Final = tuple(
    OutputFile(
        name=f"part-00000007/{name}", staged_key=f"{PREFIX}1-w/{name}", sha256=f"{number}" * 64, size_bytes=number
    )
    for number, name in enumerate(("a.csv", "b/c.csv", "d.png", "e.json"))
)
SUCCESS: Final[dict[str, Any]] = {
    "schema": 1,
    "run": RUN.run_id,
    "job": RUN.job,
    "state": "COMPLETE",
    "shards": [
        {
            "index": 0,
            "records": 5,
            "size_bytes": 9,
            "sha256": "a" * 64,
            "files": [{"name": "part-00000000.json", "sha256": "a" * 64, "size_bytes": 9}],
        }
    ],
    "quarantined": [{"shard": 1, "error": "x", "failures": 3, "losses": 0}],
    "records": 5,
    "size_bytes": 9,
    "times": {},
    "cost": {"total_usd": "0.01"},
}


def targets() -> tuple[Target, ...]:
    records = [a_record().encode(), a_record(samples=(a_sample(instance_type=""),), pools=(), vcpus=0.0).encode()]
    listing = [
        {"name": each.name, "staged_key": each.staged_key, "sha256": each.sha256, "size_bytes": each.size_bytes}
        for each in FILES
    ]
    return (
        _target("run-record", records, _record, (ItemError,)),
        _target("success-manifest", [json.dumps(SUCCESS).encode()], _success, (OutputConflictError, OutputDamagedError)),
        _target("staged-files", [json.dumps(listing).encode()], _staged, (OutputDamagedError,)),
    )  # fmt: skip


def _target(
    name: str, seeds: list[bytes], attempt: Callable[[bytes], object], refusals: tuple[type[SpotproofError], ...]
) -> Target:
    return Target(name=name, surface=BUCKET, seeds=seeds, mutate=json_mutation, attempt=attempt, refusals=refusals)


def _record(body: bytes) -> object:
    """What is read can be counted with: no number of it breaks the sizing of the next run."""
    history = JobHistory.of([decode_record(body, what="the record")])
    if not history.runs:
        return "no shards"
    told = (history.seconds, history.memory, history.cores, history.relative_times, history.overheads)
    assert all(0 < share <= 1 for share in (*history.presences, history.busy_share))
    return [each is None for each in told].count(True)


def _success(body: bytes) -> object:
    """As the finalizer and as the command line read it."""
    objects = InMemoryObjectStore()
    objects.put(success_key(RUN), body)
    read_success(objects, RUN)
    clock: Clock = FakeClock()
    bucket = cast("S3Client", WholeObject(body))
    manifest = read_manifest(RUN, s3=bucket, retrier=Retrier(clock=clock, rng=random.Random(0)))
    assert manifest is not None
    assert all(is_inside(str(relative_path(file.name))) for file in manifest.files), "downloads stay in their folder"
    return len(manifest.files)


class WholeObject(OneObject):
    """A bucket with one object that is read whole."""

    def get_object(self, *, Bucket: str, Key: str, Range: str = "bytes=0-99999999") -> dict[str, Any]:  # noqa: N803
        return super().get_object(Bucket=Bucket, Key=Key, Range=Range)


def _staged(body: bytes) -> object:
    """A list under its right digest, whoever wrote it: it names the shard's own files or is refused."""
    objects = InMemoryObjectStore()
    key = f"{PREFIX}files.json"
    objects.put(key, body)
    pointer = OutputPointer(files=(), manifest_key=key, sha256=_digest(body), size_bytes=0, records=0)
    files = read_output_pointer(objects, RUN.run_id, 7, pointer)
    assert all(file.staged_key.startswith(PREFIX) for file in files), "staged files are the shard's own"
    assert all(is_inside(file.name) for file in files), "and lie in the run's output"
    return len(files)


def _digest(body: bytes) -> str:
    """As a forger would write it; any other for what has none."""
    try:
        return digest_of(OutputFile(**each) for each in json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return "f" * 64
