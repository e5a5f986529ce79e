"""The same awkward records in every format with columns: nulls, repeats, unicode, changes of the clock."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from tests.fakes.s3_input import S3Input

RECORDS = 240
START = datetime(2013, 3, 9, 12, tzinfo=UTC)  # New York changes its clocks on March 10


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": None if number % 11 == 0 else f'grün, "{number % 13}"',
            "price": None if number % 17 == 0 else (number * 37) % 50 / 4,
            "at": None if number % 19 == 0 else START + timedelta(minutes=20 * number),
        }
        for number in range(RECORDS)
    ]


def put_csv(store: S3Input) -> None:
    _put_text(store, "csv", _csv)


def put_tsv(store: S3Input) -> None:
    _put_text(store, "tsv", lambda part: _csv(part, delimiter="\t"))


def put_jsonl(store: S3Input) -> None:
    _put_text(store, "jsonl", lambda part: "".join(json.dumps(_texts(row)) + "\n" for row in part))


def put_parquet(store: S3Input) -> None:
    for number, part in enumerate(_thirds()):
        columns: dict[str, Any] = {name: [row[name] for row in part] for name in ("id", "name", "price")}
        columns["at"] = pa.array([row["at"] for row in part], pa.timestamp("us", tz="UTC"))
        store.put_parquet(f"parquet/{number}.parquet", pa.table(columns), row_group_size=17)


def _thirds() -> list[list[dict[str, Any]]]:
    every = rows()
    return [every[:100], every[100:101], every[101:]]


def _put_text(store: S3Input, extension: str, encode: Any) -> None:
    first, second, third = (encode(part) for part in _thirds())
    store.put(f"{extension}/0.{extension}", first.removesuffix("\n"))
    store.put(f"{extension}/1.{extension}", second.replace("\n", "\r\n"))
    store.put_gzip(f"{extension}/2.{extension}.gz", third)


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "at": None if row["at"] is None else row["at"].isoformat()}


def _csv(part: list[dict[str, Any]], delimiter: str = ",") -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, ["id", "name", "price", "at"], delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_texts(row) for row in part)
    return file.getvalue()


PUTS = {"csv": put_csv, "tsv": put_tsv, "jsonl": put_jsonl, "parquet": put_parquet}
