"""A shard's input as files: objects byte for byte, records as lines."""

import csv
import json
from collections.abc import Generator, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.wrap.input_files import COPY_BYTES, file_names, place_input
from spotproof.errors import InputError
from spotproof.shards.model import InputFormat


class Shard:
    """One that has what the test says; it counts how often an object is really read."""

    def __init__(
        self, *, sharding: str, input_format: InputFormat, objects: dict[str, bytes] | None = None, rows: Any = ()
    ) -> None:
        self.sharding, self.input_format = sharding, input_format
        self._objects, self._rows = objects or {}, rows

    def objects(self) -> Iterator[tuple[str, BufferedReader]]:
        for uri, data in self._objects.items():
            yield uri, BufferedReader(BytesIO(data))

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]:
        yield from self._rows


def placed(shard: Shard, folder: Path) -> tuple[list[Path], int]:
    """The files, and how many safe points there were on the way."""
    steps: Generator[None, None, list[Path]] = place_input(shard, folder)
    safe_points = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, safe_points
        safe_points += 1


def test_one_object_keeps_its_name_and_every_byte(tmp_path: Path) -> None:
    data = bytes(range(256)) * (3 * COPY_BYTES // 256)
    shard = Shard(sharding="objects", input_format=InputFormat.JSONL, objects={"s3://b/deep/in.jsonl.gz": data})

    files, safe_points = placed(shard, tmp_path / "input")

    assert files == [tmp_path / "input/in.jsonl.gz"]
    assert files[0].read_bytes() == data
    assert safe_points == 3


def test_objects_of_no_known_format_are_files_however_they_are_sharded(tmp_path: Path) -> None:
    objects = {"s3://b/in/x/1.tif": b"1", "s3://b/in/y/1.tif": b"2", "s3://b/in/z": b""}
    shard = Shard(sharding="size:1000B", input_format=InputFormat.ANY, objects=objects)

    files, _ = placed(shard, tmp_path / "input")

    assert {file.relative_to(tmp_path / "input").as_posix(): file.read_bytes() for file in files} == {
        "x/1.tif": b"1", "y/1.tif": b"2", "z": b"",
    }  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [
        ["in/a", "in/a/b"],  # a file and its folder
        ["in/../../etc/passwd", "in/x"],
        ["in//x", "in/y"],
        ["in/a\nb", "in/c"],
        ["in/" + "n" * 256, "in/c"],
    ],
)
def test_keys_that_are_no_paths_are_numbered(keys: list[str]) -> None:
    assert file_names([f"s3://bucket/{key}" for key in keys]) == ["object-000000", "object-000001"]


def test_a_folder_is_shared_only_whole() -> None:
    assert file_names(["s3://b/in/ab/1", "s3://b/in/ac/1"]) == ["ab/1", "ac/1"]
    assert file_names(["s3://b/1", "s3://b/2"]) == ["1", "2"]


def test_lines_of_text_are_lines_again(tmp_path: Path) -> None:
    shard = Shard(sharding="size:1000B", input_format=InputFormat.TEXT, rows=[["one", "zwölf"], [], [""]])

    files, safe_points = placed(shard, tmp_path / "input")

    assert files == [tmp_path / "input/records.txt"]
    assert files[0].read_text() == "one\nzwölf\n\n"
    assert safe_points == 3


@pytest.mark.parametrize(("input_format", "delimiter"), [(InputFormat.CSV, ","), (InputFormat.TSV, "\t")])
def test_columns_come_with_their_names_and_every_value(
    tmp_path: Path, input_format: InputFormat, delimiter: str
) -> None:
    rows = [{"id": "1", "text": 'with "quotes", a\ttab\nand a line'}, {"id": "2", "text": ""}]
    shard = Shard(sharding="hash:id:4", input_format=input_format, rows=[rows[:1], rows[1:]])

    [file], _ = placed(shard, tmp_path / "input")

    assert file.name == f"records.{input_format}"
    with file.open(newline="") as lines:
        assert list(csv.DictReader(lines, delimiter=delimiter)) == rows
    assert file.read_text().startswith(f"id{delimiter}text\n")


def test_a_shard_without_records_is_an_empty_file(tmp_path: Path) -> None:
    shard = Shard(sharding="hash:id:4", input_format=InputFormat.CSV, rows=[[]])

    [file], _ = placed(shard, tmp_path / "input")

    assert file.read_bytes() == b""


@pytest.mark.parametrize("input_format", [InputFormat.JSONL, InputFormat.PARQUET])
def test_all_other_records_are_json_lines(tmp_path: Path, input_format: InputFormat) -> None:
    row = {
        "b": 1, "a": [1.5, None, "é"], "day": date(2026, 11, 22), "at": datetime(2026, 11, 22, tzinfo=UTC),
        "price": Decimal("1.10"), "raw": b"\0\1",
    }  # fmt: skip
    shard = Shard(sharding="rowgroups", input_format=input_format, rows=[[row], [{"b": 2}]])

    [file], _ = placed(shard, tmp_path / "input")

    first, second = file.read_text().splitlines()
    assert json.loads(first) == {
        "b": 1, "a": [1.5, None, "é"], "day": "2026-11-22", "at": "2026-11-22T00:00:00+00:00", "price": "1.10",
        "raw": "AAE=",
    }  # fmt: skip
    assert list(json.loads(first))[:2] == ["b", "a"]  # in the order of the columns
    assert json.loads(second) == {"b": 2}


def test_a_value_that_json_can_not_carry_is_the_inputs_flaw(tmp_path: Path) -> None:
    shard = Shard(sharding="rowgroups", input_format=InputFormat.PARQUET, rows=[[{"x": object()}]])

    with pytest.raises(InputError, match="a record holds a object"):
        placed(shard, tmp_path / "input")
