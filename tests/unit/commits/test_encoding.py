"""The returned value as a file: the same bytes for the same value, and clear refusals."""

import collections
import enum
import json
import random
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spotproof.checkpoints.state_map import StateMap
from spotproof.commits.encoding import encode_value
from spotproof.errors import ConfigurationError, OutputValueError


def encoded(value: object) -> bytes:
    (file,) = encode_value(value, 7)
    assert isinstance(file.content, bytes)
    return file.content


@pytest.mark.parametrize(
    ("value", "name", "content", "records"),
    [
        (b"\x00\xff", "part-00000007.bin", b"\x00\xff", 1),
        (bytearray(b"x"), "part-00000007.bin", b"x", 1),
        ("é\n", "part-00000007.txt", b"\xc3\xa9\n", 1),
        ({"b": 1, "a": [1.5, None, True]}, "part-00000007.json", b'{"a":[1.5,null,true],"b":1}\n', 2),
        ([], "part-00000007.json", b"[]\n", 0),
        (17, "part-00000007.json", b"17\n", 1),
        ((1, "é"), "part-00000007.json", b'[1,"\xc3\xa9"]\n', 2),
    ],
)
def test_values_become_files(value: object, name: str, content: bytes, records: int) -> None:
    (file,) = encode_value(value, 7)

    assert (file.name, file.content, file.records, file.size_bytes) == (name, content, records, len(content))


def test_no_value_is_no_file() -> None:
    assert encode_value(None, 7) == []


def test_dicts_with_other_keys_become_pairs_in_a_total_order() -> None:
    totals: dict[Any, int] = {
        ("UA", 2): 1, ("AA", None): 2, ("AA", 10): 3, "text": 4, 10: 5, 9: 6, None: 7, False: 8, Decimal("9.5"): 9,
        date(2013, 1, 2): 10, (): 11,
    }  # fmt: skip

    assert json.loads(encoded(totals)) == [
        [None, 7], [False, 8], [9, 6], ["9.5", 9], [10, 5], ["text", 4], ["2013-01-02", 10], [[], 11],
        [["AA", None], 2], [["AA", 10], 3], [["UA", 2], 1],
    ]  # fmt: skip


def test_the_order_of_insertion_never_shows() -> None:
    items = [
        ((carrier, month), {"n": month, "by": {carrier: {3, 1, 2}}}) for carrier in "ABC" for month in (None, 1, 2)
    ]
    rng = random.Random(5)
    expected = encoded(dict(items))

    for _ in range(20):
        rng.shuffle(items)
        assert encoded(dict(items)) == expected


def test_kinds_of_dict_and_number_are_welcome_in_an_output() -> None:
    class Kind(enum.StrEnum):
        LATE = "late"

    totals = StateMap("totals", {"a": 1})

    assert encoded(totals) == b'{"a":1}\n'
    assert encoded(collections.Counter("aab")) == b'{"a":2,"b":1}\n'
    assert encoded({Kind.LATE: Kind.LATE}) == b'{"late":"late"}\n'
    assert encoded([datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.10"), np.float64(0.5)]) == (
        b'["2026-01-01T00:00:00+00:00","1.10",0.5]\n'
    )


@pytest.mark.parametrize(
    ("value", "clue"),
    [
        ({"a": {"b": [float("nan")]}}, r"\['a'\]\['b'\]\[0\] is nan"),
        ([float("inf")], r"\[0\] is inf"),
        ([Decimal("NaN")], "NaN"),
        ({"a": b"x"}, r"\['a'\] is b'x' of type builtins.bytes"),
        ([np.int64(3)], r"\.item\(\)"),
        (np.zeros(3), r"\.tolist\(\)"),
        ({float("nan"): 1}, "a key of"),
        ({b"x": 1}, "a key of"),
        ([datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)], "naive"),
        (object(), "builtins.object"),
        ("\ud800", "lone surrogates"),
        (["\ud800"], "lone surrogates"),
        (pl.LazyFrame({"a": [1]}), r"\.collect\(\)"),
        (pd.Series([1]), r"\.to_frame\(\)"),
        (pd.DataFrame({"a": [1, "x", object()]}), "no Arrow form"),
        (pl.DataFrame({"a": [object()]}), "column 'a' holds Python objects"),
    ],
)
def test_what_no_file_can_hold_is_refused_with_its_place(value: object, clue: str) -> None:
    with pytest.raises(OutputValueError, match=clue) as caught:
        encode_value(value, 7)

    assert "\n" not in str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(OutputValueError, match="contains itself"):
        encode_value(loop, 7)


@pytest.mark.parametrize("make", [pa.table, pd.DataFrame, pl.DataFrame, pa.RecordBatch.from_pydict])
def test_tables_of_any_library_become_the_same_parquet_twice(make: Any) -> None:
    columns = {"carrier": ["AA", "UA", None], "delay": [1.5, None, -3.0], "n": [1, 2, 3]}

    (first,), (second,) = encode_value(make(columns), 7), encode_value(make(columns), 7)

    assert first == second
    assert (first.name, first.records) == ("part-00000007.parquet", 3)
    assert isinstance(first.content, bytes)
    assert pq.read_table(pa.BufferReader(first.content)).to_pydict()["carrier"] == columns["carrier"]


def test_how_a_table_was_put_together_does_not_show() -> None:
    def table(first: int, last: int) -> pa.Table:
        carriers = pa.array([("AA", "UA", "DL")[number % 3] for number in range(first, last)])
        return pa.table({"n": list(range(first, last)), "carrier": carriers.dictionary_encode()})

    pieces = pa.concat_tables([table(0, 1), table(1, 500), table(500, 1000)])

    assert encoded(pieces) == encoded(table(0, 1000))


def test_without_pyarrow_a_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigurationError, match=r"spotproof\[parquet\]"):
        encode_value(frame, 7)
