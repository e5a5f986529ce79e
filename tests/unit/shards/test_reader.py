"""Reading shards: batches, tables, progress, whole objects, and inputs that change under a run."""

import sys
from typing import Any

import pyarrow as pa
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from spotproof.errors import ConfigurationError, InputChangedError, InputError
from spotproof.shards.reader import ShardReader
from tests.fakes.s3_input import BUCKET, S3Input, flat


def only_reader(store: S3Input, shard_by: str) -> ShardReader:
    plan = store.plan(shard_by)
    (shard,) = plan.shards()
    return store.reader(plan, shard)


def test_a_batch_gives_records_count_bytes_and_iterates(store: S3Input) -> None:
    store.put("in/a.csv", "a,b\n1,x\n2,y\n3,z\n")

    first, second = only_reader(store, "auto").batches(records=2)

    assert list(first) == first.records == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert (first.count, len(first), first.size_bytes) == (2, 2, 8)
    assert second.records == [{"a": "3", "b": "z"}]


def test_text_records_are_lines_and_empty_lines_count(store: S3Input) -> None:
    store.put("in/a.txt", "one\r\n\nthree")

    (batch,) = only_reader(store, "auto").batches()

    assert batch.records == ["one", "", "three"]
    with pytest.raises(ConfigurationError, match=r"no columns; use batch\.records"):
        _ = batch.table


def test_tables_of_csv_have_text_columns_in_the_order_of_the_header(store: S3Input) -> None:
    store.put("in/a.csv", "b,a\n1,\n")

    (batch,) = only_reader(store, "auto").batches()

    assert batch.table.equals(pa.table({"b": ["1"], "a": [""]}))


def test_tables_of_json_lines_have_types_or_a_clear_error(store: S3Input) -> None:
    store.put("in/a.jsonl", '{"a":1}\n{"a":2}\n{"a":3}\n{"a":"x"}\n')

    first, second = only_reader(store, "auto").batches(records=2)

    assert first.table.equals(pa.table({"a": [1, 2]}))
    with pytest.raises(InputError, match=r"no common Arrow types .* use batch\.records"):
        _ = second.table


def test_parquet_is_read_row_group_by_row_group_in_ranged_requests(store: S3Input) -> None:
    table = pa.table({"id": list(range(300)), "x": [f"{number:064}" for number in range(300)]})
    store.put_parquet("in/a.parquet", table, 100, compression="none", use_dictionary=False)
    reader = only_reader(store, "objects")
    store.requests.clear()

    batches = reader.batches(records=64)
    first = next(batches)

    gets = [header for name, header in store.requests if name == "GetObject"]
    assert first.table.equals(table.slice(0, 64))
    assert len(gets) == 2  # the footer, the first row group
    assert all(header.startswith("bytes=") for header in gets)
    assert [batch.count for batch in batches] == [36, 64, 36, 64, 36]
    assert len([name for name, _ in store.requests if name == "GetObject"]) == 4


def test_parquet_resumes_within_a_row_group_without_reading_earlier_ones(store: S3Input) -> None:
    store.put_parquet("in/a.parquet", pa.table({"id": list(range(300))}), 100)
    plan = store.plan("objects")
    (shard,) = plan.shards()
    fifth = list(store.reader(plan, shard).batches(records=40))[4]
    store.requests.clear()

    rest = [record["id"] for batch in store.reader(plan, shard).batches(fifth.end) for record in batch]

    assert rest == list(range(180, 300))
    assert len(store.requests) == 3  # footer, second and third row group


def test_every_byte_is_asked_for_with_the_pinned_etag(store: S3Input) -> None:
    store.put("in/a.csv", "a\n1\n")
    plan = store.plan("auto")
    seen: list[Any] = []
    store.s3.meta.events.register("before-call.s3.GetObject", lambda params, **_: seen.append(params["headers"]))

    store.read(plan)

    (shard,) = plan.shards()
    assert seen
    assert all(headers.get("If-Match") == shard.parts[0].pin.etag and headers.get("Range") for headers in seen)


@pytest.mark.parametrize("change", ["replaced", "deleted", "truncated", "bucket"])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.bin"])
def test_an_input_that_changed_since_planning_is_an_error_that_names_the_object(
    store: S3Input, change: str, name: str
) -> None:
    if name == "a.parquet":
        store.put_parquet("in/a.parquet", pa.table({"a": [1, 2]}), 1)
    else:
        store.put(f"in/{name}", "a\n1\n2\n")
    plan = store.plan("objects")
    (shard,) = plan.shards()
    if change in ("deleted", "bucket"):
        store.clear()
    else:
        store.put(f"in/{name}", "a\n1\n3\n" if change == "replaced" else "a")
    if change == "bucket":
        store.s3.delete_bucket(Bucket=BUCKET)
    reader = store.reader(plan, shard)

    with pytest.raises(InputChangedError, match=rf"s3://{BUCKET}/in/{name} changed since the run was planned"):
        _ = [stream.read() for _, stream in reader.objects()] if name == "a.bin" else list(reader.batches())


def test_an_input_that_changes_between_two_batches_is_an_error(store: S3Input) -> None:
    store.put_parquet("in/a.parquet", pa.table({"a": list(range(10))}), 5)
    batches = only_reader(store, "objects").batches(records=5)
    next(batches)

    store.put_parquet("in/a.parquet", pa.table({"a": list(range(1, 11))}), 5)

    with pytest.raises(InputChangedError, match=r"in/a\.parquet changed"):
        next(batches)


