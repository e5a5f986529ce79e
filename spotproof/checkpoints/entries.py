"""What a manifest says of one map and of one image, and how it reads that back: every type and number is checked."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from spotproof.checkpoints.segment import IMAGE_RAW_BYTES_MAX, Segment

ImageKind = Literal["array", "file", "tensors"]

IMAGE_BYTES_MAX: Final = 2**40  # block numbers are 32 bits wide
SLICE_STEP_BYTES: Final = 4096  # a slice is whole pages
SLICES_MAX: Final = 2**16  # of an image: 1 TiB in slices of 16 MiB
TOUCHED_MAX: Final = 2**24  # slices that all deltas of all images touch: 256 deltas of 1 TiB
NUMBER_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One map: a base and what changed since, oldest first."""

    base: Segment
    deltas: tuple[Segment, ...]
    length: int  # keys after the last delta

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (self.base, *self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSlice:
    """The bytes of one slice as they were after the save `seq`; block deltas of later saves go on top."""

    seq: int
    segment: Segment | None  # None: zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDelta:
    """What the save `seq` changed in the slices whose base is older than it."""

    seq: int
    length: int  # bytes that the image's slices covered in that save: a longer past included
    touched: frozenset[int]  # numbers of the slices it changed: once all have newer bases, the delta is needed no more
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """One image: its base slices in order (those missing at the end are zeros), and block deltas, oldest first."""

    kind: ImageKind
    descr: dict[str, Any]  # what its kind needs to make the bytes a value again
    length: int  # bytes
    slices: tuple[BaseSlice, ...]
    deltas: tuple[BlockDelta, ...]

    @property
    def extent(self) -> int:
        """Bytes that slices and deltas cover: the length, or more while a delta still speaks of a longer past."""
        return max([self.length, *(delta.length for delta in self.deltas)])

    @property
    def segments(self) -> tuple[Segment, ...]:
        bases = tuple(each.segment for each in self.slices if each.segment is not None)
        return bases + tuple(segment for delta in self.deltas for segment in delta.segments)


def map_to_json(entry: MapEntry, *, prefix: str) -> dict[str, Any]:
    return {
        "base": entry.base.to_json(prefix=prefix),
        "deltas": [delta.to_json(prefix=prefix) for delta in entry.deltas],
        "length": entry.length,
    }


def map_from_json(body: dict[str, Any], *, prefix: str) -> MapEntry:
    """Raises KeyError, TypeError or ValueError for anything but what map_to_json returned."""
    check_members(body, {"base", "deltas", "length"})
    return MapEntry(
        base=Segment.from_json(body["base"], prefix=prefix),
        deltas=tuple(Segment.from_json(delta, prefix=prefix) for delta in typed(body["deltas"], list)),
        length=number(body["length"]),
    )


def image_to_json(entry: ImageEntry, *, prefix: str) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "descr": entry.descr,
        "length": entry.length,
        "slices": [
            [each.seq, None if each.segment is None else each.segment.to_json(prefix=prefix)] for each in entry.slices
        ],
        "deltas": [
            [each.seq, each.length, _bits(each.touched), [segment.to_json(prefix=prefix) for segment in each.segments]]
            for each in entry.deltas
        ],
    }


