"""Targets: a run's input objects: planned by every strategy, then read shard by shard."""

import gzip
import io
import random
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from spotproof.errors import ConfigurationError, InputError
from spotproof.retries import Retrier
from spotproof.shards.planner import plan_run
from spotproof.shards.reader import ShardReader
from tests.fakes.clock import FakeClock
from tests.fuzz.mutations import WORDS, bytes_mutation
from tests.fuzz.target import Mutation, Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA: Final = "objects of the input, from wherever they come"
ROWS: Final = 12
SHARDS_READ: Final = 8
LIMIT_S: Final = 60.0  # a wrong year makes windows by the hundred thousand; a million of them is refused
FOOTER_TAIL_BYTES: Final = 8  # of Parquet: the footer's length, and PAR1
Given = tuple[str, bytes, str]  # name, bytes, shard_by
BY_LINES: Final = ("size:100B", "hash:id:3", "range:id:3", "range:price:2", "time:at:1d", "objects", "auto")
BY_GROUPS: Final = ("rowgroups", "hash:id:3", "range:price:2", "time:at:1d", "auto")


class Bucket:
    """A bucket with one input object."""

    def __init__(self, name: str, data: bytes) -> None:
        self._key = f"in/{name}"
        self._data = data

    def list_objects_v2(self, **_request: Any) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Key": quote(self._key, errors="surrogatepass"),
            "ETag": '"1"',
            "Size": len(self._data),
        }
        return {"Contents": [entry], "IsTruncated": False}

    def get_object(self, *, Range: str, **_request: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        start, _, last = Range.removeprefix("bytes=").partition("-")
        return {"Body": io.BytesIO(self._data[int(start) : int(last) + 1]), "ETag": '"1"'}


def targets() -> tuple[Target, ...]:
    rows = [
        {"id": number % 5, "price": number * 1.5, "at": f"2026-11-{number + 1:02}T12:00:00Z"} for number in range(ROWS)
    ]
    csv = "id,price,at\n" + "".join(f"{row['id']},{row['price']},{row['at']}\n" for row in rows)
    jsonl = "".join(f'{{"id": {row["id"]}, "price": {row["price"]}, "at": "{row["at"]}"}}\n' for row in rows)
    lines = [("a.csv", csv), ("a.jsonl", jsonl), ("a.tsv", csv.replace(",", "\t")), ("a.txt", csv)]
    plain = [(name, text.encode(), by) for name, text in lines[:3] for by in BY_LINES]
    packed = [(f"{name}.gz", gzip.compress(text.encode(), mtime=0), "size:100B") for name, text in lines]
    return (
        _target("input-lines", [*plain, ("a.txt", csv.encode(), "size:40B"), *packed], share=0.4, mutate=_mutation),
        _target(
            "input-parquet", [("a.parquet", _parquet(rows), by) for by in BY_GROUPS], share=0.1, mutate=_page_mutation
        ),
    )


def _target(name: str, seeds: list[Given], *, share: float, mutate: Mutation) -> Target:
    return Target(
        name=name,
        surface=DATA,
        seeds=seeds,
        mutate=mutate,
        attempt=_planned_and_read,
        refusals=(InputError, ConfigurationError),
        share=share,
        limit_s=LIMIT_S,
    )


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    moments = pa.array([row["at"][:19] for row in rows]).cast(pa.timestamp("us"))
    pq.write_table(table.set_column(2, "at", moments), file, row_group_size=4)
    return file.getvalue()


def _mutation(given: Given, rng: random.Random, other: Given) -> Given:
    """Damaged bytes, a word of trouble in a field, another strategy; now and then another name."""
    name, data, shard_by = given
    match rng.randrange(10):
        case 0:
            shard_by = other[2]
        case 1:
            name = other[0]
        case 2 | 3 | 4:
            place = rng.randrange(len(data) + 1)
            word = rng.choice(WORDS).encode("utf-8", "surrogatepass")
            data = data[:place] + word + data[place + rng.randrange(6) :]
        case _:
            data = bytes_mutation(data, rng, other[1])
    return name, data, shard_by


def _page_mutation(given: Given, rng: random.Random, other: Given) -> Given:
    """Damaged pages, another strategy. The footer stays: pyarrow ends the whole process over some that contradict
    themselves (a C++ exception that it does not catch), which nothing in the process can turn into a refusal.
    """
    name, data, _ = given
    start = len(data) - FOOTER_TAIL_BYTES - int.from_bytes(data[-FOOTER_TAIL_BYTES:-4], "little")
    pages = bytes_mutation(data[:start], rng, other[1])[:start].ljust(start, b"\0")
    return name, pages + data[start:], other[2]


def _planned_and_read(given: Given) -> object:
    """No record is read twice or left out: hash, range and time give each to one shard, and so do pieces."""
    name, data, shard_by = given
    s3 = cast("S3Client", Bucket(name, data))
    retrier = Retrier(clock=FakeClock(), rng=random.Random(0))
    plan = plan_run(s3=s3, retrier=retrier, input_uri="s3://data/in", shard_by=shard_by)
    if plan.header.format == "any":
        return "opaque"
    shards = list(plan.shards())
    counts = [_count(ShardReader(shard, plan.header, s3=s3, retrier=retrier)) for shard in shards[:SHARDS_READ]]
    if len(shards) <= SHARDS_READ:
        whole = plan_run(s3=s3, retrier=retrier, input_uri="s3://data/in", shard_by="objects")
        records = sum(_count(ShardReader(shard, whole.header, s3=s3, retrier=retrier)) for shard in whole.shards())
        # Where damaged pages contradict the footer's statistics, nobody can tell which is right: then some are left out.
        whole_ones = sum(counts) <= records if name.endswith(".parquet") else sum(counts) == records
        assert whole_ones, f"{sum(counts)} records in {len(shards)} shards, {records} in the object"
    return plan.header.format, shard_by.partition(":")[0]


def _count(reader: ShardReader) -> int:
    return sum(len(batch.records) for batch in reader.batches())
