"""Whatever the keys: every record is in exactly one shard, and pruning never loses one."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spotproof.shards.model import InputFormat, InputPart, ObjectPin
from spotproof.shards.predicates import HashPredicate, Predicate, RangePredicate, predicate_from_json
from spotproof.shards.sources.lines import LineSource
from spotproof.shards.sources.planned_input import InputObject, PlannedInput
from spotproof.shards.sources.records import records
from spotproof.shards.sources.survey import Piece
from spotproof.shards.spec import parse_shard_by
from spotproof.shards.strategies.base import pieces_by_interval, weighted_quantiles
from spotproof.shards.strategies.registry import STRATEGIES
from spotproof.shards.values import Key, as_key

JSON_KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3)
)
TIMES = st.one_of(
    st.none(),
    st.integers(-(10**9), 2 * 10**9),
    st.datetimes().filter(lambda moment: 1950 < moment.year < 2040).map(lambda moment: moment.isoformat()),
    st.sampled_from(["2013-11-03T01:30:00", "2013-11-03T01:30:00-05:00", "2013-03-10T02:30:00", "2013-03-10T03:00:00"]),
)


class ObjectsInMemory:
    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._bodies = bodies

    def read(self, pin: ObjectPin, start: int, stop: int) -> bytes:
        return self._bodies[pin.key][start:stop]


def json_input(keys: list[list[Any]]) -> PlannedInput:
    bodies = {
        f"{number}.jsonl": b"".join(json.dumps({"k": key}).encode() + b"\n" for key in part)
        for number, part in enumerate(keys)
    }
    objects: Any = ObjectsInMemory(bodies)
    items = tuple(
        InputObject(pin=ObjectPin(bucket="b", key=key, etag='"e"', size_bytes=len(body)), gzip=False)
        for key, body in bodies.items()
    )
    return PlannedInput(objects=objects, uri="s3://b/", format=InputFormat.JSONL, items=items)


def records_by_shard(source: PlannedInput, shard_by: str) -> list[list[tuple[str, int]]]:
    """Identity of every record, by shard."""
    spec = parse_shard_by(shard_by)
    return [
        [
            (part.pin.key, record.start)
            for part in shard.parts
            for record in records(LineSource(objects=source.objects, part=part), part, source.format, None)
            if _counts(shard.predicate, record.row)
        ]
        for shard in STRATEGIES[spec.strategy](spec, source).shards()
    ]


def _counts(predicate: Predicate | None, row: Any) -> bool:
    assert predicate is not None
    stored = predicate_from_json(json.loads(json.dumps(predicate.to_json())))
    return stored.matches(as_key(row["k"]))


def assert_partition(source: PlannedInput, shard_by: str) -> None:
    found = [identity for shard in records_by_shard(source, shard_by) for identity in shard]
    every = [
        (item.pin.key, record.start)
        for item in source.items
        for record in records(LineSource(objects=source.objects, part=item.part), item.part, source.format, None)
    ]
    assert sorted(found) == sorted(every)


@given(keys=st.lists(st.lists(JSON_KEYS, max_size=12), min_size=1, max_size=4), count=st.integers(1, 6))
def test_hash_and_range_share_out_all_records_of_any_mixture_of_keys(keys: list[list[Any]], count: int) -> None:
    source = json_input(keys)

    assert_partition(source, f"hash:k:{count}")
    assert_partition(source, f"range:k:{count}")


@given(
    keys=st.lists(st.lists(TIMES, max_size=6), min_size=1, max_size=3),
    window=st.sampled_from(["1d", "1w", "1mo", "12mo"]),
    zone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
)
def test_time_windows_share_out_all_records(keys: list[list[Any]], window: str, zone: str) -> None:
    if window in ("1d", "1w"):  # close times only: a window per day of a century is another test's matter
        keys = [
            [key for key in part if not isinstance(key, int) and (key is None or key.startswith("2013-"))]
            for part in keys
        ]

    assert_partition(json_input(keys), f"time:k:{window}:{zone}")


@given(key=JSON_KEYS, low=JSON_KEYS, high=JSON_KEYS, count=st.integers(1, 9))
def test_a_key_is_in_exactly_one_of_the_shards_that_a_boundary_separates(
    key: Key, low: Key, high: Key, count: int
) -> None:
    hashes = [HashPredicate(column="k", count=count, bucket=bucket) for bucket in range(count)]
    assert sum(predicate.matches(key) for predicate in hashes) == 1
    if low is not None:
        below = RangePredicate(column="k", low=None, high=low)
        above = RangePredicate(column="k", low=low, high=None)
        assert below.matches(key) + above.matches(key) == 1
        assert above.matches(low)
    if high is not None:
        assert not RangePredicate(column="k", low=None, high=high).matches(high)


@given(
    boundaries=st.lists(st.integers(0, 30), unique=True, max_size=8).map(sorted),
    bounds=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), max_size=6),
    key=st.integers(0, 35),
)
def test_an_interval_reads_every_piece_that_can_hold_its_keys(
    boundaries: list[int], bounds: list[tuple[int, int, bool]], key: int
) -> None:
    pin = ObjectPin(bucket="b", key="k", etag="e", size_bytes=9)
    part = InputPart(pin=pin, start=0, stop=9)
    pieces = [
        Piece(part=part, low=low, high=low + more, bounded=True, may_have_nulls=nulls) for low, more, nulls in bounds
    ]
    pieces.append(Piece(part=part))

    members = pieces_by_interval(pieces, boundaries, null_interval=len(boundaries) + 1)

    interval = sum(boundary <= key for boundary in boundaries)
    expected = {number for number, piece in enumerate(pieces) if not piece.bounded or piece.low <= key <= piece.high}
    assert expected <= set(members[interval])
    assert members[-1] == [number for number, piece in enumerate(pieces) if piece.may_have_nulls]
    assert all(numbers == sorted(set(numbers)) for numbers in members)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.1, 10)), max_size=40), st.integers(1, 8))
def test_quantiles_rise_and_leave_no_range_without_a_key(places: list[tuple[int, float]], count: int) -> None:
    boundaries = weighted_quantiles(places, count)

    assert boundaries == sorted(set(boundaries))
    assert len(boundaries) < count
    keys = {key for key, _ in places}
    assert set(boundaries) <= keys - {min(keys, default=None)}


def test_quantiles_balance_the_weight_not_the_number_of_keys() -> None:
    places = [(key, 10.0 if key < 10 else 1.0) for key in range(110)]

    assert weighted_quantiles(places, 2) == [10]
