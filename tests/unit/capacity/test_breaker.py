"""The breaker of a Spot pool: opens on a burst, lets one probe through, closes when that stayed alone."""

import random

import pytest

from spotproof.capacity.breaker import (
    INTERRUPTIONS_KEPT,
    BreakerSettings,
    BreakerState,
    Interruption,
    PoolRecord,
    after_interruption,
    after_probe,
    judge_pool,
    parse_breaker,
)
from spotproof.errors import ConfigurationError

SETTINGS = BreakerSettings(count=3, window_s=600, recovery_s=1800)
EMPTY = PoolRecord(pool="m6i.large/us-east-1a")
T0 = 1_000_000_000


def interrupted(record: PoolRecord, *at_s: float) -> PoolRecord:
    for moment in at_s:
        at = T0 + round(moment * 1000)
        record = after_interruption(record, Interruption(at=at, instance_id=f"i-{at}"), SETTINGS)
    return record


def state(record: PoolRecord, at_s: float) -> BreakerState:
    return judge_pool(record, SETTINGS, now_ms=T0 + round(at_s * 1000)).state


def probed(record: PoolRecord, at_s: float) -> PoolRecord:
    after = after_probe(record, SETTINGS, now_ms=T0 + round(at_s * 1000))
    assert after is not None
    return after


OPENED = interrupted(EMPTY, 0, 100, 200)


def test_a_pool_without_history_is_closed() -> None:
    assert state(EMPTY, 0) is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        ((0, 100), BreakerState.CLOSED),
        ((0, 100, 599.999), BreakerState.OPEN),
        ((0, 300, 600), BreakerState.CLOSED),  # the first is a window ago
        ((0, 300, 700, 800), BreakerState.OPEN),
    ],
)
def test_it_opens_at_the_third_interruption_within_the_window(at_s: tuple[float, ...], expected: BreakerState) -> None:
    assert state(interrupted(EMPTY, *at_s), at_s[-1]) is expected


def test_it_stays_open_for_the_recovery_time_and_then_lets_one_probe_through() -> None:
    assert state(OPENED, 1999) is BreakerState.OPEN
    assert after_probe(OPENED, SETTINGS, now_ms=T0 + 1_999_000) is None
    assert state(OPENED, 2000) is BreakerState.HALF_OPEN

    tried = probed(OPENED, 2500)

    assert state(tried, 2600) is BreakerState.HALF_OPEN
    assert after_probe(tried, SETTINGS, now_ms=T0 + 2_600_000) is None


def test_a_probe_that_lives_for_the_window_closes_it() -> None:
    tried = probed(OPENED, 2500)

    assert state(tried, 3099) is BreakerState.HALF_OPEN
    assert state(tried, 3100) is BreakerState.CLOSED


def test_an_interruption_during_the_probe_opens_it_for_the_whole_recovery_again() -> None:
    again = interrupted(probed(OPENED, 2500), 2600)

    assert state(again, 2601) is BreakerState.OPEN
    assert state(again, 4399) is BreakerState.OPEN
    assert state(again, 4400) is BreakerState.HALF_OPEN
    assert judge_pool(again, SETTINGS, now_ms=T0 + 4_400_000).probe_free


def test_an_interruption_while_open_counts_the_recovery_from_then() -> None:
    longer = interrupted(OPENED, 1000)

    assert state(longer, 2500) is BreakerState.OPEN
    assert state(longer, 2800) is BreakerState.HALF_OPEN


def test_once_closed_again_it_takes_a_whole_new_burst_to_open() -> None:
    closed = probed(OPENED, 2500)

    assert state(interrupted(closed, 3200, 3300), 3300) is BreakerState.CLOSED
    assert state(interrupted(closed, 3200, 3300, 3400), 3400) is BreakerState.OPEN


def test_the_same_host_reported_twice_counts_once() -> None:
    record = EMPTY
    for moment in (0, 100, 200):  # the notice, the end, and a replay
        record = after_interruption(record, Interruption(at=T0 + moment, instance_id="i-1"), SETTINGS)

    assert len(record.interruptions) == 1
    assert judge_pool(record, SETTINGS, now_ms=T0 + 300).state is BreakerState.CLOSED


def test_a_late_report_from_before_moves_nothing_back() -> None:
    late = interrupted(OPENED, 50)

    assert late.opened_at == OPENED.opened_at
    assert [one.at for one in late.interruptions] == sorted(one.at for one in late.interruptions)


def test_only_the_newest_interruptions_are_kept() -> None:
    record = interrupted(EMPTY, *(1000.0 * number for number in range(INTERRUPTIONS_KEPT + 5)))

    assert len(record.interruptions) == INTERRUPTIONS_KEPT
    assert record.interruptions[0].at == T0 + 5_000_000


def test_the_record_says_enough_whatever_happened_before() -> None:
    """Random histories: open only after a burst or a failed probe, never for longer than the recovery time."""
    rng = random.Random(7)
    for _ in range(200):
        record, moment = EMPTY, 0.0
        for _ in range(30):
            moment += rng.choice((10.0, 200.0, 700.0, 2000.0))
            before = state(record, moment)
            if rng.random() < 0.6:
                record = interrupted(record, moment)
                recent = [one for one in record.interruptions if T0 + (moment - 600) * 1000 < one.at]
                if state(record, moment) is BreakerState.OPEN:
                    assert before is not BreakerState.CLOSED or len(recent) >= SETTINGS.count
                else:
                    assert before is BreakerState.CLOSED
            else:
                record = after_probe(record, SETTINGS, now_ms=T0 + round(moment * 1000)) or record
            assert state(record, moment + 1800) is not BreakerState.OPEN


@pytest.mark.parametrize("text", ["3/600/1800", "1/0.5/2", "32/86400/604800"])
def test_settings_are_read_as_count_window_recovery(text: str) -> None:
    settings = parse_breaker(text)

    assert f"{settings.count}/{settings.window_s:g}/{settings.recovery_s:g}" == text


@pytest.mark.parametrize(
    "text", ["", "3", "3/600", "3/600/1800/1", "0/600/1800", "33/6/6", "3/0/5", "x/1/2", "3/nan/5"]
)
def test_settings_that_make_no_sense_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="count/window/recovery") as caught:
        parse_breaker(text)
    assert "\n" not in str(caught.value)


def test_defaults_are_what_the_text_form_would_give() -> None:
    assert parse_breaker("3/600/1800") == BreakerSettings()
