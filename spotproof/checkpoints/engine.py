"""Saves and restores one leased shard's state: data first, then the manifest, then the caller's pointer."""

import logging
from dataclasses import dataclass
from typing import Final

from spotproof import events
from spotproof.checkpoints.draft import Draft, Drafter
from spotproof.checkpoints.generations import Generation, candidate_keys, load_generation, values_digest
from spotproof.checkpoints.manifest import MANIFEST_BYTES_MAX, Manifest, ManifestId, encode_manifest, epoch_of
from spotproof.checkpoints.metered import MeteredStore, Traffic
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore
from spotproof.clock import Clock
from spotproof.contract import checkpoints_prefix
from spotproof.errors import AwsError, CheckpointCorruptError, CheckpointError, CheckpointLateError
from spotproof.ids import IdSource
from spotproof.leases.model import CheckpointPointer, Lease

logger = logging.getLogger(__name__)
MANIFEST_BYTES_GUESS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Where a shard's work goes on."""

    state: State
    seq: int  # of the restored manifest; 0 for an empty state
    manifest_key: str | None
    fell_back: str | None  # why an older generation, or nothing, was restored
    size_bytes: int
    requests: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A durable manifest that no pointer names yet; or, when skipped, nothing to do."""

    pointer: CheckpointPointer | None  # when skipped the one on record, None if nothing was ever saved
    size_bytes: int
    requests: int
    duration_s: float
    skipped: bool
    draft: Draft | None


class CheckpointEngine:
    """One lease's checkpoints. Made anew for every lease; not thread-safe.

    A failed save costs nothing but time: the journal is cleared by `confirm` only, so the next save carries
    everything again, under new keys.
    """

    def __init__(self, *, objects: ObjectStore, lease: Lease, clock: Clock, ids: IdSource) -> None:
        self._objects = MeteredStore(objects)
        self._lease = lease
        self._clock = clock
        self._nonce = ids.nonce()
        self._seq = 0
        self._pointer: CheckpointPointer | None = None
        self._current: Manifest | None = None  # the generation that the pointer names, or stands in for it
        values = State().encode_values()
        self._values_digest, self._values_bytes = values_digest(values), len(values)
        self._written: set[str] = set()  # keys of this lease that may become garbage
        self._inherited = False  # earlier epochs may have left objects that nobody looked at yet

    @property
    def traffic(self) -> Traffic:
        """Everything this lease's checkpoints asked of the bucket so far, clean-up included."""
        return self._objects.traffic

    def restore(self, pointer: CheckpointPointer | None) -> Restored:
        """The state of the pointer's manifest, every byte verified; else of an older generation; else an empty one.

        Raises:
            CheckpointTooNewError: a newer worker wrote it; starting over would lose its work.
            AwsError: the bucket can't be read, from which nothing is concluded.
        """
        started, before = self._clock.monotonic(), self.traffic
        found: Generation | None = None
        reasons: list[str] = []
        if pointer is not None:
            self._seq, self._pointer, self._inherited = pointer.seq, pointer, True
            found, reasons = self._newest_intact(pointer)
        if found is not None:
            self._current = found.manifest
            self._values_digest, self._values_bytes = values_digest(found.values), len(found.values)
        restored = Restored(
            state=State() if found is None else found.state,
            seq=0 if found is None else found.manifest.id.seq,
            manifest_key=None if found is None else found.manifest.key,
            fell_back="; ".join(reasons) or None,
            size_bytes=self.traffic.since(before).size_bytes,
            requests=self.traffic.since(before).requests,
            duration_s=self._clock.monotonic() - started,
        )
        if restored.fell_back is not None:
            fields = {"shard": self._lease.index, "reason": restored.fell_back, "manifest_key": restored.manifest_key}
            logger.warning(events.CHECKPOINT_FALLBACK, extra=fields)
        return restored

    def pending_bytes(self, state: State) -> int:
        """About how many bytes a save would write now; cheap, because nothing is encoded for it."""
        return state.dirty_bytes + self._values_bytes + MANIFEST_BYTES_GUESS

    def save(self, state: State, *, deadline: float | None = None) -> Saved:
        """Make the state durable; the caller then moves the pointer and calls `confirm`.

        Args:
            state: what `restore` returned, as changed since.
            deadline: monotonic seconds after which no request is started; with one, no base is rewritten for tidiness.

        Raises:
            CheckpointLateError: the deadline came; the previous checkpoint stands.
            UnsavableValueError: the state holds a type that can't be saved; the text names its place.
            CheckpointError: the state needs a bigger manifest than is allowed, or ours was damaged on its way.
            AwsError: the bucket refused or stayed unavailable.
        """
        started, before = self._clock.monotonic(), self.traffic
        manifest_id = ManifestId(epoch=self._lease.fencing_token, seq=self._seq + 1, nonce=self._nonce)
        drafter = Drafter(
            lease=self._lease, manifest_id=manifest_id, current=self._current, may_rebase=deadline is None
        )
        draft = drafter.draft(state, digest_on_record=self._values_digest, created=self._clock.now())
        pointer = self._pointer
        if draft is not None:
            self._seq += 1  # also when writing fails: keys are never used twice
            self._write(draft, deadline)
            pointer = CheckpointPointer(manifest_key=draft.manifest.key, seq=draft.manifest.id.seq)
        traffic, duration_s = self.traffic.since(before), self._clock.monotonic() - started
        return Saved(
            pointer=pointer,
            size_bytes=traffic.size_bytes,
            requests=traffic.requests,
            duration_s=duration_s,
            skipped=draft is None,
            draft=draft,
        )

    def confirm(self, saved: Saved, *, collect: bool = True) -> None:
        """The pointer names `saved` now: forget the journal and, if `collect`, delete what is older than two generations.

        A failed deletion is logged and tried again at the next confirm; it never fails the job.
        """
        if saved.draft is None:
            return
        manifest = saved.draft.manifest
        previous, self._current, self._pointer = self._current, manifest, saved.pointer
        self._values_digest = saved.draft.values_digest
        self._values_bytes = len(manifest.inline or "") if manifest.values is None else manifest.values.size_bytes
        for change in saved.draft.changes:
            newest = change.entry.segments[-1]
            change.target.became_durable(change.image, base=change.base)
            change.target.learn_entry_size(size_bytes=newest.size_bytes, count=newest.count)
        if collect:
            self._collect(manifest if previous is None else previous)

    def _newest_intact(self, pointer: CheckpointPointer) -> tuple[Generation | None, list[str]]:
        reasons: list[str] = []
        for key in candidate_keys(self._objects, self._lease, pointer):
            try:
                return load_generation(self._objects, key, self._lease), reasons
            except CheckpointCorruptError as error:
                reasons.append(f"{key}: {error}")
        return None, reasons

    def _write(self, draft: Draft, deadline: float | None) -> None:
        """Data first; the manifest makes it count."""
        data = encode_manifest(draft.manifest)
        if len(data) > MANIFEST_BYTES_MAX:
            raise CheckpointError(f"manifest of {len(data)} bytes exceeds {MANIFEST_BYTES_MAX}: use fewer maps")
        for segment, stored in draft.objects:
            self._check_time(deadline)
            self._written.add(segment.key)
            self._objects.put(segment.key, stored)
        self._check_time(deadline)
        key = draft.manifest.key
        self._written.add(key)
        if not self._objects.put_if_absent(key, data) and self._objects.get(key, size_max=MANIFEST_BYTES_MAX) != data:
            self._written.discard(key)
            raise CheckpointError(f"{key} holds other bytes than ours, although nobody else writes it: it was damaged")

    def _check_time(self, deadline: float | None) -> None:
        if deadline is not None and self._clock.monotonic() >= deadline:
            raise CheckpointLateError("no time left to save; the previous checkpoint stands")

    def _collect(self, previous: Manifest) -> None:
        assert self._current is not None, "confirm sets the current generation first"
        kept = {each for manifest in (self._current, previous) for each in manifest.keys}
        try:
            garbage = sorted((self._written | self._older_epochs()) - kept)
            if garbage:
                self._objects.delete_many(garbage)
        except AwsError as error:
            logger.warning(events.CHECKPOINT_CLEANUP_FAILED, extra={"shard": self._lease.index, "error": str(error)})
            return
        self._inherited = False
        self._written = kept

    def _older_epochs(self) -> set[str]:
        """Keys that earlier owners of this shard left; their writers are fenced, since our pointer was accepted."""
        if not self._inherited:
            return set()
        run_id, shard, token = self._lease.run_id, self._lease.index, self._lease.fencing_token
        keys = self._objects.keys(checkpoints_prefix(run_id, shard))
        return {key for key in keys if (epoch := epoch_of(key, run_id=run_id, shard=shard)) and epoch < token}
