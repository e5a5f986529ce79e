"""Saves and restores one leased shard's state, a save at a time, behind the job's back."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spotproof import events
from spotproof.checkpoints.budget import StateSize
from spotproof.checkpoints.carry import Carry, EngineSizes
from spotproof.checkpoints.garbage import superseded
from spotproof.checkpoints.gather import Gathered, Gatherer, room_bytes, tracked_bytes
from spotproof.checkpoints.generations import Generation, candidate_keys
from spotproof.checkpoints.manifest import Manifest, ManifestId
from spotproof.checkpoints.metered import MeteredStore, Traffic
from spotproof.checkpoints.restore import Restorer
from spotproof.checkpoints.stall import garbage_waits
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import Clock
from spotproof.concurrency import NoThreadError, Spawner
from spotproof.contract import checkpoints_prefix
from spotproof.errors import AwsError, CheckpointCorruptError, CheckpointError, CheckpointLateError
from spotproof.ids import IdSource
from spotproof.leases.model import CheckpointPointer, Lease

logger = logging.getLogger(__name__)
MANIFEST_BYTES_GUESS: Final = 1024
Record = Callable[[CheckpointPointer], None]


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
    """One save that the pointer names now."""

    pointer: CheckpointPointer
    size_bytes: int
    requests: int
    stall_s: float  # how long the job stood still
    duration_s: float  # from the safe point until the pointer had moved


@dataclass
class Saving:
    """A save on its way. Its background task writes `saved`, or `error`, then sets `ended`."""

    gathered: Gathered
    pointer: CheckpointPointer
    stall_s: float
    started: float  # monotonic seconds
    deadline: float | None  # monotonic seconds after which no object is begun
    cancelled: bool = False
    recorded: bool = False  # the pointer has moved
    manifest: Manifest | None = None
    saved: Saved | None = None
    error: BaseException | None = None


class CheckpointEngine:
    """One lease's checkpoints. Made anew for every lease; one thread calls it, at safe points.

    A save has three parts: `begin` gathers what changed, which is all the job waits for; a background task carries it
    into the bucket and moves the pointer; `settle` takes note of how that ended. One save is on its way at a time. A
    failed one costs nothing but time: its changes are still marked, and the next save carries them under new keys.
    """

    def __init__(
        self,
        *,
        objects: ObjectStore,
        lease: Lease,
        clock: Clock,
        ids: IdSource,
        spawner: Spawner,
        workshop: Workshop | None = None,
        sizes: EngineSizes | None = None,
    ) -> None:
        self._objects = MeteredStore(objects)
        self._lease = lease
        self._clock = clock
        self._spawner = spawner
        self._sizes = sizes or EngineSizes()
        self._workshop = workshop or Workshop()
        self._workshop.slice_bytes, self._workshop.delta_bytes = self._sizes.slice_bytes, self._sizes.delta_bytes
        self._workshop.chain_max = self._sizes.chain_max
        self._nonce = ids.nonce()
        self._seq = 0
        self._pointer: CheckpointPointer | None = None
        self._current: Manifest | None = None  # the generation that the pointer names, or stands in for it
        self._values = State().encode_values()  # as on record
        self._written: set[str] = set()  # keys of this lease, and inherited ones, that may become garbage
        self._inherited = False  # earlier epochs may have left objects that nobody looked at yet
        self._damaged = False  # something on record is damaged: the next save builds on nothing
        self._saving: Saving | None = None
        self._ended = spawner.flag()

    @property
    def traffic(self) -> Traffic:
        """Everything this lease's checkpoints asked of the bucket so far, clean-up included."""
        return self._objects.traffic

    @property
    def busy(self) -> bool:
        """Whether a save is on its way, or has ended and is not settled yet."""
        return self._saving is not None

    def restore(self, pointer: CheckpointPointer | None) -> Restored:
        """The state of the pointer's manifest, every byte verified; else of an older generation; else an empty one.

        Raises:
            CheckpointTooNewError: a newer worker wrote it; starting over would lose its work.
            ScratchFullError: there is no room for the state's files.
            AwsError: the bucket can't be read, from which nothing is concluded.
        """
        started, before = self._clock.monotonic(), self.traffic
        found: Generation | None = None
        reasons: list[str] = []
        if pointer is not None:
            self._seq, self._pointer, self._inherited = pointer.seq, pointer, True
            found, reasons = self._newest_intact(pointer)
        if found is not None:
            self._current, self._values = found.manifest, found.values
        self._damaged = bool(reasons)
        restored = Restored(
            state=State(workshop=self._workshop) if found is None else found.state,
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

    def pending_bytes(self, state: State) -> int | None:
        """At most about how many bytes a save would write now; None if only a save can tell (files, folders, tensors)."""
        if state.has_directories:
            return None
        total = state.dirty_bytes + len(self._values) + MANIFEST_BYTES_GUESS
        for image in state.images.values():
            dirty = image.dirty_bytes()
            if dirty is None:
                return None
            total += dirty
        return total

    def size_of(self, state: State) -> StateSize:
        """Of its images; what else there is is small."""
        tracked = tracked_bytes(state)
        return StateSize(total_bytes=tracked, room_bytes=room_bytes(tracked, pool_share=self._sizes.pool_share))

    def begin(self, state: State, *, record: Record, deadline: float | None = None) -> Saving | None:
        """Copy what changed, and carry it in the background; None if nothing changed.

        Args:
            state: what `restore` returned, as changed since.
            record: moves the pointer in the table; called in the background once the manifest is durable.
            deadline: monotonic seconds after which no object is begun; with one, no base is rewritten for tidiness.

        Raises:
            UnsavableValueError: the state holds a type that can't be saved; the text names its place.
            CheckpointError: a program that writes into the state's folders can't be held still; nothing was taken.
        """
        assert self._saving is None, "settle the save before first"
        started = self._clock.monotonic()
        gatherer = Gatherer(
            current=self._current,
            workshop=self._workshop,
            pool_share=self._sizes.pool_share,
            may_rebase=deadline is None,
            all_anew=self._damaged,
        )
        with garbage_waits():
            gathered = gatherer.gather(state, values_on_record=self._values)
        if gathered is None:
            return None
        self._seq += 1  # also when writing fails: keys are never used twice
        manifest_id = ManifestId(epoch=self._lease.fencing_token, seq=self._seq, nonce=self._nonce)
        carry = Carry(
            objects=self._objects,
            lease=self._lease,
            manifest_id=manifest_id,
            current=None if self._damaged else self._current,
            gathered=gathered,
            created=self._clock.now(),
            sizes=self._sizes,
            spawner=self._spawner,
            before_write=self._before_write,
        )
        saving = Saving(
            gathered=gathered,
            pointer=CheckpointPointer(manifest_key=carry.key, seq=self._seq),
            stall_s=self._clock.monotonic() - started,
            started=started,
            deadline=deadline,
        )
        self._saving = saving
        self._ended = self._spawner.flag()
        ended = self._ended
        try:
            self._spawner.spawn(lambda: self._carry_on(saving, carry, record, ended.set), name="checkpoint-save")
        except NoThreadError as error:
            saving.error = CheckpointError(f"nobody carries the save: {error}")
            ended.set()
        return saving

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the save on its way; whether it has ended. True if there is none."""
        return self._saving is None or self._ended.wait(timeout_s)

    def hurry(self, deadline: float) -> None:
        """The save on its way begins no object after `deadline` (monotonic seconds)."""
        if self._saving is not None:
            known = self._saving.deadline
            self._saving.deadline = deadline if known is None else min(known, deadline)

    def cancel(self) -> None:
        """The save on its way begins no further object; it ends soon, and counts as failed unless it was through."""
        if self._saving is not None:
            self._saving.cancelled = True

    def settle(self) -> Saved | None:
        """How the save that has ended went; None if none has.

        Raises:
            CheckpointLateError: its deadline came; the previous checkpoint stands.
            CheckpointError: the state needs a bigger manifest than is allowed, ours was damaged on its way, or no thread
                could be had for the save.
            AwsError: the bucket or the table refused or stayed unavailable.
            LeaseLostError: the pointer was refused.
        """
        saving = self._saving
        if saving is None or not self._ended.is_set():
            return None
        self._saving = None
        images = {} if saving.manifest is None or saving.error is not None else saving.manifest.images
        for each in saving.gathered.images:
            each.image.settle(each, images.get(each.image.name))
            self._workshop.pool.give_back(each.buffer)
        for each_map in saving.gathered.maps:
            each_map.target.settle(each_map.image, durable=saving.error is None)
        if saving.error is not None:
            self._damaged = self._damaged or saving.recorded  # shadows may have moved halfway
            raise saving.error
        self._current, self._pointer = saving.manifest, saving.pointer
        self._values = saving.gathered.values
        self._damaged = False
        return saving.saved

    def save(self, state: State, *, record: Record, deadline: float | None = None) -> Saved | None:
        """A whole save, waited for; None if nothing changed. Errors as `begin` and `settle`."""
        if self.begin(state, record=record, deadline=deadline) is None:
            return None
        self.wait()
        return self.settle()

    def close(self) -> None:
        """The shard is over: free what tracking took. The state can't be saved any more."""
        self._workshop.clear()

    def _carry_on(self, saving: Saving, carry: Carry, record: Record, ended: Callable[[], None]) -> None:
        try:
            self._carry(saving, carry, record)
            if saving.manifest is not None and saving.deadline is None:
                self._collect(saving.manifest)
        finally:
            ended()

    def _carry(self, saving: Saving, carry: Carry, record: Record) -> None:
        before = self.traffic
        try:
            manifest = carry.run()
            record(saving.pointer)
            saving.recorded = True
            for each in saving.gathered.images:
                each.image.advance(each)
            traffic = self.traffic.since(before)
            saving.manifest = manifest
            saving.saved = Saved(
                pointer=saving.pointer,
                size_bytes=traffic.size_bytes,
                requests=traffic.requests,
                stall_s=saving.stall_s,
                duration_s=self._clock.monotonic() - saving.started,
            )
        except BaseException as error:
            saving.error = error
            if not isinstance(error, Exception):
                raise

    def _before_write(self, key: str) -> None:
        saving = self._saving
        assert saving is not None, "keys are written by a save"
        if saving.cancelled:
            raise CheckpointLateError("the save is not needed any more")
        if saving.deadline is not None and self._clock.monotonic() >= saving.deadline:
            raise CheckpointLateError("no time left to save; the previous checkpoint stands")
        self._written.add(key)

    def _newest_intact(self, pointer: CheckpointPointer) -> tuple[Generation | None, list[str]]:
        reasons: list[str] = []
        restorer = Restorer(
            objects=self._objects,
            lease=self._lease,
            workshop=self._workshop,
            spawner=self._spawner,
            clock=self._clock,
            width=self._sizes.width,
        )
        for key in candidate_keys(self._objects, self._lease, pointer):
            try:
                return restorer.load(key), reasons
            except CheckpointCorruptError as error:
                reasons.append(f"{key}: {error}")
                self._workshop.clear()
        return None, reasons

    def _collect(self, manifest: Manifest) -> None:
        """Delete what neither the new generation nor the one before needs. A failure is logged and tried again by the
        next save; it never fails the job."""
        kept = manifest.keys | (set() if self._current is None else self._current.keys)
        try:
            listed = (
                self._objects.keys(checkpoints_prefix(self._lease.run_id, self._lease.index)) if self._inherited else ()
            )
            garbage = superseded(lease=self._lease, written=self._written, listed=listed, kept=kept)
            if garbage:
                self._objects.delete_many([each.key for each in garbage])
        except AwsError as error:
            logger.warning(events.CHECKPOINT_CLEANUP_FAILED, extra={"shard": self._lease.index, "error": str(error)})
            return
        self._inherited = False
        self._written = kept & {*self._written, *listed}  # an inherited generation goes when it is replaced
