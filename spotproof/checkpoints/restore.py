"""Reads one generation back: every byte verified, straight to where it belongs, several requests at once."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from spotproof import events
from spotproof.checkpoints.codec import decompress, decompress_into, verify
from spotproof.checkpoints.generations import Generation
from spotproof.checkpoints.manifest import MANIFEST_BYTES_MAX, ImageEntry, Manifest, MapEntry, decode_manifest
from spotproof.checkpoints.metered import MeteredStore
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.serializers import serializer_for
from spotproof.checkpoints.serializers.base import Serializer
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_directory import check_listings
from spotproof.checkpoints.state_map import apply_changes
from spotproof.checkpoints.store import Buffer
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import Clock
from spotproof.concurrency import Spawner, run_all
from spotproof.errors import CheckpointCorruptError
from spotproof.leases.model import Lease

if TYPE_CHECKING:
    from spotproof.checkpoints.images.image import Image
    from spotproof.checkpoints.memory.pages import Bytes8, Numbers

logger = logging.getLogger(__name__)
PROGRESS_EVERY_S: Final = 5.0


class Restorer:
    """One lease's. Each `load` starts from nothing."""

    def __init__(
        self,
        *,
        objects: MeteredStore,
        lease: Lease,
        workshop: Workshop,
        spawner: Spawner,
        clock: Clock,
        width: int,
    ) -> None:
        self._objects = objects
        self._lease = lease
        self._workshop = workshop
        self._spawner = spawner
        self._clock = clock
        self._width = width
        self._told_at = clock.monotonic()
        self._total_bytes = 0
        self._read_bytes = 0

    def load(self, key: str) -> Generation:
        """The state behind the manifest.

        Raises:
            CheckpointCorruptError: anything is missing, damaged, swapped or foreign.
            CheckpointTooNewError: written by a newer schema or serializer.
            ScratchFullError: there is no room for the state's files.
        """
        data = self._objects.get(key, size_max=MANIFEST_BYTES_MAX)
        if data is None:
            raise CheckpointCorruptError("the manifest is missing")
        manifest = decode_manifest(data, run_id=self._lease.run_id, shard=self._lease.index, key=key)
        serializer = serializer_for(manifest.serializer)
        self._total_bytes, self._read_bytes = sum(each.size_bytes for each in manifest.segments), 0
        values = self._values(manifest)
        maps = {name: self._entries(serializer, entry) for name, entry in manifest.maps.items()}
        check_listings(maps, manifest.images)
        state = State(
            _dict(serializer.decode(values)),
            maps,
            images={name: self._image(name, entry, manifest.slice_bytes) for name, entry in manifest.images.items()},
            workshop=self._workshop,
        )
        for name, entry in manifest.maps.items():
            state.maps[name].learn_entry_size(size_bytes=entry.base.raw_bytes, count=entry.base.count)
        return Generation(manifest=manifest, state=state, values=values)

    def _values(self, manifest: Manifest) -> bytes:
        if manifest.values is not None:
            return self._read(manifest.values)
        assert manifest.inline is not None, "the manifest's decoder demands one of the two"
        return manifest.inline.encode()

    def _entries(self, serializer: Serializer, entry: MapEntry) -> dict[Any, Any]:
        entries = _dict(serializer.decode(self._read(entry.base)))
        for delta in entry.deltas:
            apply_changes(entries, serializer.decode(self._read(delta)))
        if len(entries) != entry.length:
            raise CheckpointCorruptError(f"a map has {len(entries)} keys instead of {entry.length}")
        return entries

    def _image(self, name: str, entry: ImageEntry, slice_bytes: int) -> "Image":
        live = self._workshop.restored(name, kind=entry.kind, descr=entry.descr, length=entry.length)
        image = self._workshop.image(name, live)
        image.reserve(max(entry.extent, stored_extent(entry, slice_bytes)))
        load = ImageLoad(image.shadow, entry, slice_bytes)
        self._run([self._slice_job(load, number) for number in load.stored_slices])
        waiting = load.delta_segments()
        while window := list(islice(waiting, self._width)):  # applied in their order, read side by side
            read: dict[int, tuple[Numbers, Bytes8]] = {}
            self._run([self._delta_job(load, segment, number, read) for number, (segment, _) in enumerate(window)])
            for number, (_, seq) in enumerate(window):
                load.apply(*read.pop(number), seq=seq)
        self._run([self._load_job(image, start, stop) for start, stop in load.ranges()])
        live.check_loaded()
        image.restored(entry)
        return image

    def _run(self, jobs: Sequence[Callable[[], None]]) -> None:
        run_all(self._spawner, jobs, width=self._width, name="checkpoint-restore")

    def _slice_job(self, load: "ImageLoad", number: int) -> Callable[[], None]:
        def job() -> None:
            segment, target = load.slice_target(number)
            self._read_into(segment, target)

        return job

    def _delta_job(
        self, load: "ImageLoad", segment: Segment, number: int, read: "dict[int, tuple[Numbers, Bytes8]]"
    ) -> Callable[[], None]:
        def job() -> None:
            read[number] = load.decode(self._read(segment))

        return job

    def _load_job(self, image: "Image", start: int, stop: int) -> Callable[[], None]:
        return lambda: image.live.load(image.shadow, start, stop)

    def _read(self, segment: Segment) -> bytes:
        return decompress(segment, self._stored(segment))

    def _read_into(self, segment: Segment, target: memoryview) -> None:
        """Bytes that were stored as they are go straight to their place, and are verified there."""
        if segment.codec == "raw" and segment.inline is None:
            found = self._objects.get_into(segment.key, target, offset=segment.offset)
            verify(segment, target if found else None)
            self._tell(segment.size_bytes)
            return
        decompress_into(segment, self._stored(segment), target)

    def _stored(self, segment: Segment) -> Buffer | None:
        if segment.inline is not None:
            return segment.inline_bytes
        stored = bytearray(segment.size_bytes)
        found = self._objects.get_into(segment.key, memoryview(stored), offset=segment.offset)
        self._tell(segment.size_bytes)
        return stored if found else None

    def _tell(self, size_bytes: int) -> None:
        """Show that a long restore goes on."""
        self._read_bytes += size_bytes
        now = self._clock.monotonic()
        if now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = now
            fields = {"shard": self._lease.index, "read_bytes": self._read_bytes, "total_bytes": self._total_bytes}
            logger.info(events.CHECKPOINT_RESTORING, extra=fields)


