"""Which generations of a shard's checkpoints may be restored, in which order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spotproof.checkpoints.manifest import Manifest, parse_manifest_key
from spotproof.checkpoints.metered import MeteredStore
from spotproof.checkpoints.state import State
from spotproof.contract import checkpoints_prefix
from spotproof.leases.model import CheckpointPointer, Lease

TRIED_MAX: Final = 8  # older generations; two are kept, failed saves may have left some more


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One intact generation."""

    manifest: Manifest
    state: State
    values: bytes  # the inline values, encoded


def candidate_keys(objects: MeteredStore, lease: Lease, pointer: CheckpointPointer) -> Iterator[str]:
    """The pointer's manifest, then older ones, newest first. The bucket is listed only if the first was refused."""
    yield pointer.manifest_key
    found = {
        key: parse_manifest_key(key, run_id=lease.run_id, shard=lease.index)
        for key in objects.keys(checkpoints_prefix(lease.run_id, lease.index))
    }
    older = {
        key: each
        for key, each in found.items()
        if each is not None and each.epoch <= lease.fencing_token and each.seq < pointer.seq
    }
    yield from sorted(older, key=lambda key: older[key], reverse=True)[:TRIED_MAX]
