"""The `_SUCCESS` manifest: what a finished run published, shard by shard, written once."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spotproof import contract
from spotproof.checkpoints.store import ObjectStore
from spotproof.clock import from_epoch_ms
from spotproof.commits.publish import output_folder
from spotproof.errors import CheckpointCorruptError, OutputConflictError
from spotproof.leases.model import OutputFile, Run, RunState

SCHEMA: Final = 1
SIZE_MAX: Final = 512 * 2**20
VOLATILE: Final = ("times", "cost")  # the parts that two finalizers of the same run may see differently


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedShard:
    """A DONE shard whose files are at their final keys."""

    index: int
    files: tuple[OutputFile, ...]
    sha256: str
    size_bytes: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedShard:
    """A shard without output, and why."""

    index: int
    error: str
    failures: int
    losses: int


def success_manifest(
    *,
    run: Run,
    state: RunState,
    published: Iterable[PublishedShard],
    quarantined: Iterable[QuarantinedShard],
    finished_at: datetime,
    cost: Mapping[str, object],
) -> dict[str, Any]:
    """The manifest as a JSON value. Everything but `times` and `cost` follows from what was committed."""
    done = sorted(published, key=lambda shard: shard.index)
    bad = sorted(quarantined, key=lambda shard: shard.index)
    return {
        "schema": SCHEMA,
        "run": run.run_id,
        "job": run.job,
        "state": state.value,
        "degraded": bool(bad),
        "input": run.input_uri,
        "output": run.output_uri,
        "plan_sha256": run.plan_sha256,
        "shards": [_shard(shard) for shard in done],
        "quarantined": [
            {"shard": shard.index, "error": shard.error, "failures": shard.failures, "losses": shard.losses}
            for shard in bad
        ],
        "records": sum(shard.records for shard in done),
        "size_bytes": sum(shard.size_bytes for shard in done),
        "times": {
            "created_at": from_epoch_ms(run.created_at).isoformat(),
            "finished_at": finished_at.isoformat(),
        },
        "cost": dict(cost),
    }


def write_success(objects: ObjectStore, run: Run, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the manifest unless one stands; the one that stands.

    Raises:
        OutputConflictError: another run's, or another content than ours, stands at the key; it is never overwritten.
        AwsError: the bucket refused or stayed unavailable.
    """
    key = success_key(run)
    body = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
    if objects.put_if_absent(key, body, content_type="application/json"):
        return manifest
    stored = read_success(objects, run)
    if stored is None or _lasting(stored) != _lasting(manifest):
        raise OutputConflictError(
            f"{run.output_uri}{contract.SUCCESS_NAME} is of another run or content: use an output prefix of its own"
        )
    return stored


def read_success(objects: ObjectStore, run: Run) -> Mapping[str, Any] | None:
    """The manifest that stands; None if there is none.

    Raises:
        OutputConflictError: what stands there is no manifest.
    """
    try:
        body = objects.get(success_key(run), size_max=SIZE_MAX)
        content = None if body is None else json.loads(body)
    except (ValueError, RecursionError, CheckpointCorruptError) as error:
        raise OutputConflictError(f"{run.output_uri}{contract.SUCCESS_NAME} is not a manifest of ours") from error
    if content is not None and not isinstance(content, dict):
        raise OutputConflictError(f"{run.output_uri}{contract.SUCCESS_NAME} is not a manifest of ours")
    return content


def success_key(run: Run) -> str:
    return f"{output_folder(run).key}{contract.SUCCESS_NAME}"


def _lasting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name not in VOLATILE}


def _shard(shard: PublishedShard) -> dict[str, Any]:
    return {
        "index": shard.index,
        "records": shard.records,
        "size_bytes": shard.size_bytes,
        "sha256": shard.sha256,
        "files": [
            {"name": file.name, "sha256": file.sha256, "size_bytes": file.size_bytes}
            for file in sorted(shard.files, key=lambda file: file.name)
        ],
    }
