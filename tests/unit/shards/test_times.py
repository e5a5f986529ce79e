from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.shards.spec import parse_shard_by
from spotproof.shards.times import NS_PER_S, Calendar
from spotproof.shards.values import Key, KeyValueError, Moment

NEW_YORK = Calendar("America/New_York")
HOUR_NS = 3600 * NS_PER_S
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Apia",
]
WINDOWS = ["15min", "1h", "6h", "12h", "1d", "3d", "1w", "2w", "1mo", "3mo"]


def ns(text: str) -> int:
    return int((datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def starts(window: str, first: str, last: str, calendar: Calendar = NEW_YORK) -> list[int]:
    parsed = parse_shard_by(f"time:x:{window}").window
    assert parsed is not None
    return list(calendar.boundaries_ns(parsed, ns(first), ns(last)))


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2013-01-01T05:00:00Z", "2013-01-01T05:00:00+00:00"),
        ("2013-01-01T00:00:00-05:00", "2013-01-01T05:00:00+00:00"),
        ("2013-01-01 00:00:00", "2013-01-01T05:00:00+00:00"),
        ("2013-07-01", "2013-07-01T04:00:00+00:00"),
        ("20130701", "2013-07-01T04:00:00+00:00"),
        (1_356_998_400, "2013-01-01T00:00:00+00:00"),
        (1_356_998_400_000, "2013-01-01T00:00:00+00:00"),
        (1_356_998_400_000_000, "2013-01-01T00:00:00+00:00"),
        (1_356_998_400_000_000_000, "2013-01-01T00:00:00+00:00"),
        (1_356_998_400.0, "2013-01-01T00:00:00+00:00"),
        (Decimal(1_356_998_400), "2013-01-01T00:00:00+00:00"),
        ("1356998400", "2013-01-01T00:00:00+00:00"),
        (Moment(1_356_998_400 * NS_PER_S, zoned=True), "2013-01-01T00:00:00+00:00"),
        (Moment(1_356_998_400 * NS_PER_S, zoned=False), "2013-01-01T05:00:00+00:00"),
    ],
)
def test_times_are_read_as_documented(value: Key, instant: str) -> None:
    assert NEW_YORK.instant_ns(value) == ns(instant)


def test_a_local_time_that_occurs_twice_is_its_first_occurrence_and_an_offset_tells_them_apart() -> None:
    assert NEW_YORK.instant_ns("2013-11-03T01:30:00") == ns("2013-11-03T01:30:00-04:00")
    assert NEW_YORK.instant_ns("2013-11-03T01:30:00-05:00") == ns("2013-11-03T01:30:00-05:00")


def test_a_skipped_local_time_counts_as_if_the_clock_had_not_moved() -> None:
    assert NEW_YORK.instant_ns("2013-03-10T02:30:00") == ns("2013-03-10T03:30:00-04:00")


@pytest.mark.parametrize("value", ["yesterday", "", "12:00", "2013-13-01", "12345", True, b"2013", Decimal("inf")])
def test_what_is_not_a_time_is_refused(value: Key) -> None:
    with pytest.raises(KeyValueError):
        NEW_YORK.instant_ns(value)


def test_a_day_of_23_and_a_day_of_25_hours_are_one_day_each() -> None:
    spring = starts("1d", "2013-03-10T12:00:00-04:00", "2013-03-10T12:00:00-04:00")
    autumn = starts("1d", "2013-11-03T12:00:00-05:00", "2013-11-03T12:00:00-05:00")

    assert spring == [ns("2013-03-10T00:00:00-05:00"), ns("2013-03-11T00:00:00-04:00")]
    assert spring[1] - spring[0] == 23 * HOUR_NS
    assert autumn[1] - autumn[0] == 25 * HOUR_NS


def test_hours_of_a_repeated_hour_are_two_windows_and_a_skipped_hour_is_none() -> None:
    autumn = starts("1h", "2013-11-03T00:00:00-04:00", "2013-11-03T23:59:00-05:00")
    spring = starts("1h", "2013-03-10T00:00:00-05:00", "2013-03-10T23:59:00-04:00")

    assert [after - before for before, after in pairwise(autumn)] == [HOUR_NS] * 25
    assert [after - before for before, after in pairwise(spring)] == [HOUR_NS] * 23


def test_six_hours_keep_to_the_local_clock() -> None:
    autumn = starts("6h", "2013-11-03T00:00:00-04:00", "2013-11-03T23:00:00-05:00")

    assert [(after - before) // HOUR_NS for before, after in pairwise(autumn)] == [7, 6, 6, 6]


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    week = starts("1w", "2013-11-06T12:00:00-05:00", "2013-11-06T12:00:00-05:00")
    month = starts("1mo", "2013-11-06T12:00:00-05:00", "2013-12-06T12:00:00-05:00")

    assert week == [ns("2013-11-04T00:00:00-05:00"), ns("2013-11-11T00:00:00-05:00")]
    assert [NEW_YORK.local(start).isoformat() for start in month] == [
        "2013-11-01T00:00:00",
        "2013-12-01T00:00:00",
        "2014-01-01T00:00:00",
    ]


@given(
    zone=st.sampled_from(ZONES),
    window=st.sampled_from(WINDOWS),
    first_s=st.integers(-630_720_000, 2_114_380_800),  # 1950 to 2037
    span_h=st.integers(0, 24 * 10),
)
def test_windows_rise_and_cover_first_and_last(zone: str, window: str, first_s: int, span_h: int) -> None:
    calendar = Calendar.of(zone)
    parsed = parse_shard_by(f"time:x:{window}").window
    assert parsed is not None
    first_ns = first_s * NS_PER_S
    last_ns = first_ns + span_h * HOUR_NS

    bounds = list(calendar.boundaries_ns(parsed, first_ns, last_ns))

    assert all(before < after for before, after in pairwise(bounds))
    assert bounds[0] <= first_ns < bounds[1]
    assert bounds[-2] <= last_ns < bounds[-1]


def test_times_outside_the_calendar_are_refused() -> None:
    window = parse_shard_by("time:x:1d").window
    assert window is not None

    with pytest.raises(KeyValueError, match="1 to 9998"):
        list(NEW_YORK.boundaries_ns(window, 10**22, 10**22))
