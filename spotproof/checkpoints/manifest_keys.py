"""Keys of a shard's checkpoint objects: who wrote them, for which save, and which save is newer."""

import re
from dataclasses import dataclass, field
from typing import Final

from spotproof.contract import checkpoints_prefix

_EPOCH: Final = re.compile(r"[0-9]{1,18}")
_MANIFEST_TAIL: Final = re.compile(r"([0-9]{8,18})/m/([0-9]{12,18})-([0-9A-Za-z]+)")
_DATA_TAIL: Final = re.compile(r"[0-9]{8,18}/d/[0-9]{12,18}-[0-9A-Za-z]+-[0-9]{2,18}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ManifestId:
    """What a manifest's key says. Epochs and sequence numbers order the generations of a shard."""

    epoch: int  # the writer's fencing token
    seq: int
    nonce: str = field(compare=False)


def manifest_key(run_id: str, shard: int, manifest_id: ManifestId) -> str:
    prefix = checkpoints_prefix(run_id, shard)
    return f"{prefix}{manifest_id.epoch:08d}/m/{manifest_id.seq:012d}-{manifest_id.nonce}"


def data_key(run_id: str, shard: int, manifest_id: ManifestId, number: int) -> str:
    """Unique to the writer and the save, so that no object is ever written twice with other bytes."""
    prefix = checkpoints_prefix(run_id, shard)
    return f"{prefix}{manifest_id.epoch:08d}/d/{manifest_id.seq:012d}-{manifest_id.nonce}-{number:02d}"


def parse_manifest_key(key: str, *, run_id: str, shard: int) -> ManifestId | None:
    """What the key says; None for any object that is no manifest of this shard."""
    prefix = checkpoints_prefix(run_id, shard)
    match = _MANIFEST_TAIL.fullmatch(key.removeprefix(prefix)) if key.startswith(prefix) else None
    return match and ManifestId(epoch=int(match[1]), seq=int(match[2]), nonce=match[3])


def is_data_key(key: str, *, run_id: str, shard: int) -> bool:
    """Whether the key is one that `data_key` could have made for this shard."""
    prefix = checkpoints_prefix(run_id, shard)
    return key.startswith(prefix) and _DATA_TAIL.fullmatch(key.removeprefix(prefix)) is not None


def epoch_of(key: str, *, run_id: str, shard: int) -> int | None:
    """The epoch that any key of this shard carries; None for a foreign key."""
    prefix = checkpoints_prefix(run_id, shard)
    epoch = key.removeprefix(prefix).partition("/")[0] if key.startswith(prefix) else ""
    return int(epoch) if _EPOCH.fullmatch(epoch) else None
