"""Planning: what is listed, how formats are told, and every way in which an input is refused."""

import datetime
import io
import random
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from spotproof.errors import AwsAccessError, InputError
from spotproof.shards import planner
from spotproof.shards.model import InputFormat
from spotproof.shards.plan_file import encode_plan
from spotproof.shards.planner import plan_run
from spotproof.shards.sources import survey
from spotproof.shards.sources.objects import is_hidden, parse_s3_uri
from tests.fakes.s3_input import BUCKET, S3Input, flat

GB = 10**9


def refused(store: S3Input, shard_by: str, input_uri: str = f"s3://{BUCKET}/in") -> str:
    with pytest.raises(InputError) as raised:
        plan_run(s3=store.s3, retrier=store.retrier, input_uri=input_uri, shard_by=shard_by)
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "uri", ["", "in", "http://b/k", "s3:/b/k", "s3://", "s3:///k", "s3://Bad_Bucket/k", "s3://b\n/x"]
)
def test_an_address_that_is_not_s3_is_refused_with_the_form_to_write(store: S3Input, uri: str) -> None:
    assert "write s3://bucket/prefix" in refused(store, "auto", uri)


def test_keys_beyond_the_limit_of_s3_are_refused() -> None:
    with pytest.raises(InputError, match="at most 1024 bytes"):
        parse_s3_uri("s3://bucket/" + "ä" * 513)


def test_an_empty_prefix_is_refused(store: S3Input) -> None:
    store.put("in/_SUCCESS", "x")
    store.put("in/.hidden.csv", "x")
    store.put("in/_temporary/a.csv", "x")
    store.put("in/folder/", "")

    assert refused(store, "auto").startswith(f"no data objects under s3://{BUCKET}/in; check the address")


def test_a_missing_bucket_is_refused_by_name(store: S3Input) -> None:
    assert "bucket 'no-such-bucket' does not exist" in refused(store, "auto", "s3://no-such-bucket/in")


@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject"])
def test_no_access_is_an_access_error_that_names_the_address(store: S3Input, operation: str) -> None:
    store.put("in/a.txt", "x\n")
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    def deny(**_: Any) -> None:
        raise denied

    store.s3.meta.events.register(f"before-call.s3.{operation}", deny)

    with pytest.raises(AwsAccessError, match=rf"s3://{BUCKET}/in.*AccessDenied"):
        store.plan("auto")


def test_objects_without_bytes_make_no_shards_and_are_refused(store: S3Input) -> None:
    store.put("in/a.csv", "")

    for shard_by in ("auto", "objects", "hash:a:3", "time:a:1d", "range:a:2"):
        assert "hold no data" in refused(store, shard_by)


def test_too_many_shards_are_refused_with_the_size_to_take(store: S3Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "SHARDS_MAX", 1000)
    store.put("in/a.txt", "x\n" * 600)

    assert refused(store, "size:1B").endswith("raise the size to 2 bytes or more")
    assert store.plan("size:2B").header.shards == 600


def test_more_than_a_million_windows_are_refused_with_advice(store: S3Input) -> None:
    store.put("in/a.csv", "at\n1900-01-01\n2100-01-01\n")

    assert "more than 1,000,000 windows of 15min; choose a longer window" in refused(store, "time:at:15min")


@pytest.mark.parametrize("shard_by", ["hash:no:3", "range:no:3", "time:no:1d"])
def test_a_missing_column_is_refused_with_the_columns_there_are(store: S3Input, shard_by: str) -> None:
    store.put("in/a.csv", "one,two\n1,2\n")
    assert "has no column 'no'; its columns: one, two" in refused(store, shard_by)

    store.clear()
    store.put("in/a.jsonl", '{"one":1,"two":2}\n')
    assert "has no column 'no'; its columns: one, two" in refused(store, shard_by)

    store.clear()
    store.put_parquet("in/a.parquet", pa.table({"one": [1], "two": [2]}), 1)
    assert "has no column 'no'; its columns: one, two" in refused(store, shard_by)


def test_a_column_missing_in_a_later_object_is_refused_with_that_object(store: S3Input) -> None:
    store.put("in/a.csv", "k\n1\n")
    store.put("in/b.csv", "other\n1\n")

    assert refused(store, "range:k:2").startswith(f"s3://{BUCKET}/in/b.csv has no column 'k'")


@pytest.mark.parametrize("shard_by", ["hash:no:3", "range:no:3", "time:no:1d"])
def test_lines_of_text_have_no_columns(store: S3Input, shard_by: str) -> None:
    store.put("in/a.txt", "x\n")

    assert "is text, which has no column 'no'; shard it by size" in refused(store, shard_by)


def test_row_groups_are_for_parquet(store: S3Input) -> None:
    store.put("in/a.txt", "x\n")

    assert "is text, which has no row groups" in refused(store, "rowgroups")


