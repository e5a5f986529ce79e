import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.shards.values import (
    Key,
    KeyValueError,
    Moment,
    as_key,
    as_number,
    canonical_bytes,
    key_from_json,
    key_to_json,
    order_key,
    stable_hash,
)

KEYS: st.SearchStrategy[Key] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.text(),
    st.binary(),
    st.builds(Moment, st.integers(-(2**62), 2**62), st.booleans()),
)


def test_hashes_are_pinned_because_plans_of_other_versions_must_agree() -> None:
    keys: list[Key] = [None, 1, "1", True, 2.5, Moment(0, zoned=True)]

    assert [stable_hash(key) % 1000 for key in keys] == [789, 735, 457, 794, 730, 67]


@pytest.mark.parametrize("same", [(1, 1.0, Decimal("1.00")), (0, -0.0), (2.5, Decimal("2.5"))])
def test_numbers_are_one_key_whatever_their_type(same: tuple[Key, ...]) -> None:
    assert len({stable_hash(key) for key in same}) == 1
    assert len({order_key(key) for key in same}) == 1


def test_the_text_the_number_and_the_boolean_are_three_keys() -> None:
    assert len({canonical_bytes(key) for key in (1, "1", True, b"1")}) == 4


def test_nan_is_the_null_key() -> None:
    assert as_key(math.nan) is None
    assert as_key(Decimal("nan")) is None


@pytest.mark.parametrize("value", [[1], {"a": 1}, object()])
def test_composite_values_are_no_keys(value: object) -> None:
    with pytest.raises(KeyValueError, match="can't be a sharding key"):
        as_key(value)


@given(KEYS, KEYS)
def test_order_and_hash_agree_on_equality(one: Key, other: Key) -> None:
    assert (order_key(one) == order_key(other)) == (canonical_bytes(one) == canonical_bytes(other))
    assert (order_key(one) < order_key(other)) + (order_key(other) < order_key(one)) + (
        order_key(one) == order_key(other)
    ) == 1


@given(KEYS)
def test_keys_survive_json(key: Key) -> None:
    again = key_from_json(json.loads(json.dumps(key_to_json(key))))

    assert canonical_bytes(again) == canonical_bytes(key)
    assert type(again) is type(key)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" -3 ", -3), ("1e3", 1000.0), (".5", 0.5), ("0x10", None), ("1_0", None), ("nan", None), ("", None)],
)
def test_numbers_written_as_text(text: str, number: float | None) -> None:
    assert as_number(text) == number
