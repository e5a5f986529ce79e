"""Sweeps checkpoints of runs that go on: what zombies and killed writers left after the last owner's collection."""

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final, Protocol

from spotproof import events
from spotproof.checkpoints.garbage import Garbage, orphans, sweep_scope
from spotproof.checkpoints.garbage_deletion import KEYS_MAX, Deletable
from spotproof.checkpoints.manifest import MANIFEST_BYTES_MAX, Manifest, decode_manifest
from spotproof.checkpoints.store import ObjectFacts
from spotproof.clock import Clock, to_epoch_ms
from spotproof.contract import checkpoints_prefix
from spotproof.errors import CheckpointError
from spotproof.leases.model import Run, Shard
from spotproof.leases.store import LeaseStore

logger = logging.getLogger(__name__)
STRIDE: Final = 7919  # a prime: where in its slice each round begins, so that no shard is always the one cut off


class Sweepable(Deletable, Protocol):
    """The part of a bucket that the sweep needs; errors as ObjectStore's."""

    def get(self, key: str, *, size_max: int) -> bytes | None:
        """The object's bytes; None if there is none. CheckpointCorruptError: it is larger."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPace:
    """How often a shard's turn comes, and what is too young to be touched."""

    minutes: int = 60  # a listing costs what a write costs: once an hour, a thousand workers' runs pay cents a day
    grace: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one slice came to."""

    shards: int = 0  # looked at
    deleted: int = 0
    refused: int = 0  # by S3; met again in the next round
    complete: bool = True  # False: time ran out


def shards_due(run: Run, *, minute: int, minutes: int) -> tuple[range, ...]:
    """The shards whose turn is in this minute, in the order to go: each once every `minutes`, one slice a minute.

    By time alone, so nothing has to be remembered. Runs differ in when their rounds begin.
    """
    shift = zlib.crc32(run.run_id.encode())
    turn, slot = divmod(minute + shift, minutes)
    first, stop = run.shards * slot // minutes, run.shards * (slot + 1) // minutes
    if first == stop:
        return ()
    middle = first + turn * STRIDE % (stop - first)
    return tuple(part for part in (range(middle, stop), range(first, middle)) if part)


class Sweeper:
    """Deletes orphans of dead epochs, shard by shard. May be cut short, repeated, and run twice at once."""

    def __init__(self, *, store: LeaseStore, objects: Sweepable, clock: Clock, pace: SweepPace | None = None) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._pace = pace or SweepPace()

    def sweep(self, run: Run, *, deadline: float) -> Swept:
        """This minute's slice of a run that goes on.

        Args:
            run: one that has not ended; of an ended one everything goes, see commits/cleanup.py.
            deadline: monotonic seconds; no shard is begun after it.

        Raises:
            AwsError: table or bucket refused or stayed unavailable; the next round goes on.
        """
        minute = to_epoch_ms(self._clock.now()) // 60_000
        shards = deleted = refused = 0
        for due in shards_due(run, minute=minute, minutes=self._pace.minutes):
            for index, listed in self._listed(run, due):
                if self._clock.monotonic() >= deadline:
                    return Swept(shards=shards, deleted=deleted, refused=refused, complete=False)
                garbage = self._garbage(run, index, listed)
                failed = self._delete(run, index, garbage)
                shards, deleted, refused = shards + 1, deleted + len(garbage) - failed, refused + failed
        return Swept(shards=shards, deleted=deleted, refused=refused)

    def _listed(self, run: Run, due: range) -> Iterator[tuple[int, list[ObjectFacts]]]:
        """Shards of the range that have objects, with these."""
        prefix = checkpoints_prefix(run.run_id)
        objects = self._objects.list(prefix, after=checkpoints_prefix(run.run_id, due.start))
        for folder, found in groupby(objects, key=lambda facts: facts.key.removeprefix(prefix).partition("/")[0]):
            if not folder.isdecimal():
                continue
            if int(folder) >= due.stop:
                return
            yield int(folder), list(found)

    def _garbage(self, run: Run, index: int, listed: Sequence[ObjectFacts]) -> list[Garbage]:
        """The listing came first, the row is read after it, the manifests last: see sweep_scope."""
        before = self._clock.now() - self._pace.grace
        if not any(facts.modified is not None and facts.modified < before for facts in listed):
            return []
        row = self._store.get_shard(run, index)
        scope = sweep_scope(row)
        if row is None or not scope.below:
            return []
        suspects = orphans(row=row, scope=scope, listed=listed, kept=(), before=before)
        if not suspects or not scope.spares_generations:
            return suspects
        kept = self._kept(row)
        return [] if kept is None else orphans(row=row, scope=scope, listed=listed, kept=kept, before=before)

    def _kept(self, row: Shard) -> set[str] | None:
        """Keys of the pointer's generation and of the one before; None if one can't be read: then nothing is touched."""
        assert row.checkpoint is not None, "a scope that spares generations has a pointer"
        newest = self._manifest(row, row.checkpoint.manifest_key)
        if newest is None or newest.parent is None:
            return None if newest is None else newest.keys
        previous = self._manifest(row, newest.parent)
        return None if previous is None else newest.keys | previous.keys

    def _manifest(self, row: Shard, key: str) -> Manifest | None:
        try:
            data = self._objects.get(key, size_max=MANIFEST_BYTES_MAX)
            return None if data is None else decode_manifest(data, run_id=row.run_id, shard=row.index, key=key)
        except CheckpointError:
            return None  # damaged or too new: whoever restores it reports it

    def _delete(self, run: Run, index: int, garbage: Sequence[Garbage]) -> int:
        """Delete and log; how many S3 refused."""
        if not garbage:
            return 0
        keys = [each.key for each in garbage]
        refused = [
            each
            for first in range(0, len(keys), KEYS_MAX)
            for each in self._objects.delete_batch(keys[first : first + KEYS_MAX])
        ]
        fields = {"run_id": run.run_id, "shard": index, "count": len(keys) - len(refused), "refused": len(refused)}
        logger.info(events.ORPHANS_DELETED, extra={**fields, "reason": garbage[0].reason.value})
        return len(refused)
