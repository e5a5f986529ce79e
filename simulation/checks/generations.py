"""Every generation of every checkpoint as its writer wrote it, for the checkers that ask what a pointer names."""

from dataclasses import dataclass

from simulation.checks.base import Check, ObjectChange
from simulation.workload import WORK_BUCKET
from spotproof import contract
from spotproof.checkpoints.manifest import Manifest, decode_manifest
from spotproof.checkpoints.serializers import serializer_for
from spotproof.errors import SpotproofError

MANIFEST_FOLDER = "/m/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One manifest that a worker wrote."""

    body: bytes
    manifest: Manifest
    keys: frozenset[str]  # of all its objects
    position: int  # records its state has folded


class GenerationCheck(Check):
    """Reads each manifest when it is written: what befalls it later changes nothing here."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._known: dict[str, Generation] = {}  # by key

    def generation(self, key: str) -> Generation | None:
        """What was written under the key, and None if nothing was."""
        return self._known.get(key)

    def manifests(self) -> list[Manifest]:
        """All that were written so far, oldest first."""
        return [each.manifest for each in self._known.values()]

    def positions(self, shard: int) -> list[int]:
        """Of everything that was written of the shard, oldest first."""
        return [each.position for each in self._known.values() if each.manifest.shard == shard]

    def changed(self, change: ObjectChange) -> None:
        if change.call is None or change.new is None or change.key in self._known or not is_manifest(change):
            return
        try:
            manifest = decode_manifest(
                change.new, run_id=self.world.run_id, shard=shard_of(change.key, self.world.run_id), key=change.key
            )
            values = serializer_for(manifest.serializer).decode((manifest.inline or "").encode())
        except SpotproofError as error:
            self.report.broken("I5", f"{change.key} is written, and is no good: {error}")
            return
        position = values.get("position", 0) if isinstance(values, dict) else 0
        self._known[change.key] = Generation(
            body=change.new, manifest=manifest, keys=frozenset(manifest.keys), position=position
        )


def is_manifest(change: ObjectChange) -> bool:
    return (
        change.bucket == WORK_BUCKET
        and change.key.startswith(contract.CHECKPOINTS_PREFIX)
        and MANIFEST_FOLDER in change.key
    )


def shard_of(key: str, run_id: str) -> int:
    """The shard that a checkpoint's object belongs to."""
    return int(key.removeprefix(contract.checkpoints_prefix(run_id)).partition("/")[0])