def test_a_server_that_ignores_if_match_does_not_get_through(store: S3Input) -> None:
    store.put("in/a.txt", "one\n")
    reader = only_reader(store, "auto")
    store.put("in/a.txt", "two\n")

    def drop_if_match(params: Any, **_: Any) -> None:
        del params["headers"]["If-Match"]

    store.s3.meta.events.register("before-call.s3.GetObject", drop_if_match)

    with pytest.raises(InputChangedError, match="its ETag is"):
        list(reader.batches())


def test_objects_gives_open_seekable_streams_of_any_files(store: S3Input) -> None:
    store.put("in/a.bin", b"\x00\x01" * 2_000_000)
    store.put("in/b.bin", b"")
    plan = store.plan("size:1GB")
    (shard,) = plan.shards()
    reader = store.reader(plan, shard)

    found = []
    for uri, stream in reader.objects():
        stream.seek(-2, 2) if uri.endswith("a.bin") else None
        found.append((uri, stream.read()))

    assert found == [(f"s3://{BUCKET}/in/a.bin", b"\x00\x01"), (f"s3://{BUCKET}/in/b.bin", b"")]
    assert reader.fraction_done == 1.0


def test_objects_refuses_pieces_and_batches_refuses_opaque_files(store: S3Input) -> None:
    store.put("in/a.txt", "x\n" * 100)
    plan = store.plan("size:50B")
    shard = next(plan.shards())
    with pytest.raises(ConfigurationError, match="cut into pieces; shard_by=objects"):
        list(store.reader(plan, shard).objects())

    store.clear()
    store.put("in/a.bin", "x")
    with pytest.raises(ConfigurationError, match=r"use shard\.objects\(\)"):
        list(only_reader(store, "auto").batches())


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_fraction_done_rises_with_the_batches_to_one(store: S3Input, name: str) -> None:
    rows = list(range(2000))
    text = "id\n" + "".join(f"{row:04}\n" for row in rows)
    match name:
        case "a.csv":
            store.put("in/a.csv", text)
        case "a.csv.gz":
            store.put_gzip("in/a.csv.gz", text)
        case _:
            store.put_parquet("in/a.parquet", pa.table({"id": rows}), 400)
    reader = only_reader(store, "objects")
    assert reader.fraction_done == 0.0

    fractions = [reader.fraction_done for _ in reader.batches(records=400)]

    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= 1
    assert reader.fraction_done == 1.0
    if name != "a.csv.gz":
        assert fractions == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], abs=0.05)


def test_sparse_matches_still_give_batches_to_stop_at(store: S3Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotproof.shards.reader.SCAN_BYTES_MAX", 50)
    store.put("in/a.csv", "k\n" + "1111\n" * 100 + "2222\n")
    plan = store.plan("range:k:2")
    shards = list(plan.shards())

    batches = list(store.reader(plan, shards[-1]).batches())

    assert len(batches) >= 10
    assert max(batch.size_bytes for batch in batches) <= 50 + 5


@pytest.mark.parametrize(
    "cursor",
    [
        {},
        {"part": 0},
        {"part": -1, "at": 0},
        {"part": 0, "at": "1"},
        {"part": True, "at": 0},
        [0, 1],
        {"part": 5, "at": 0},
    ],
)
def test_a_foreign_cursor_is_refused(store: S3Input, cursor: Any) -> None:
    store.put("in/a.txt", "x\n")

    with pytest.raises(InputError, match="cursor"):
        list(only_reader(store, "auto").batches(cursor))


def test_batches_need_at_least_one_record(store: S3Input) -> None:
    store.put("in/a.txt", "x\n")

    with pytest.raises(ConfigurationError, match="at least 1, got 0"):
        list(only_reader(store, "auto").batches(records=0))


def test_without_pyarrow_parquet_says_how_to_add_it(store: S3Input, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_parquet("in/a.parquet", pa.table({"a": [1]}), 1)
    store.put("csv/a.csv", "a\n1\n")
    csv_plan = store.plan("auto", "csv")
    reader = only_reader(store, "objects")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigurationError, match=r"needs pyarrow; add spotproof\[parquet\]"):
        list(reader.batches())
    assert flat(store.read(csv_plan)) == [{"a": "1"}]


@pytest.mark.parametrize("cut", [5, 40])
def test_a_truncated_page_of_parquet_is_an_error_that_names_the_object(store: S3Input, cut: int) -> None:
    store.put_parquet("in/a.parquet", pa.table({"a": ["abc" * 100, "def" * 100]}), 2)
    body = bytearray(store.s3.get_object(Bucket=BUCKET, Key="in/a.parquet")["Body"].read())
    body[4 : 4 + cut] = b"\xff" * cut
    store.put("in/a.parquet", bytes(body))

    with pytest.raises(InputError, match=r"in/a\.parquet is not readable Parquet") as raised:
        flat(store.read_by("objects"))
    assert "\n" not in str(raised.value)


class _Raw:
    """The body of a response made by hand."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


def test_a_throttled_read_is_tried_again(store: S3Input) -> None:
    store.put("in/a.txt", "x\n")
    reader = only_reader(store, "auto")
    refusals = [503, 503]

    def throttle(**_: Any) -> Any:
        if refusals:
            refusals.pop()
            body = b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>"
            return AWSResponse("http://x", 503, HTTPHeaders(), _Raw(body))
        return None

    store.s3.meta.events.register_first("before-send.s3.GetObject", throttle)

    assert [batch.records for batch in reader.batches()] == [["x"]]
    assert refusals == []