class ImageLoad:
    """One image on its way back into its shadow."""

    def __init__(self, shadow: "Bytes8", entry: ImageEntry, slice_bytes: int) -> None:
        self._shadow = shadow
        self._entry = entry
        self._slice_bytes = slice_bytes

    @property
    def stored_slices(self) -> list[int]:
        return [number for number, each in enumerate(self._entry.slices) if each.segment is not None]

    def slice_target(self, number: int) -> tuple[Segment, memoryview]:
        """What is stored for the slice, and where it goes: the image may have been shorter or longer then than it is now."""
        segment = self._entry.slices[number].segment
        assert segment is not None, "zeros are not stored"
        start = number * self._slice_bytes
        return segment, self._shadow[start : start + segment.raw_bytes].data

    def delta_segments(self) -> Iterator[tuple[Segment, int]]:
        """Every segment of every delta with its seq, oldest first."""
        for delta in self._entry.deltas:
            for segment in delta.segments:
                yield segment, delta.seq

    def decode(self, raw: bytes) -> "tuple[Numbers, Bytes8]":
        from spotproof.checkpoints.block_delta import decode_blocks
        from spotproof.checkpoints.memory.pages import BLOCK

        return decode_blocks(raw, blocks_max=-(-self._entry.extent // BLOCK))

    def apply(self, blocks: "Numbers", data: "Bytes8", *, seq: int) -> None:
        """XOR a delta onto the slices that are older than it; newer ones hold its changes already."""
        import numpy as np

        from spotproof.checkpoints.memory.pages import BLOCK, apply_blocks

        count = -(-self._entry.extent // self._slice_bytes)
        seqs = np.zeros(count, np.int64)
        seqs[: len(self._entry.slices)] = [each.seq for each in self._entry.slices]
        due = seqs[blocks * BLOCK // self._slice_bytes] < seq
        if due.all():
            apply_blocks(self._shadow, blocks, data)
        elif due.any():
            apply_blocks(self._shadow, blocks[due], np.ascontiguousarray(data.reshape(-1, BLOCK)[due]).reshape(-1))

    def ranges(self) -> list[tuple[int, int]]:
        """The image's bytes in portions."""
        length, step = self._entry.length, self._slice_bytes
        return [(start, min(start + step, length)) for start in range(0, length, step)]


def stored_extent(entry: ImageEntry, slice_bytes: int) -> int:
    """Where the last stored slice ends."""
    segments = (each.segment for each in entry.slices)
    return max((n * slice_bytes + each.raw_bytes for n, each in enumerate(segments) if each is not None), default=0)


def _dict(value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise CheckpointCorruptError(f"expected a dict, found {type(value).__name__}")
    return value