def test_mixed_formats_are_refused_with_one_of_each(store: S3Input) -> None:
    store.put("in/a.csv", "a\n1\n")
    store.put("in/b.jsonl", "{}\n")

    text = refused(store, "auto")
    assert f"s3://{BUCKET}/in/a.csv is csv, s3://{BUCKET}/in/b.jsonl is jsonl" in text


@pytest.mark.parametrize(
    ("key", "body", "problem"),
    [
        ("a.parquet", b"PAR1 but no footer", "a.parquet is not readable Parquet"),
        ("a.parquet", b"", "named like Parquet but is not"),
        ("a.parquet", b"id\n1\n", "named like Parquet but is not"),
        ("a.csv", b"PAR1xxxx", "is Parquet but named like csv"),
        ("a.csv.gz", b"id\n1\n", "named .gz but is not gzip"),
        ("a.csv", b"at\n\xff\n", "byte 3 is not UTF-8"),
        ("a.csv", b"id,at\n1,soon\n", "a.csv: record at byte 6, column 'at': 'soon' is not an ISO 8601 time"),
        ("a.jsonl", b'{"at":[1]}\n', "a.jsonl: record at byte 0, column 'at': a value of type list can't be"),
    ],
)
def test_an_unreadable_object_is_named(store: S3Input, key: str, body: bytes, problem: str) -> None:
    store.put(f"in/{key}", body)

    assert problem in refused(store, "time:at:1d")


def test_an_unparseable_time_in_parquet_is_named_by_row(store: S3Input) -> None:
    store.put_parquet("in/a.parquet", pa.table({"at": ["2013-01-01", "2013-01-02", "soon"]}), 2)

    assert "a.parquet: row 0 of row group 1, column 'at': 'soon'" in refused(store, "time:at:1d")


def test_a_nested_column_is_no_key(store: S3Input) -> None:
    store.put_parquet("in/a.parquet", pa.table({"k": [[1], [2]]}), 2)

    for shard_by in ("hash:k:2", "range:k:2", "time:k:1d"):
        assert "column 'k': values of type list" in refused(store, shard_by)


def test_an_address_is_an_object_or_a_folder_never_a_folder_of_similar_name(store: S3Input) -> None:
    for key in ("in/a.txt", "in.txt", "input/b.txt", "in"):
        store.put(key, "x\n")

    assert [shard.parts[0].pin.key for shard in store.plan("objects", "in/").shards()] == ["in/a.txt"]
    assert [shard.parts[0].pin.key for shard in store.plan("objects", "in.txt").shards()] == ["in.txt"]


@pytest.mark.parametrize(
    ("key", "hidden"),
    [
        ("p/a.csv", False),
        ("p/_SUCCESS", True),
        ("p/.crc", True),
        ("p/_x/a.csv", True),
        ("p/_day=1/a.csv", False),
        ("p/x/", True),
    ],
)
def test_markers_hidden_files_and_folder_keys_are_no_data(key: str, hidden: bool) -> None:
    assert is_hidden(key, "p") is hidden
    assert is_hidden(key, "p/") is hidden


def test_a_hidden_address_that_is_asked_for_is_read(store: S3Input) -> None:
    store.put("_private/a.txt", "x\n")

    assert store.plan("auto", "_private").header.objects == 1


