"""Plans, shards and the parts of input they read, as frozen values with a JSON form."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from spotproof.shards.predicates import Predicate, predicate_from_json

PLAN_SCHEMA: Final = 1


class InputFormat(StrEnum):
    TEXT = "text"  # one record per line
    CSV = "csv"  # comma, header line
    TSV = "tsv"  # tab, header line
    JSONL = "jsonl"  # one JSON object per line
    PARQUET = "parquet"
    ANY = "any"  # opaque files

    @property
    def has_lines(self) -> bool:
        return self in (InputFormat.TEXT, InputFormat.CSV, InputFormat.TSV, InputFormat.JSONL)

    @property
    def has_columns(self) -> bool:
        return self not in (InputFormat.TEXT, InputFormat.ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPin:
    """One input object as the plan saw it; reading anything else is an error."""

    bucket: str
    key: str
    etag: str  # with its quotes, as S3 gives it
    size_bytes: int

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPart:
    """A piece of one object: bytes [start, stop) of lines, or row groups of Parquet, or the whole.

    A line belongs to the part in which its first byte lies.
    """

    pin: ObjectPin
    start: int
    stop: int
    gzip: bool = False  # always a whole object: gzip can't be entered in the middle
    row_groups: tuple[int, ...] | None = None

    @property
    def whole(self) -> bool:
        return self.row_groups is None and self.start == 0 and self.stop == self.pin.size_bytes

    def to_json(self) -> dict[str, Any]:
        pin = self.pin
        data: dict[str, Any] = {"o": [pin.bucket, pin.key, pin.etag, pin.size_bytes], "r": [self.start, self.stop]}
        if self.gzip:
            data["z"] = 1
        if self.row_groups is not None:
            data["g"] = list(self.row_groups)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "InputPart":
        """Raises KeyError, TypeError, ValueError or another of MALFORMED for anything but what `to_json` returned."""
        bucket, key, etag, size_bytes = data["o"]
        start, stop = data["r"]
        groups = data.get("g")
        pin = ObjectPin(bucket=str(bucket), key=str(key), etag=str(etag), size_bytes=int(size_bytes))
        row_groups = None if groups is None else tuple(int(group) for group in groups)
        part = cls(pin=pin, start=int(start), stop=int(stop), gzip=bool(data.get("z")), row_groups=row_groups)
        if not 0 <= part.start <= part.stop <= pin.size_bytes or min(row_groups or (0,)) < 0:
            raise ValueError(f"bytes {part.start} to {part.stop} of an object of {pin.size_bytes}")
        return part


def joined(parts: Iterable[InputPart]) -> tuple[InputPart, ...]:
    """The same input with neighbouring pieces of an object as one part, so that it is opened once."""
    result: list[InputPart] = []
    for part in parts:
        last = result[-1] if result else None
        if last is None or last.pin != part.pin:
            result.append(part)
        elif last.row_groups is not None and part.row_groups is not None:
            start, stop = min(last.start, part.start), max(last.stop, part.stop)
            result[-1] = replace(last, start=start, stop=stop, row_groups=last.row_groups + part.row_groups)
        elif last.stop == part.start and not part.gzip:
            result[-1] = replace(last, stop=part.stop)
        else:
            result.append(part)
    return tuple(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShard:
    """One unit of work: which parts to read, and which of their records count."""

    index: int
    label: str  # for people: what this shard holds
    parts: tuple[InputPart, ...]
    size_bytes: int  # of its own records; estimated from a sample for hash, range and time
    predicate: Predicate | None = None  # None: every record of the parts

    @property
    def shard_id(self) -> str:
        return f"{self.index:08d}"

    @property
    def scan_bytes(self) -> int:
        """Bytes of the parts, as stored, whether or not their records count."""
        return sum(part.stop - part.start for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """All but the parts, which the plan file may share between shards."""
        data: dict[str, Any] = {
            "i": self.index,
            "label": self.label,
            "size": self.size_bytes,
        }
        if self.predicate is not None:
            data["where"] = self.predicate.to_json()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any], parts: tuple[InputPart, ...]) -> "PlannedShard":
        where = data.get("where")
        return cls(
            index=int(data["i"]),
            label=str(data["label"]),
            size_bytes=int(data["size"]),
            parts=parts,
            predicate=None if where is None else predicate_from_json(where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How unequal the shards are, in bytes of their own records."""

    max_bytes: int
    mean_bytes: float
    p95_bytes: int

    @property
    def ratio(self) -> float:
        """Largest shard over mean; 1.0 is perfectly even."""
        return self.max_bytes / self.mean_bytes if self.mean_bytes else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What is true of the whole plan; the shards themselves are in the pages of the plan file."""

    strategy: str  # canonical shard_by text, with auto resolved
    input_uri: str
    format: InputFormat
    shards: int
    objects: int
    input_bytes: int
    skew: Skew
    warnings: tuple[str, ...] = ()
    schema: int = PLAN_SCHEMA

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ShardPlan":
        """Raises KeyError, TypeError, ValueError or another of MALFORMED for anything but what `to_json` returned."""
        skew = data["skew"]
        if int(data["shards"]) < 0:
            raise ValueError(f"a plan of {int(data['shards'])} shards")
        return cls(
            strategy=str(data["strategy"]),
            input_uri=str(data["input_uri"]),
            format=InputFormat(data["format"]),
            shards=int(data["shards"]),
            objects=int(data["objects"]),
            input_bytes=int(data["input_bytes"]),
            skew=Skew(
                max_bytes=int(skew["max_bytes"]),
                mean_bytes=float(skew["mean_bytes"]),
                p95_bytes=int(skew["p95_bytes"]),
            ),
            warnings=tuple(str(warning) for warning in data["warnings"]),
            schema=int(data["schema"]),
        )