def image_from_json(body: dict[str, Any], *, prefix: str, seq: int, slice_bytes: int) -> ImageEntry:
    """The image as the save `seq` described it.

    Raises:
        KeyError, TypeError or ValueError: anything but what image_to_json returned of a possible image.
    """
    check_members(body, {"kind", "descr", "length", "slices", "deltas"})
    if body["kind"] not in get_args(ImageKind):
        raise ValueError(f"unknown kind of image {body['kind']!r}")
    entry = ImageEntry(
        kind=body["kind"],
        descr=typed(body["descr"], dict),
        length=number(body["length"], at_most=IMAGE_BYTES_MAX),
        slices=tuple(_slice_from_json(each, prefix, slice_bytes) for each in typed(body["slices"], list)),
        deltas=tuple(_delta_from_json(each, prefix) for each in typed(body["deltas"], list)),
    )
    _check_order(entry, seq)
    slices_max = -(-entry.extent // slice_bytes)
    if slices_max > SLICES_MAX:
        raise ValueError(f"{entry.extent} bytes have {slices_max} slices of {slice_bytes} bytes")
    if len(entry.slices) > slices_max or any(each >= slices_max for delta in entry.deltas for each in delta.touched):
        raise ValueError(f"{entry.extent} bytes have no more than {slices_max} slices of {slice_bytes} bytes")
    return entry


def check_touched(images: dict[str, Any]) -> None:
    """Raises ValueError if the images' deltas touch more slices than any state has: sets of them need memory."""
    deltas = [delta for body in images.values() if isinstance(body, dict) for delta in typed(body.get("deltas"), list)]
    digits = sum(len(part) for delta in deltas if isinstance(delta, list) for part in delta if isinstance(part, str))
    if digits > TOUCHED_MAX // 4:
        raise ValueError(f"{len(deltas)} deltas touch {4 * digits} slices")


def slice_size(value: object) -> int:
    """The size of slices; raises TypeError or ValueError for any other value."""
    size = number(value, at_most=IMAGE_RAW_BYTES_MAX)
    if size == 0 or size % SLICE_STEP_BYTES:
        raise ValueError(f"slices are whole pages of {SLICE_STEP_BYTES} bytes, got {size}")
    return size


def number(value: object, *, at_most: int = NUMBER_MAX) -> int:
    """The value, if it is a whole number from 0 to `at_most`; else raises TypeError or ValueError."""
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r:.200}")
    if not 0 <= value <= at_most:
        raise ValueError(f"expected a number from 0 to {at_most}, got {value}")
    return value


def text(value: Any) -> str:
    """The value, if it is text that can be written; else raises TypeError or ValueError."""
    written: str = typed(value, str)
    written.encode()
    return written


def typed(value: Any, kind: type) -> Any:
    """The value, if it is of exactly this type; else raises TypeError."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r:.200}")
    return value


def check_members(body: Any, names: set[str]) -> None:
    """Raises TypeError or ValueError unless this is an object with just these members."""
    if typed(body, dict).keys() != names:
        raise ValueError(f"expected the members {sorted(names)}, got {sorted(body)!r:.200}")


def _slice_from_json(body: Any, prefix: str, slice_bytes: int) -> BaseSlice:
    seq, segment = typed(body, list)
    if segment is not None:
        segment = Segment.from_json(segment, prefix=prefix, raw_bytes_max=slice_bytes)
    return BaseSlice(seq=number(seq), segment=segment)


def _delta_from_json(body: Any, prefix: str) -> BlockDelta:
    seq, length, touched, segments = typed(body, list)
    return BlockDelta(
        seq=number(seq),
        length=number(length, at_most=IMAGE_BYTES_MAX),
        touched=_from_bits(typed(touched, str)),
        segments=tuple(
            Segment.from_json(each, prefix=prefix, raw_bytes_max=IMAGE_RAW_BYTES_MAX) for each in typed(segments, list)
        ),
    )


def _check_order(entry: ImageEntry, seq: int) -> None:
    seqs = [delta.seq for delta in entry.deltas]
    if seqs != sorted(set(seqs)) or any(each > seq for each in seqs):
        raise ValueError(f"the deltas of save {seq} can't be of the saves {seqs!r:.200}")
    if any(each.seq > seq for each in entry.slices):
        raise ValueError(f"a slice is newer than the save {seq}")


def _bits(numbers: frozenset[int]) -> str:
    """A set of small numbers as one hexadecimal number with a bit for each."""
    flags = bytearray(b"0") * (max(numbers, default=0) + 1)
    for each in numbers:
        flags[-1 - each] = ord("1")
    return f"{int(flags, 2):x}"


def _from_bits(text: str) -> frozenset[int]:
    """Raises ValueError for anything but what _bits returned."""
    bits = int(text, 16)
    if bits < 0 or f"{bits:x}" != text:
        raise ValueError(f"expected a set of slices in hexadecimal, got {text!r:.200}")
    return frozenset(number for number, flag in enumerate(reversed(f"{bits:b}")) if flag == "1")
