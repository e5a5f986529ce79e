"""Run records: bounded, and read back with suspicion."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.capacity.sizing.record import (
    POOLS_MAX,
    RECORD_BYTES_MAX,
    SAMPLES_MAX,
    PoolUse,
    decode_record,
    thinned,
)
from spotproof.errors import ItemError, ItemTooNewError
from tests.unit.capacity.sizing_samples import a_record, a_sample


def test_a_record_comes_back_as_it_was() -> None:
    record = a_record(samples=(a_sample(), a_sample(instance_type="c5.xlarge", peak_mib=0), a_sample(instance_type="")))

    assert decode_record(record.encode(), what="it") == record


def test_the_record_of_a_huge_run_is_bounded_and_its_samples_are_spread_evenly() -> None:
    samples = tuple(a_sample(input_bytes=2**40 + number, work_ms=2**40, instance_type=f"type{number % 400}")
                    for number in range(50_000))  # fmt: skip
    pools = tuple(
        PoolUse(instance_type="r6a.4xlarge", zone=f"us-east-1-zone-{number}", lifecycle="on-demand", sessions=10**9,
                session_ms=2**50 + number, interruptions=10**9)
        for number in range(1_000)
    )  # fmt: skip

    body = a_record(samples=samples, pools=pools, shards=50_000).encode()
    back = decode_record(body, what="it")

    assert len(body) < RECORD_BYTES_MAX
    assert (len(back.samples), len(back.pools), back.shards) == (SAMPLES_MAX, POOLS_MAX, 50_000)
    assert back.samples[-1].input_bytes == 2**40 + 49_999
    steps = {
        later.input_bytes - earlier.input_bytes for earlier, later in zip(back.samples, back.samples[1:], strict=False)
    }
    assert steps == {25}
    assert min(pool.session_ms for pool in back.pools) == 2**50 + 700  # the busiest are kept


def test_thinning_is_the_same_each_time_and_leaves_few_as_they_are() -> None:
    few = [a_sample(work_ms=number) for number in range(7)]

    assert thinned(few, 7) == tuple(few)
    assert [sample.work_ms for sample in thinned(few, 3)] == [1, 3, 6]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("work_ms", -1),
        ("work_ms", 1.5),
        ("work_ms", True),
        ("shards", 2**60),
        ("vcpus", float("inf")),
        ("job", "a\nb"),
        ("job", 7),
        ("samples", "many"),
        ("samples", [[1, 2, 3]]),
        ("samples", [[0, 0, 0, 0, 0, 0]] * (SAMPLES_MAX + 1)),
        ("samples", [[0, 0, 0, 0, -5, 0]]),
        ("pools", [["m5.large", "a", "spot", 1, 1]]),
        ("types", [None]),
        ("ended_at", 0),
        ("schema", 0),
        ("schema", "1"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_in_one_line(field: str, value: object) -> None:
    document = json.loads(a_record().encode()) | {field: value}

    with pytest.raises(ItemError, match=r"^history/x is damaged") as refusal:
        decode_record(json.dumps(document).encode(), what="history/x")

    assert "\n" not in str(refusal.value)


def test_a_newer_record_asks_for_an_upgrade() -> None:
    document = json.loads(a_record().encode()) | {"schema": 2}

    with pytest.raises(ItemTooNewError, match="upgrade"):
        decode_record(json.dumps(document).encode(), what="it")


def test_a_type_that_is_not_listed_is_unknown() -> None:
    document = json.loads(a_record(samples=(a_sample(),)).encode())
    document["samples"][0][-1] = 7

    assert decode_record(json.dumps(document).encode(), what="it").samples[0].instance_type == ""


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=20).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_bytes_break_the_reader(body: Any) -> None:
    with pytest.raises(ItemError):
        decode_record(body, what="it")


def test_deeply_nested_bytes_are_refused() -> None:
    with pytest.raises(ItemError):
        decode_record(b"[" * 200_000, what="it")
