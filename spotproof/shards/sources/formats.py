"""What kind of data an object holds, told from its name and its first bytes."""

from dataclasses import dataclass
from typing import Final

from spotproof.errors import InputError
from spotproof.shards.model import InputFormat, ObjectPin

MAGIC_BYTES: Final = 4  # read from the start of an object
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"
_EXTENSIONS: Final = {
    "txt": InputFormat.TEXT,
    "text": InputFormat.TEXT,
    "log": InputFormat.TEXT,
    "csv": InputFormat.CSV,
    "tsv": InputFormat.TSV,
    "jsonl": InputFormat.JSONL,
    "ndjson": InputFormat.JSONL,
    "parquet": InputFormat.PARQUET,
    "pq": InputFormat.PARQUET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFormat:
    format: InputFormat
    gzip: bool


def format_from_name(key: str) -> ObjectFormat:
    """What the extensions promise: `.csv.gz` is compressed CSV; unknown ones are opaque files."""
    name = key.rsplit("/", 1)[-1].lower()
    gzip = name.endswith(".gz")
    extension = name.removesuffix(".gz").rpartition(".")[2]
    known = _EXTENSIONS.get(extension, InputFormat.ANY)
    return ObjectFormat(format=known, gzip=gzip and known is not InputFormat.ANY)


def detect_format(pin: ObjectPin, magic: bytes) -> ObjectFormat:
    """The format of an object, its first bytes having the last word on compression and Parquet.

    Args:
        magic: the first `MAGIC_BYTES` of the object, fewer if it is shorter.

    Raises:
        InputError: name and content contradict each other.
    """
    named = format_from_name(pin.key)
    if named.format is InputFormat.PARQUET:
        if not named.gzip and magic == _PARQUET_MAGIC:
            return named
        raise InputError(f"{pin.uri} is named like Parquet but is not; repair or remove it")
    if magic == _PARQUET_MAGIC:
        if named.format is InputFormat.ANY:
            return ObjectFormat(format=InputFormat.PARQUET, gzip=False)
        raise InputError(f"{pin.uri} is Parquet but named like {named.format}; rename it to .parquet")
    is_gzip = magic.startswith(_GZIP_MAGIC)
    if named.gzip and not is_gzip and pin.size_bytes:
        raise InputError(f"{pin.uri} is named .gz but is not gzip; repair or rename it")
    return ObjectFormat(format=named.format, gzip=is_gzip and named.format is not InputFormat.ANY)


def one_format(found: list[tuple[ObjectPin, ObjectFormat]]) -> InputFormat:
    """The format that all objects share.

    Raises:
        InputError: they differ; names one of each.
    """
    first_pin, first = found[0]
    for pin, other in found:
        if other.format is not first.format:
            raise InputError(
                f"mixed formats under one prefix: {first_pin.uri} is {first.format}, {pin.uri} is {other.format}; "
                "give each format its own prefix"
            )
    return first.format