def test_listing_goes_through_all_pages_and_odd_names(store: S3Input, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(["a b.txt", "ä+%.txt", "x\n.txt", "c&d.txt", "e.txt"])
    for name in names:
        store.put(f"in/{name}", f"{name.encode().hex():>20}\n")
    client_list = store.s3.list_objects_v2
    monkeypatch.setattr(store.s3, "list_objects_v2", lambda **arguments: client_list(MaxKeys=2, **arguments))

    plan = store.plan("objects")

    assert [shard.parts[0].pin.key for shard in plan.shards()] == [f"in/{name}" for name in names]
    assert [line.strip() for line in flat(store.read(plan))] == [name.encode().hex() for name in names]


def test_objects_are_numbered_largest_first_and_by_key_where_they_are_alike(store: S3Input) -> None:
    for name, size in (("a", 10), ("b", 500), ("c", 10), ("d", 90), ("e", 500), ("f", 0)):
        store.put(f"in/{name}.bin", "x" * size)

    shards = list(store.plan("objects").shards())

    assert [shard.parts[0].pin.key[3] for shard in shards] == ["b", "e", "d", "a", "c", "f"]
    assert [shard.index for shard in shards] == list(range(6))


def test_auto_means_row_groups_objects_or_size(store: S3Input) -> None:
    store.put("t/a.log", "x\n")
    store.put("o/a.bin", "x\n")
    store.put_parquet("p/a.parquet", pa.table({"a": [1, 2]}), 1)

    assert store.plan("auto", "t").header.strategy == "size:67108864B"
    assert store.plan("auto", "o").header.strategy == "objects"
    assert store.plan("auto", "p").header.strategy == "rowgroups"


def test_parquet_and_gzip_are_recognised_by_content(store: S3Input) -> None:
    store.put_parquet("p/part-0000", pa.table({"a": [1, 2]}), 1)
    store.put_gzip("z/a.csv", "a\n1\n")

    assert store.plan("auto", "p").header.format is InputFormat.PARQUET
    assert store.read(store.plan("auto", "z")) == [[{"a": "1"}]]


def test_small_objects_are_packed_and_large_ones_cut(store: S3Input) -> None:
    for number in range(4):
        store.put(f"in/{number}.txt", "x" * 9 + "\n")
    store.put("in/5.txt", ("x" * 9 + "\n") * 10)

    plan = store.plan("size:20B")

    assert [shard.size_bytes for shard in plan.shards()] == [20, 20, 20, 20, 20, 20, 20]
    assert [len(shard.parts) for shard in plan.shards()][:3] == [2, 2, 1]


def test_gzip_and_csv_with_quoted_breaks_are_not_cut(store: S3Input) -> None:
    store.put_gzip("in/a.csv.gz", "a,b\n" + "1,2\n" * 50)
    store.put("in/b.csv", "a,b\n" + '1,"2\n3"\n' * 50)
    store.put("in/c.csv", "a,b\n" + "1,2\n" * 50)

    parts = [part for shard in store.plan("size:60B").shards() for part in shard.parts]

    assert [part.whole for part in parts] == [True, True, False, False, False, False]


def test_a_skewed_plan_warns(store: S3Input) -> None:
    store.put("in/a.bin", "x" * 1000)
    for number in range(9):
        store.put(f"in/b{number}.bin", "x")

    assert "the largest shard has 9.9 times the mean" in store.plan("objects").header.warnings[0]


def test_time_shards_read_only_objects_that_can_hold_their_records(store: S3Input) -> None:
    for day in range(1, 6):
        store.put(f"in/{day}.csv", f"at\n2013-01-0{day}T01:00\n2013-01-0{day}T23:00\n")

    shards = list(store.plan("time:at:1d").shards())

    assert [[part.pin.key for part in shard.parts] for shard in shards] == [[f"in/{day}.csv"] for day in range(1, 6)]
    assert shards[0].label == "at 2013-01-01T00:00 to 2013-01-02T00:00"


def test_windows_without_data_have_no_shard(store: S3Input) -> None:
    store.put("in/a.csv", "at\n2013-01-01\n")
    store.put("in/b.csv", "at\n2013-06-01\n")

    assert store.plan("time:at:1mo").header.shards == 2


def test_parquet_bounds_come_from_statistics_without_reading_the_column(store: S3Input) -> None:
    stamps = [datetime.datetime.fromisoformat("2013-01-01") + datetime.timedelta(hours=hour) for hour in range(96)]
    ballast = [random.Random(number).randbytes(4000).hex() for number in range(96)]
    store.put_parquet("in/a.parquet", pa.table({"at": stamps, "x": ballast}), 24)

    shards = list(store.plan("time:at:1d").shards())

    assert [[part.row_groups for part in shard.parts] for shard in shards] == [[(0,)], [(1,)], [(2,)], [(3,)]]


@pytest.mark.parametrize("statistics", [True, False])
def test_local_times_skipped_by_the_clock_stay_within_their_bounds(store: S3Input, statistics: bool) -> None:
    # 02:30 is skipped in New York on March 10 and means 03:30: later than the row group's largest local time, 03:00.
    walls = [datetime.datetime.fromisoformat(f"2013-03-10T{clock}") for clock in ("02:30", "03:00")]
    table = pa.table({"id": [1, 2], "at": pa.array(walls, pa.timestamp("us"))})
    store.put_parquet("in/a.parquet", table, 2, write_statistics=statistics)

    shards = store.read_by("time:at:30min:America/New_York")

    assert sorted(record["id"] for record in flat(shards)) == [1, 2]
    assert [[record["id"] for record in shard] for shard in shards if shard] == [[2], [1]]


def test_statistics_that_are_not_in_the_order_of_time_are_not_used(store: S3Input) -> None:
    # As text, "10:00+09:00" is greatest; in time it is first. The greatest number is milliseconds, of 1973.
    store.put_parquet("in/a.parquet", pa.table({"at": ["2013-01-01T05:00Z", "2013-01-01T10:00+09:00"]}), 2)
    store.put_parquet("in/b.parquet", pa.table({"at": [94_694_400, 126_230_400, 100_000_000_000]}), 3)

    assert len(flat(store.read(store.plan("time:at:1h", "in/a.parquet")))) == 2
    assert len(flat(store.read(store.plan("time:at:1mo", "in/b.parquet")))) == 3


def test_an_input_too_large_to_scan_is_read_by_every_shard_and_stays_complete(
    store: S3Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "SCAN_BYTES_MAX", 100)
    monkeypatch.setattr(survey, "SAMPLE_ALL_BYTES", 100)
    monkeypatch.setattr(survey, "SAMPLE_BLOCK_BYTES", 20)
    monkeypatch.setattr(survey, "SAMPLE_POINTS", 3)
    rows = [f"{number},2013-{number % 12 + 1:02}-01" for number in range(300)]
    store.put("in/a.csv", "id,at\n" + "\n".join([*rows, "300,"]) + "\n")

    for shard_by in ("time:at:1mo", "range:id:4"):
        plan = store.plan(shard_by)
        assert sorted(int(record["id"]) for record in flat(store.read(plan))) == list(range(301))
        assert "too large to be scanned" in " ".join(plan.header.warnings)


def test_sampling_does_not_stumble_over_quoted_breaks(store: S3Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "SAMPLE_ALL_BYTES", 100)
    monkeypatch.setattr(survey, "SAMPLE_BLOCK_BYTES", 40)
    monkeypatch.setattr(survey, "SAMPLE_POINTS", 8)
    monkeypatch.setattr("spotproof.shards.sources.planned_input.QUOTE_PROBE_BYTES", 50)
    store.put(
        "in/a.csv",
        "id,text\n" + "".join(f"{n},x\n" for n in range(20)) + "".join(f'{n},"a\nb"\n' for n in range(20, 60)),
    )

    shards = store.read_by("hash:id:3")

    assert sorted(int(record["id"]) for record in flat(shards)) == list(range(60))


def test_nulls_have_a_time_shard_of_their_own_and_the_first_range(store: S3Input) -> None:
    store.put("in/a.jsonl", '{"k":null}\n{"k":"2013-01-01"}\n{}\n{"k":"2013-02-01"}\n')

    assert store.read_by("time:k:1mo")[-1] == [{"k": None}, {}]
    assert [row for row in store.read_by("range:k:2")[0] if row.get("k") is None] == [{"k": None}, {}]


def test_all_nulls_are_one_time_shard(store: S3Input) -> None:
    store.put("in/a.csv", "id,at\n1,\n2,\n")

    plan = store.plan("time:at:1d")

    assert [shard.label for shard in plan.shards()] == ["at null"]
    assert len(flat(store.read(plan))) == 2


def test_numbers_in_csv_are_ranged_as_numbers(store: S3Input) -> None:
    store.put("in/a.csv", "n\n" + "".join(f"{number}\n" for number in range(100)))

    shards = store.read_by("range:n:4")

    assert flat(sorted(int(row["n"]) for row in shard) for shard in shards) == list(range(100))
    assert len(shards) == 4


def test_a_key_that_dominates_stays_in_one_range_and_the_plan_says_so(store: S3Input) -> None:
    store.put("in/a.csv", "k\n" + "same\n" * 50 + "aa\nzz\n")

    plan = store.plan("range:k:8")
    shards = store.read(plan)

    assert len([shard for shard in shards if {"k": "same"} in shard]) == 1
    assert f"'k' has keys for {len(shards)} ranges only, 8 were asked for" in plan.header.warnings


def test_mixed_kinds_of_keys_are_ordered_and_complete(store: S3Input) -> None:
    values = ["1", '"1"', "true", "null", "2.5", '"z"', "-1e3", "false", '"ä"']
    store.put("in/a.jsonl", "".join(f'{{"k":{value}}}\n' for value in values))

    shards = store.read_by("range:k:4")

    assert sum(len(shard) for shard in shards) == len(values)


def test_windows_of_the_change_of_clocks_hold_the_right_hours(store: S3Input) -> None:
    hours = [f"2013-11-03T{hour:02}:30:00Z" for hour in range(3, 24)] + [
        f"2013-11-04T{hour:02}:30:00Z" for hour in range(8)
    ]
    store.put("in/a.csv", "at\n" + "\n".join(hours) + "\n")

    shards = store.read_by("time:at:1d:America/New_York")

    assert [len(shard) for shard in shards] == [1, 25, 3]


def test_outlier_times_that_make_empty_windows_are_warned_of(store: S3Input) -> None:
    store.put("in/a.csv", "at\n1970-01-01\n" + "2013-01-01\n" * 20)

    assert "hold none of the sampled records" in store.plan("time:at:1w").header.warnings[0]


def test_the_plan_of_other_data_is_other_bytes(store: S3Input) -> None:
    store.put("in/a.csv", "k\n1\n")
    before = encode_plan(store.plan("auto"), io.BytesIO())
    store.put("in/a.csv", "k\n2\n")

    assert encode_plan(store.plan("auto"), io.BytesIO()) != before
