"""Manifests whose objects are named by the test, and their places in a bucket."""

from collections.abc import Iterable
from datetime import UTC, datetime

from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import Manifest, ManifestId, MapEntry, data_key, encode_manifest
from spotproof.checkpoints.segment import Segment
from spotproof.leases.model import CheckpointPointer

RUN = "2026-11-22"
NONCE = "0a"


def a_data_key(epoch: int, seq: int, number: int = 0, *, shard: int = 0, nonce: str = NONCE) -> str:
    return data_key(RUN, shard, ManifestId(epoch=epoch, seq=seq, nonce=nonce), number)


def a_manifest(
    epoch: int, seq: int, named: Iterable[str], *, parent: str | None = None, shard: int = 0, nonce: str = NONCE
) -> Manifest:
    """A generation of one map that lies in the named objects, two segments in each."""
    segments = [
        Segment(key=key, offset=offset, size_bytes=2, raw_bytes=2, codec="raw", xxh3="0" * 32, count=1)
        for key in named
        for offset in (0, 2)
    ]
    maps = {"m": MapEntry(base=segments[0], deltas=tuple(segments[1:]), length=1)} if segments else {}
    return Manifest(
        run_id=RUN, shard=shard, id=ManifestId(epoch=epoch, seq=seq, nonce=nonce), parent=parent, writer="worker",
        created=datetime(2026, 11, 22, tzinfo=UTC), serializer="json", inline="{}", values=None, maps=maps, images={},
        slice_bytes=4096,
    )  # fmt: skip


def put_generation(objects: InMemoryObjectStore, manifest: Manifest) -> CheckpointPointer:
    """Write the manifest and all it names."""
    for key in sorted(manifest.keys - {manifest.key}):
        objects.put(key, b"data")
    objects.put(manifest.key, encode_manifest(manifest))
    return CheckpointPointer(manifest_key=manifest.key, seq=manifest.id.seq)
