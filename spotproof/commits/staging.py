"""Uploading a shard's output under the token of the attempt, before the commit names it."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from spotproof.checkpoints.store import ObjectStore
from spotproof.commits.names import index_of, is_own_name
from spotproof.commits.staged_file import StagedFile
from spotproof.contract import staging_prefix
from spotproof.errors import (
    MALFORMED,
    CheckpointCorruptError,
    LeaseLostError,
    OutputConflictError,
    OutputDamagedError,
)
from spotproof.leases.model import Lease, OutputFile, OutputPointer, RunId

INLINE_FILES_MAX: Final = 3  # more are listed in an object, to keep the shard's row small
LIST_NAME: Final = "files.json"
LIST_BYTES_MAX: Final = 64 * 2**20
SHA256_KEY: Final = "sha256"  # metadata of staged and final objects: lower-case hex
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def attempt_prefix(lease: Lease) -> str:
    """Where one attempt stages: nobody else writes there, because tokens and session ids are never used twice."""
    return f"{staging_prefix(lease.run_id, lease.index)}{lease.fencing_token:08d}-{lease.owner}/"


def stage(objects: ObjectStore, lease: Lease, files: Iterable[StagedFile]) -> OutputPointer:
    """Upload the files; durable when it returns, visible to nobody until the commit.

    Args:
        objects: the work bucket.
        files: with distinct names; may be none at all, for a shard without output.

    Raises:
        OutputConflictError: our staging folder holds other bytes (two outputs under one lease).
        LeaseLostError: what we uploaded was cleaned up: somebody else has done the shard.
        AwsError: the bucket refused or stayed unavailable.
    """
    ordered = sorted(files, key=lambda file: file.name)
    staged = tuple(_upload(objects, lease, file) for file in ordered)
    pointer = OutputPointer(
        files=staged,
        manifest_key=None,
        sha256=digest_of(staged),
        size_bytes=sum(file.size_bytes for file in staged),
        records=sum(file.records for file in ordered),
    )
    if len(staged) <= INLINE_FILES_MAX:
        return pointer
    listing = StagedFile.of_bytes(LIST_NAME, _encode(staged), records=0)
    key = _upload(objects, lease, listing).staged_key
    return OutputPointer(
        files=(), manifest_key=key, sha256=pointer.sha256, size_bytes=pointer.size_bytes, records=pointer.records
    )


def read_output_pointer(
    objects: ObjectStore, run_id: RunId, index: int, pointer: OutputPointer
) -> tuple[OutputFile, ...]:
    """All staged files that a commit names, by name.

    Raises:
        OutputDamagedError: the listing is gone or differs from what was committed, or names foreign objects.
        AwsError: the bucket refused or stayed unavailable.
    """
    files = pointer.files
    prefix = staging_prefix(run_id, index)
    if pointer.manifest_key is not None:
        if not pointer.manifest_key.startswith(prefix):
            raise OutputDamagedError(f"shard {index} names the listing {pointer.manifest_key}, not below {prefix}")
        files = _read_listing(objects, pointer.manifest_key)
    if digest_of(files) != pointer.sha256:
        raise OutputDamagedError(f"the files of shard {index} are not the ones that were committed")
    for file in files:
        if index_of(file.name) != index or not is_own_name(file.name) or not file.staged_key.startswith(prefix):
            raise OutputDamagedError(f"shard {index} names {file.staged_key} as {file.name}, which is not its own")
    return files


def digest_of(files: Iterable[OutputFile]) -> str:
    """What a commit vouches for: the sorted names, digests and sizes of all files."""
    facts = sorted((file.name, file.sha256, file.size_bytes) for file in files)
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()


def _upload(objects: ObjectStore, lease: Lease, file: StagedFile) -> OutputFile:
    key = attempt_prefix(lease) + file.name
    metadata = {SHA256_KEY: file.sha256}
    created = objects.put_if_absent(key, file.content, content_type=file.content_type, metadata=metadata)
    if not created:
        _check_own_write(objects, key, file)
    return OutputFile(name=file.name, staged_key=key, sha256=file.sha256, size_bytes=file.size_bytes)


def _check_own_write(objects: ObjectStore, key: str, file: StagedFile) -> None:
    """The key is taken: by our own write whose reply was lost, or something is wrong."""
    facts = objects.head(key)
    if facts is None:
        raise LeaseLostError(f"{key} is there and gone again: the run is over and was cleaned up")
    if (facts.size_bytes, facts.metadata.get(SHA256_KEY)) != (file.size_bytes, file.sha256):
        raise OutputConflictError(f"{key} holds other bytes than this attempt's: staged objects are never overwritten")


def _encode(files: Iterable[OutputFile]) -> bytes:
    return json.dumps([asdict(file) for file in files], separators=(",", ":"), sort_keys=True).encode()


def _read_listing(objects: ObjectStore, key: str) -> tuple[OutputFile, ...]:
    try:
        data = objects.get(key, size_max=LIST_BYTES_MAX)
    except CheckpointCorruptError as error:
        raise OutputDamagedError(f"the listing {key} is not what was committed: {error}") from error
    if data is None:
        raise OutputDamagedError(f"the listing {key} is gone")
    try:
        return tuple(_file(item) for item in json.loads(data))
    except MALFORMED as error:
        raise OutputDamagedError(f"the listing {key} is malformed: {error}") from error


def _file(item: dict[str, Any]) -> OutputFile:
    file = OutputFile(**item)
    texts = (file.name, file.staged_key, file.sha256)
    if not all(isinstance(text, str) for text in texts) or type(file.size_bytes) is not int:
        raise TypeError(f"wrong types in {item!r:.80}")
    if not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"bad digest in {item!r:.80}")
    return file
