"""A shard's input as files for a program: whole objects as they are, records as one file of lines."""

import base64
import csv
import json
from collections.abc import Generator, Iterable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import IO, Any, Final, Protocol

from spotproof.checkpoints.names import flaw_in_path, flaw_in_paths
from spotproof.errors import InputError
from spotproof.shards.model import InputFormat
from spotproof.shards.spec import StrategyName

COPY_BYTES: Final = 2**20
SUFFIXES: Final = {InputFormat.TEXT: "txt", InputFormat.CSV: "csv", InputFormat.TSV: "tsv"}
DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


class InputShard(Protocol):
    """What is needed of the worker's handle."""

    sharding: str
    input_format: InputFormat

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Iterable[Any]]: ...

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]: ...


def place_input(shard: InputShard, folder: Path) -> Generator[None, None, list[Path]]:
    """Write the shard's input below `folder`; the files. Every `yield` is a safe point.

    One shard of whole objects (sharded by objects, or of no known format) gets those objects, byte for byte. Every
    other one gets the records that are its own, in one file: text and CSV as such, all others as JSON lines.

    Raises:
        InputError: an object changed, or can't be read.
        OSError: the disk is full.
    """
    folder.mkdir()
    if shard.sharding == StrategyName.OBJECTS or shard.input_format is InputFormat.ANY:
        return (yield from _place_objects(shard, folder))
    return [(yield from _place_records(shard, folder))]


def file_names(uris: list[str]) -> list[str]:
    """A path for each object: its key from behind the longest folder that all of them share.

    Keys that make no paths (`..`, empty parts, one that is another's folder) are numbered instead, all of them.
    """
    keys = [uri.split("/", 3)[3] for uri in uris]
    shared = 0
    parts = [key.split("/")[:-1] for key in keys]
    while all(len(each) > shared and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    names = ["/".join(key.split("/")[shared:]) for key in keys]
    flawed = any(flaw_in_path(name) for name in names) or flaw_in_paths(names) or len(set(names)) < len(names)
    return [f"object-{number:06d}" for number in range(len(names))] if flawed else names


def _place_objects(shard: InputShard, folder: Path) -> Generator[None, None, list[Path]]:
    names = file_names([uri for uri, _ in shard.objects()])  # nothing is read until a stream is
    placed: list[Path] = []
    for name, (_, stream) in zip(names, shard.objects(), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while data := stream.read(COPY_BYTES):
                file.write(data)
                yield
        placed.append(path)
    return placed


def _place_records(shard: InputShard, folder: Path) -> Generator[None, None, Path]:
    suffix = SUFFIXES.get(shard.input_format, "jsonl")
    path = folder / f"records.{suffix}"
    with path.open("x", encoding="utf-8", newline="") as file:
        lines = RecordLines(suffix)
        for batch in shard.batches():
            file.writelines(lines.of(batch))
            yield
    return path


class RecordLines:
    """Records as lines of text; a file of columns begins with their names, if there is any record."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._begun = False

    def of(self, rows: Iterable[Any]) -> Iterator[str]:
        for row in rows:
            if self._suffix == "txt":
                yield f"{row}\n"
            elif self._suffix == "jsonl":
                yield json.dumps(row, ensure_ascii=False, default=_as_json, separators=(",", ":")) + "\n"
            else:
                if not self._begun:
                    yield self._columns(row.keys())
                    self._begun = True
                yield self._columns(row.values())

    def _columns(self, values: Iterable[str]) -> str:
        text = StringIO()
        csv.writer(text, delimiter=DELIMITERS[self._suffix], lineterminator="\n").writerow(values)
        return text.getvalue()


def _as_json(value: object) -> Any:
    """What Parquet has and JSON has not: moments as ISO 8601, decimals as text, bytes as base64."""
    match value:
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
    raise InputError(f"a record holds a {type(value).__name__}, which JSON lines can't carry; convert the input")
