"""The monitor fuses what every source says into one answer."""

import logging
from datetime import datetime, timedelta

import pytest

from spotproof import events
from spotproof.interruptions.model import Channel, Signal, SignalKind, SourceUnavailableError
from spotproof.interruptions.monitor import Monitor, earliest
from spotproof.interruptions.sigterm import SigtermSource
from tests.fakes.clock import FakeClock
from tests.fakes.spawner import HeldSpawner, ImmediateFlag


class ScriptedSource:
    channel = Channel.IMDS

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.broken = False

    def poll(self) -> list[Signal]:
        if self.broken:
            raise SourceUnavailableError("no answer")
        return self.signals


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def monitor(clock: FakeClock, source: ScriptedSource) -> Monitor:
    return Monitor(sources=[source], clock=clock, spawner=HeldSpawner(), poll_s=2)


def notice(deadline: datetime | None, channel: Channel = Channel.IMDS) -> Signal:
    return Signal(kind=SignalKind.NOTICE, channel=channel, deadline=deadline)


def test_no_signal_means_no_stop_and_no_hint(monitor: Monitor) -> None:
    monitor.ask_now()

    assert monitor.stop() is None
    assert monitor.hint() is None


def test_the_watcher_outlives_every_failure_of_a_source(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    class Starved(ScriptedSource):
        def poll(self) -> list[Signal]:
            if self.broken:
                raise MemoryError
            return self.signals

    source = Starved()
    monitor = Monitor(sources=[source], clock=clock, spawner=HeldSpawner(), poll_s=2)
    source.broken = True
    monitor.ask_now()
    source.broken, source.signals = False, [notice(clock.now() + timedelta(seconds=120))]
    monitor.ask_now()

    assert [record.message for record in caplog.records].count(events.WATCHER_DEGRADED) == 1
    assert monitor.stop() is not None


def test_the_earliest_deadline_of_all_channels_wins(monitor: Monitor, clock: FakeClock) -> None:
    late, early = clock.now() + timedelta(seconds=120), clock.now() + timedelta(seconds=90)

    monitor.offer(notice(late, Channel.STOP_FILE))
    monitor.offer(notice(early, Channel.IMDS))

    stop = monitor.stop()
    assert stop is not None
    assert stop.deadline == early


def test_a_signal_without_deadline_yields_to_one_with() -> None:
    clock = FakeClock()
    cancelled = Signal(kind=SignalKind.CANCEL, channel=Channel.SESSION)

    assert earliest([cancelled, notice(clock.now())]) == notice(clock.now())
    assert earliest([cancelled]) == cancelled


def test_a_repeated_notice_keeps_the_first_deadline(monitor: Monitor, clock: FakeClock) -> None:
    first = clock.now() + timedelta(seconds=60)
    monitor.offer(notice(first))

    monitor.offer(notice(first + timedelta(seconds=60)))

    stop = monitor.stop()
    assert stop is not None
    assert stop.deadline == first


def test_a_rebalance_recommendation_is_a_hint_that_expires(monitor: Monitor, clock: FakeClock) -> None:
    expires_at = clock.now() + timedelta(minutes=20)
    monitor.offer(Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=expires_at))

    assert monitor.hint() is not None
    assert monitor.stop() is None
    clock.advance(20 * 60)
    assert monitor.hint() is None


def test_to_be_retired_is_no_reason_to_stop(monitor: Monitor) -> None:
    assert monitor.retired() is None

    monitor.offer(Signal(kind=SignalKind.RETIRE, channel=Channel.SESSION))

    assert monitor.retired() == Signal(kind=SignalKind.RETIRE, channel=Channel.SESSION)
    assert (monitor.stop(), monitor.hint()) == (None, None)
    assert not monitor.pause(0)


def test_a_pause_of_the_run_is_a_reason_to_stop_and_yields_to_a_deadline(monitor: Monitor, clock: FakeClock) -> None:
    paused, reclaimed = Signal(kind=SignalKind.PAUSE, channel=Channel.SESSION), notice(clock.now())

    monitor.offer(paused)
    assert monitor.stop() == paused
    monitor.offer(reclaimed)
    assert monitor.stop() == reclaimed


def test_a_hard_signal_ends_a_pause(monitor: Monitor, clock: FakeClock) -> None:
    assert not monitor.pause(5)

    monitor.offer(notice(clock.now()))

    assert monitor.pause(5)


def test_a_source_that_does_not_answer_is_reported_once_and_is_not_a_stop(
    monitor: Monitor, source: ScriptedSource, caplog: pytest.LogCaptureFixture
) -> None:
    source.broken = True

    with caplog.at_level(logging.INFO, logger="spotproof"):
        monitor.ask_now()
        monitor.ask_now()

    assert [r.message for r in caplog.records] == [events.WATCHER_DEGRADED]
    assert monitor.stop() is None


def test_a_source_that_recovers_is_heard(monitor: Monitor, source: ScriptedSource, clock: FakeClock) -> None:
    source.broken = True
    monitor.ask_now()

    source.broken, source.signals = False, [notice(clock.now())]
    monitor.ask_now()

    assert monitor.stop() is not None


def test_each_channel_is_reported_once_with_its_own_latency(
    monitor: Monitor, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    happened = clock.now() - timedelta(milliseconds=1500)
    by_file = Signal(kind=SignalKind.NOTICE, channel=Channel.STOP_FILE, deadline=clock.now(), event_time=happened)

    with caplog.at_level(logging.INFO, logger="spotproof"):
        for _ in range(3):
            monitor.offer(by_file)
            monitor.offer(notice(clock.now()))

    seen = [(r.__dict__["signal"], r.__dict__["latency_ms"]) for r in caplog.records]
    assert seen == [(Channel.STOP_FILE, 1500), (Channel.IMDS, None)]


class CountedWaits(HeldSpawner):
    """Flags that remember how long they were waited for; `closed` is set by the third wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float | None] = []

    def flag(self) -> "CountedFlag":
        return CountedFlag(self.waits_s)


class CountedFlag(ImmediateFlag):
    def __init__(self, waits_s: list[float | None]) -> None:
        super().__init__()
        self.waits_s = waits_s

    def wait(self, timeout: float | None = None) -> bool:
        self.waits_s.append(timeout)
        if len(self.waits_s) == 3:
            self.set()
        return super().wait(timeout)


@pytest.mark.parametrize(("poll_s", "waited_s"), [(60, 1.5), (1, 1)])
def test_the_watch_looks_at_every_tick_and_never_rarer_than_it_polls(
    clock: FakeClock, poll_s: float, waited_s: float
) -> None:
    spawner = CountedWaits()
    monitor = Monitor(sources=[], clock=clock, spawner=spawner, poll_s=poll_s, tick_s=1.5)

    monitor.start()
    spawner.work["interruption-monitor"]()

    assert spawner.waits_s == [waited_s] * 3


def test_sigterm_counts_at_the_next_question_without_waiting_for_a_poll(clock: FakeClock) -> None:
    sigterm = SigtermSource(clock=clock, window_s=30)
    monitor = Monitor(sources=[], free_sources=[sigterm], clock=clock, spawner=HeldSpawner(), poll_s=60)
    assert monitor.stop() is None

    sigterm.on_signal(15, None)

    stop = monitor.stop()
    assert stop is not None
    assert stop.kind is SignalKind.TERMINATE
    assert stop.deadline == clock.now() + timedelta(seconds=30)
