"""typed-json-1: exact, canonical, and picky."""

import collections
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.checkpoints.serializers.typed_json import TypedJson, is_immutable
from spotproof.errors import CheckpointCorruptError, UnsavableValueError

serializer = TypedJson()

moments = st.one_of(
    st.datetimes(timezones=st.sampled_from([ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")])),
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=3))])
    ),
)
text = st.text(st.characters(), max_size=12)  # lone surrogates included
keys = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text | st.binary(max_size=6) | st.dates(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
scalars = keys | st.floats() | st.integers(-(10**40), 10**40) | moments | st.decimals()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value, type, order, sign of zero, and NaN for NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, datetime):
        return (left.replace(tzinfo=None), left.utcoffset(), left.fold, str(left.tzinfo)) == (
            right.replace(tzinfo=None), right.utcoffset(), right.fold, str(right.tzinfo)
        )  # fmt: skip
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left, math.copysign(1, left)) == (
            right,
            math.copysign(1, right),
        )
    if isinstance(left, Decimal):
        return str(left) == str(right)
    return bool(left == right)


@settings(max_examples=400, deadline=None)
@given(values)
def test_any_value_comes_back_exactly_and_encodes_to_the_same_bytes_again(value: object) -> None:
    data = serializer.encode(value, at="x")
    restored = serializer.decode(data)

    assert same(value, restored)
    assert serializer.encode(restored, at="x") == data


def test_the_bytes_of_a_value_never_change_between_versions() -> None:
    value = {
        "cursor": [1, 2.5, None, True],
        ("AA", 7): b"\x00\xff",
        "odd": (float("nan"), float("-inf"), -0.0, 2**70),
        "when": datetime(2026, 3, 1, tzinfo=UTC),
        "zone": datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        "day": date(2013, 1, 1),
        "money": Decimal("1.10"),
        "half": "\ud800",
    }

    assert json.loads(serializer.encode(value, at="x")) == {
        "d": [
            ["cursor", [1, 2.5, None, True]],
            [{"t": ["AA", 7]}, {"b": "AP8="}],
            ["odd", {"t": [{"f": "nan"}, {"f": "-inf"}, -0.0, {"i": "0x400000000000000000"}]}],
            ["when", {"T": ["2026-03-01T00:00:00+00:00", None, 0]}],
            ["zone", {"T": ["2026-10-25T02:30:00", "Europe/Berlin", 1]}],
            ["day", {"D": "2013-01-01"}],
            ["money", {"n": "1.10"}],
            ["half", {"u": "7aCA"}],
        ]
    }


def test_the_order_of_a_dict_is_part_of_the_value() -> None:
    assert serializer.encode({"a": 1, "b": 2}, at="x") != serializer.encode({"b": 2, "a": 1}, at="x")


class _Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "clue"),
    [
        ({1, 2}, "set"),
        (object(), "builtins.object"),
        (collections.Counter("ab"), r"collections.Counter.*dict\("),
        (collections.defaultdict(int), "defaultdict"),
        (bytearray(b"x"), "bytearray"),
        (_Text("x"), "_Text"),
        (datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), "naive datetime"),
        ({float("nan"): 1}, "NaN"),
        ({(1, Decimal("NaN")): 1}, "NaN"),
        (1j, "complex"),
    ],
)
def test_other_types_are_refused_with_their_name_and_place(value: object, clue: str) -> None:
    with pytest.raises(UnsavableValueError, match=clue) as caught:
        serializer.encode([value], at="state['cursor']")

    assert "state['cursor']" in str(caught.value)
    with pytest.raises(UnsavableValueError, match=clue):
        serializer.check(value, at="state['cursor']")


def test_a_value_that_contains_itself_is_refused_instead_of_recursing_forever() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(UnsavableValueError, match="contains itself"):
        serializer.encode(loop, at="state['loop']")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"NaN", b"[Infinity]", b'{"x":1}', b"{}", b'{"b":"?"}', b'{"t":[1],"d":[]}', b'{"d":[[1]]}', b'{"T":["x",null,0]}',
     b'{"n":"x"}', b'{"D":5}', b'{"i":7}', b'{"u":"////"}', b'"\xff"', b'{"d":[[[1],2]]}', b"[" * 100_000,
     b'{"f":"7"}', b'{"f":[1]}', b'{"f":{}}', b'{"n":[0,[1],1]}', b'{"n":"1E99999999999999999999"}', b'{"t":"abc"}', b'{"t":{"b":""}}',
     b'{"d":["ab"]}', b'{"d":{"ab":1}}', b'{"d":[["a",1],["a",2]]}', b'{"d":[[1,0],[true,0]]}', b'{"D":"2026-13-01"}', b"1" * 5000],
)  # fmt: skip
def test_bytes_of_another_format_are_corrupt_never_a_crash(data: bytes) -> None:
    with pytest.raises(CheckpointCorruptError):
        serializer.decode(data)


@pytest.mark.parametrize(
    "content",
    ["[1,null,0]", '["2026-01-01T00:00:00",null,0]', '["2026-01-01T00:00:00+00:00",null,2]', '"abc"', '["2026-01-01T00:00:00","",0]',
     '["2026-01-01T00:00:00+00:00",null,99999999999999999999]', '["2026-01-01T00:00:00",7,0]', '["2026-01-01T00:00:00","Atlantis",0]',
     '["2026-01-01T00:00:00","Europe",0]', '["2026-01-01T00:00:00","../../etc/passwd",0]', '["2026-01-01T00:00:00","/etc/passwd",0]',
     '["2026-01-01T00:00:00","a\\u0000b",0]', f'["2026-01-01T00:00:00","{"x" * 5000}",0]'],
)  # fmt: skip
def test_a_moment_with_a_made_up_zone_or_fold_is_corrupt(content: str) -> None:
    with pytest.raises(CheckpointCorruptError, match="not typed-json-1"):
        serializer.decode(f'{{"T":{content}}}'.encode())


def test_a_tuple_is_immutable_only_if_all_its_items_are() -> None:
    assert is_immutable((1, ("a", None)))
    assert not is_immutable((1, ["a"]))
    assert not is_immutable({})
