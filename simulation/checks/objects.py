"""I4 and I5 on objects: committed and published bytes never change, a checkpoint pointer always resolves, and nothing
that a live generation needs is deleted."""

import hashlib

from simulation.checks.base import Check, ObjectChange, TableWrite
from simulation.checks.generations import GenerationCheck, is_manifest, shard_of
from simulation.checks.parsed import shard_from_item
from simulation.checks.progress import ProgressCheck
from simulation.worker import KIND
from simulation.workload import DATA_BUCKET, OUTPUT_PREFIX, WORK_BUCKET
from spotproof import contract
from spotproof.checkpoints.codec import decompress
from spotproof.checkpoints.manifest import Manifest, epoch_of
from spotproof.checkpoints.segment import Segment
from spotproof.commits.staging import read_output_pointer
from spotproof.errors import CheckpointCorruptError, SpotproofError
from spotproof.leases.model import Shard, ShardState


class ObjectCheck(Check):
    """Remembers what every commit and every pointer names."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._staged: dict[str, str] = {}  # staged key of a commit -> sha256
        self._final: dict[str, str] = {}  # final key of a commit -> sha256
        self._pinned: dict[int, frozenset[str]] = {}  # shard -> keys of its pointer's generation and of the one before
        self._went_back = False  # the table was restored: flows under way know rows as they are no more

    def restored(self) -> None:
        self._went_back = True
        self._pinned.clear()  # older pointers may name what newer ones let be deleted

    def wrote(self, write: TableWrite) -> None:
        if not write.sort.startswith("S#") or write.new is None:
            return
        before = None if write.old is None else shard_from_item(write.old)
        after = shard_from_item(write.new)
        if after.state is ShardState.DONE and (before is None or before.state is not ShardState.DONE):
            self._committed(after)
        if after.state.final:
            self._pinned.pop(after.index, None)
        elif after.checkpoint is not None and (before is None or before.checkpoint != after.checkpoint):
            self._pointed(after)

    def changed(self, change: ObjectChange) -> None:
        if change.bucket == WORK_BUCKET:
            self._work_object(change)
        elif change.key.startswith(OUTPUT_PREFIX) and not change.key.endswith(contract.SUCCESS_NAME):
            self._final_object(change)

    def _committed(self, shard: Shard) -> None:
        assert shard.output is not None
        try:
            files = read_output_pointer(self.world.raw_work, self.world.run_id, shard.index, shard.output)
        except SpotproofError as error:
            self.report.broken("I4", f"shard {shard.index} is DONE with an output that can't be read: {error}")
            return
        for file in files:
            stored = self.world.s3.objects(WORK_BUCKET, file.staged_key).get(file.staged_key)
            same = stored is not None and hashlib.sha256(stored).hexdigest() == file.sha256
            self.report.require(same, "I4", f"shard {shard.index} is DONE, but {file.staged_key} is not what it names")
            folder = (
                f"{contract.staging_prefix(self.world.run_id, shard.index)}{shard.fencing_token:08d}-{shard.owner}/"
            )
            own = file.staged_key.startswith(folder)
            self.report.require(own, "I4", f"shard {shard.index} is DONE with {file.staged_key}, not of this attempt")
            self._staged[file.staged_key] = file.sha256
            self._final[OUTPUT_PREFIX + file.name] = file.sha256

    def _pointed(self, shard: Shard) -> None:
        assert shard.checkpoint is not None
        key = shard.checkpoint.manifest_key
        body = self.world.s3.objects(WORK_BUCKET, key).get(key)
        if body is None:
            self.report.broken("I5", f"shard {shard.index}: the pointer names {key}, which is not there")
            return
        written = self.world.checks[GenerationCheck].generation(key)
        if written is None or (written.body != body and not self.world.checks[ProgressCheck].is_damaged(shard.index)):
            self.report.broken("I5", f"shard {shard.index}: the pointer names {key}, which no worker wrote like this")
            return
        manifest, epoch = written.manifest, written.manifest.id.epoch
        self.report.require(epoch == shard.fencing_token, "I5", f"{key}: epoch {epoch} at token {shard.fencing_token}")
        if not self.world.checks[ProgressCheck].is_damaged(shard.index):
            self._whole(manifest)
        self._pinned[shard.index] = written.keys | self._keys_before(manifest)

    def _whole(self, manifest: Manifest) -> None:
        """Every segment is there, and its bytes are the ones that were packed."""
        for segment in manifest.segments:
            try:
                decompress(segment, self._stored(segment))
            except CheckpointCorruptError as error:
                words = (
                    f"the pointer names {manifest.key}, of which {segment.key or 'a part inside'} is no good: {error}"
                )
                self.report.broken("I5", words)

    def _stored(self, segment: Segment) -> bytes | None:
        if segment.inline_bytes is not None:
            return segment.inline_bytes
        body = self.world.s3.objects(WORK_BUCKET, segment.key).get(segment.key)
        return None if body is None else body[segment.offset : segment.offset + segment.size_bytes]

    def _keys_before(self, manifest: Manifest) -> frozenset[str]:
        """Of the generation that a worker falls back to."""
        before = None if manifest.parent is None else self.world.checks[GenerationCheck].generation(manifest.parent)
        return frozenset() if before is None else before.keys

    def _work_object(self, change: ObjectChange) -> None:
        if change.call is None or change.call.operation == "put_object_tagging":
            return  # the world itself did it: a fault; or the bytes are as they were
        if change.new is None:
            held = [index for index, keys in self._pinned.items() if change.key in keys]
            ended = self.world.run_ended
            self.report.require(ended or not held, "I5", f"{change.key} was deleted, but shard {held} needs it")
            self._checkpoint_deleted(change)
            self._staged_deleted(change)
        elif change.key in self._staged:
            again = change.old is not None or not self.world.run_ended  # late duplicates outlive the clean-up
            self.report.require(not again, "I4", f"{change.key} was committed and then written again")
        elif is_manifest(change) and not change.call.is_duplicate:  # when one comes, the data may be collected
            self._manifest_written(change.key)

    def _manifest_written(self, key: str) -> None:
        """Data first: a manifest never names what is not there, unless a fault took it."""
        shard = shard_of(key, self.world.run_id)
        written = self.world.checks[GenerationCheck].generation(key)
        if written is None:
            return  # no good, which was told
        row = self.world.shard(shard)
        late = self.world.run_ended or row is None or row.state.final or row.fencing_token != written.manifest.id.epoch
        if late or self.world.checks[ProgressCheck].is_damaged(shard):
            return  # of a lease that is over: its data may have been collected meanwhile
        missing = [each for each in sorted(written.keys) if each not in self.world.s3.objects(WORK_BUCKET, each)]
        self.report.require(not missing, "I5", f"{key} was written before {missing}")

    def _checkpoint_deleted(self, change: ObjectChange) -> None:
        """What the owner of a lease is writing is nobody else's to delete, whether a pointer names it yet or not."""
        assert change.call is not None
        if not change.key.startswith(contract.CHECKPOINTS_PREFIX) or self._went_back or self.world.run_ended:
            return
        shard = shard_of(change.key, self.world.run_id)
        epoch, row = epoch_of(change.key, run_id=self.world.run_id, shard=shard), self.world.shard(shard)
        live = row is not None and row.state is ShardState.LEASED and epoch is not None and epoch >= row.fencing_token
        foreign = change.call.process.kind != KIND
        self.report.require(not (live and foreign), "I5", f"{change.key} of a live lease was deleted by a function")

    def _staged_deleted(self, change: ObjectChange) -> None:
        if change.key not in self._staged or self.world.run_ended:
            return
        self.report.broken("I4", f"{change.key} was committed and deleted before the run ended")

    def _final_object(self, change: ObjectChange) -> None:
        if change.call is None or change.bucket != DATA_BUCKET:
            return
        if change.new is None:
            self.report.broken("I4", f"{change.key} was published and deleted")
            return
        digest = hashlib.sha256(change.new).hexdigest()
        self.report.require(change.old is None, "I4", f"{change.key} was published and written again")
        known = self._final.get(change.key)
        self.report.require(known is not None, "I4", f"{change.key} was published before a DONE row named it")
        self.report.require(
            known in (None, digest), "I4", f"{change.key} was published with other bytes than committed"
        )
