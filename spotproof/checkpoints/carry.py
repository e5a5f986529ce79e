"""The second half of a save, behind the job's back: differences, packing, objects, manifest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from spotproof.checkpoints.codec import TEXT, Packed, compress, compress_probed
from spotproof.checkpoints.gather import Gathered, MapGather
from spotproof.checkpoints.manifest import (
    INLINE_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    BaseSlice,
    BlockDelta,
    ImageEntry,
    Manifest,
    ManifestId,
    MapEntry,
    data_key,
    encode_manifest,
    manifest_key,
)
from spotproof.checkpoints.metered import MeteredStore
from spotproof.checkpoints.packing import Packer, PackObject, SegmentHandle
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state_map import MapImage
from spotproof.checkpoints.workshop import CHAIN_MAX, DELTA_BYTES, SLICE_BYTES
from spotproof.concurrency import Spawner, run_all
from spotproof.errors import CheckpointError
from spotproof.leases.model import Lease

if TYPE_CHECKING:
    from spotproof.checkpoints.images.image import Delta, ImageGather

INHERITED_INLINE_MAX: Final = 64 * 2**10  # bytes of earlier saves that a manifest goes on carrying


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSizes:
    """In which portions state travels. The simulation passes tiny ones, so that small states take every path."""

    slice_bytes: int = SLICE_BYTES  # at 30 ms a request and 50 MB/s a connection, 92 % of the time carries bytes
    pack_bytes: int = 16 * 2**20
    delta_bytes: int = DELTA_BYTES  # of one segment of changed blocks
    chain_max: int = CHAIN_MAX  # deltas of an image; each costs one request at restore
    inline_bytes: int = 16 * 2**10  # a smaller save is one object
    pool_share: float = 0.1  # of the tracked bytes, for copies of what changed
    width: int = 16  # requests at once: at 90 MB/s a connection they fill 12.5 Gbps


class Carry:
    """One save on its way into the bucket."""

    def __init__(
        self,
        *,
        objects: MeteredStore,
        lease: Lease,
        manifest_id: ManifestId,
        current: Manifest | None,
        gathered: Gathered,
        created: datetime,
        sizes: EngineSizes,
        spawner: Spawner,
        before_write: Callable[[str], None],
    ) -> None:
        """`before_write` is called with each key before it is written; what it raises ends the save."""
        self._objects = objects
        self._lease = lease
        self._id = manifest_id
        self._current = current
        self._gathered = gathered
        self._created = created
        self._sizes = sizes
        self._spawner = spawner
        self._before_write = before_write
        self._direct = 0  # objects that were written before the packs
        self._numbering = spawner.lock()

    @property
    def key(self) -> str:
        """Of the manifest."""
        return manifest_key(self._lease.run_id, self._lease.index, self._id)

    def run(self) -> Manifest:
        """Write everything; the manifest, durable when this returns.

        Raises:
            CheckpointError: the state needs a bigger manifest than is allowed, or ours was damaged on its way.
            AwsError: the bucket refused or stayed unavailable.
            Exception: what `before_write` raised.
        """
        packer = Packer(
            inline_max=self._inline_max(), pack_max=self._sizes.pack_bytes, key_of=lambda number: self._key(number)
        )
        values = self._add_values(packer)
        maps = [(each, packer.add(_pack_map(each.image), count=each.image.count)) for each in self._gathered.maps]
        images = [ImageCarry(each, self._id.seq, self._sizes) for each in self._gathered.images]
        self._run([job for each in images for job in each.jobs(self._put_slice)])
        for image in images:
            image.add_to(packer)
        self._run([lambda item=item: self._put(item) for item in packer.seal()])  # type: ignore[misc]
        manifest = self._manifest(values, maps, images)
        self._write(manifest)
        return manifest

    def _run(self, jobs: list[Callable[[], None]]) -> None:
        run_all(self._spawner, jobs, width=self._sizes.width, name="checkpoint-carry")

    def _inline_max(self) -> int:
        inherited = 0 if self._current is None else self._current.inline_bytes
        return self._sizes.inline_bytes if inherited <= INHERITED_INLINE_MAX else 0

    def _key(self, number: int) -> str:
        return data_key(self._lease.run_id, self._lease.index, self._id, self._direct + number)

    def _add_values(self, packer: Packer) -> SegmentHandle | Segment | None:
        """Small values are a text in the manifest; big ones travel only if they changed."""
        if len(self._gathered.values) <= INLINE_BYTES_MAX:
            return None
        if not self._gathered.values_changed and self._current is not None and self._current.values is not None:
            return self._current.values
        return packer.add(compress(self._gathered.values, level=TEXT), count=1)

    def _put(self, item: PackObject) -> None:
        self._before_write(item.key)
        self._objects.put(item.key, item.body)

    def _put_slice(self, packed: Packed) -> Segment:
        """A slice that is an object by itself goes at once: keeping all until the end would double the memory."""
        with self._numbering:
            number, self._direct = self._direct, self._direct + 1
        key = data_key(self._lease.run_id, self._lease.index, self._id, number)
        self._before_write(key)
        self._objects.put(key, packed.stored)
        return Segment(
            key=key,
            offset=0,
            size_bytes=packed.size_bytes,
            raw_bytes=packed.raw_bytes,
            codec=packed.codec,
            xxh3=packed.xxh3,
            count=0,
            inline=None,
        )

    def _manifest(
        self,
        values: SegmentHandle | Segment | None,
        maps: list[tuple[MapGather, SegmentHandle]],
        images: "list[ImageCarry]",
    ) -> Manifest:
        known_maps = {} if self._current is None else self._current.maps
        known_images = {} if self._current is None else self._current.images
        kept = {name: entry for name, entry in known_images.items() if name in self._gathered.kept_images}
        return Manifest(
            run_id=self._lease.run_id,
            shard=self._lease.index,
            id=self._id,
            parent=None if self._current is None else self._current.key,
            writer=self._lease.owner,
            created=self._created,
            serializer=DEFAULT.format_id,
            inline=self._gathered.values.decode() if values is None else None,
            values=values.segment if isinstance(values, SegmentHandle) else values,
            maps={**known_maps, **{each.target.name: _map_entry(each, handle, known_maps) for each, handle in maps}},
            images={**kept, **{each.name: each.entry() for each in images}},
            slice_bytes=self._sizes.slice_bytes,
        )

    def _write(self, manifest: Manifest) -> None:
        data = encode_manifest(manifest)
        if len(data) > MANIFEST_BYTES_MAX:
            raise CheckpointError(
                f"manifest of {len(data)} bytes exceeds {MANIFEST_BYTES_MAX}: use fewer maps, arrays or files"
            )
        self._before_write(manifest.key)
        if self._objects.put_if_absent(manifest.key, data):
            return
        if self._objects.get(manifest.key, size_max=MANIFEST_BYTES_MAX) != data:  # else a lost reply of ours
            raise CheckpointError(
                f"{manifest.key} holds other bytes than ours, although nobody else writes it: it was damaged"
            )


class ImageCarry:
    """One image's part of a save."""

    def __init__(self, gathered: "ImageGather", seq: int, sizes: EngineSizes) -> None:
        self._gathered = gathered
        self._seq = seq
        self._sizes = sizes
        self._bases: dict[int, Packed | Segment | None] = {}  # None: all zeros, nothing to store
        self._deltas: dict[int, tuple[Packed, int]] = {}
        self._base_handles: dict[int, SegmentHandle | Segment | None] = {}
        self._delta_handles: list[SegmentHandle] = []

    @property
    def name(self) -> str:
        return self._gathered.image.name

    def jobs(self, put: Callable[[Packed], Segment]) -> Iterator[Callable[[], None]]:
        """What can be done side by side before anything is placed."""
        for number in self._gathered.whole:
            yield lambda number=number: self._pack_base(number, put)  # type: ignore[misc]
        for number, delta in enumerate(self._gathered.deltas):
            yield lambda number=number, delta=delta: self._pack_delta(number, delta)  # type: ignore[misc]

    def add_to(self, packer: Packer) -> None:
        """Everything that is no object by itself."""
        for number, packed in sorted(self._bases.items()):
            self._base_handles[number] = packer.add(packed) if isinstance(packed, Packed) else packed
        for _, (packed, count) in sorted(self._deltas.items()):
            self._delta_handles.append(packer.add(packed, count=count))

    def entry(self) -> ImageEntry:
        """The image in the new manifest; the packer was sealed."""
        gathered, known = self._gathered, self._gathered.image.entry
        slices = dict(enumerate(known.slices)) if known is not None else {}
        for number, base in self._base_handles.items():
            segment = base.segment if isinstance(base, SegmentHandle) else base
            slices[number] = BaseSlice(seq=self._seq, segment=segment)
        # A slice that became zeros keeps its seq: older deltas must not come back to life on it.
        count = max((number for number, each in slices.items() if each.segment is not None or each.seq), default=-1) + 1
        filled = tuple(slices.get(number, BaseSlice(seq=0, segment=None)) for number in range(count))
        deltas = tuple(self._needed_deltas(filled))
        extent = max([gathered.length, *(delta.length for delta in deltas)])
        return ImageEntry(
            kind=gathered.image.live.kind,
            descr=gathered.describe,
            length=gathered.length,
            slices=filled[: -(-extent // self._sizes.slice_bytes)],  # the image shrank: behind it are only zeros
            deltas=deltas,
        )

    def _needed_deltas(self, slices: tuple[BaseSlice, ...]) -> Iterator[BlockDelta]:
        """Older deltas that some touched slice still builds on, then this save's own."""
        known = self._gathered.image.entry
        for delta in () if known is None else known.deltas:
            if any(number >= len(slices) or slices[number].seq < delta.seq for number in delta.touched):
                yield delta
        if self._delta_handles:
            touched = self._gathered.touched(self._sizes.slice_bytes)
            segments = tuple(handle.segment for handle in self._delta_handles)
            yield BlockDelta(seq=self._seq, length=self._gathered.extent, touched=touched, segments=segments)

    def _pack_base(self, number: int, put: Callable[[Packed], Segment]) -> None:
        start, size = self._gathered.image.span(number, self._gathered.extent)
        memory = self._gathered.image.shadow[start : start + size]
        packed = compress_probed(memory.data)
        if packed.codec == "zstd" and packed.size_bytes * 1000 < size and not memory.any():
            self._bases[number] = None
        else:
            self._bases[number] = put(packed) if 2 * packed.size_bytes > self._sizes.pack_bytes else packed

    def _pack_delta(self, number: int, delta: "Delta") -> None:
        from spotproof.checkpoints.block_delta import write_header
        from spotproof.checkpoints.memory.pages import xor_blocks

        xor_blocks(delta.data, self._gathered.image.shadow, delta.blocks)
        write_header(delta.raw, delta.blocks)
        self._deltas[number] = compress_probed(delta.raw.data), len(delta.blocks)


def _pack_map(image: MapImage) -> Packed:
    return compress(image.encoded, level=TEXT)


def _map_entry(each: MapGather, handle: SegmentHandle, known: dict[str, MapEntry]) -> MapEntry:
    if each.image.base:
        return MapEntry(base=handle.segment, deltas=(), length=each.image.length)
    entry = known[each.target.name]
    return MapEntry(base=entry.base, deltas=(*entry.deltas, handle.segment), length=each.image.length)
