"""Times are aware, and what is stored reads back."""

from datetime import UTC, datetime, timedelta

import pytest

from spotproof.clock import SystemClock, from_epoch_ms, parse_utc, to_epoch_ms


def test_a_stored_moment_reads_back() -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3, 456000, tzinfo=UTC)

    assert from_epoch_ms(to_epoch_ms(moment)) == moment


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_epoch_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="time zone"):
        parse_utc("2026-01-01T00:00:00")


def test_the_forms_of_aws_events_parse() -> None:
    assert parse_utc("2026-01-15T10:20:30Z") == datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC)
    assert parse_utc("2026-01-15T10:20:30+01:00") == datetime(2026, 1, 15, 9, 20, 30, tzinfo=UTC)


def test_the_system_clock_is_aware_and_does_not_sleep_backwards() -> None:
    clock = SystemClock()
    before = clock.monotonic()

    clock.sleep(-1)

    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() >= before
