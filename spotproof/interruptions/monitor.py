"""The monitor: fuses all signal sources into one answer, "must I stop, and by when"."""

import logging
from collections.abc import Sequence

from spotproof import events
from spotproof.clock import Clock
from spotproof.concurrency import Spawner
from spotproof.interruptions.model import Channel, Signal, SignalKind, SignalSource, SourceUnavailableError

logger = logging.getLogger(__name__)
TICK_S = 0.2  # how often the sources that cost nothing (SIGTERM) are asked


def earliest(signals: Sequence[Signal]) -> Signal | None:
    """The hard signal with the nearest deadline; one without a deadline counts as the last."""
    hard = [signal for signal in signals if signal.kind.hard]
    dated = [(signal.deadline, signal) for signal in hard if signal.deadline is not None]
    if dated:
        return min(dated, key=lambda pair: pair[0])[1]
    return hard[0] if hard else None


class Monitor:
    """Asks the sources in the background and remembers every channel's first sight of every kind."""

    def __init__(
        self,
        *,
        sources: Sequence[SignalSource],
        free_sources: Sequence[SignalSource] = (),
        clock: Clock,
        spawner: Spawner,
        poll_s: float,
        tick_s: float = TICK_S,
    ) -> None:
        self._sources = sources
        self._free_sources = free_sources
        self._clock = clock
        self._spawner = spawner
        self._poll_s = poll_s
        self._tick_s = tick_s
        self._seen: dict[tuple[Channel, SignalKind], Signal] = {}
        self._degraded: set[Channel] = set()
        self._wake = spawner.flag()
        self._closed = spawner.flag()

    def start(self) -> None:
        self._spawner.spawn(self._watch, name="interruption-monitor")

    def close(self) -> None:
        self._closed.set()

    def stop(self) -> Signal | None:
        """The hard signal that ends this worker, or None. Asks the free sources itself, so SIGTERM counts at once."""
        self._ask(self._free_sources)
        return earliest(list(self._seen.values()))

    def hint(self) -> Signal | None:
        """The rebalance recommendation that still counts, or None."""
        now = self._clock.now()
        hints = [s for s in list(self._seen.values()) if s.kind is SignalKind.REBALANCE and s.expires_at]
        live = [s for s in hints if s.expires_at and s.expires_at > now]
        return max(live, key=lambda s: s.expires_at or now, default=None)

    def retired(self) -> Signal | None:
        """Whether this worker should leave when its shard is done, and who said so."""
        return next((signal for signal in list(self._seen.values()) if signal.kind is SignalKind.RETIRE), None)

    def offer(self, signal: Signal) -> None:
        """Take in a signal that was pushed, such as a flag in a heartbeat's answer."""
        key = (signal.channel, signal.kind)
        known = self._seen.get(key)
        self._seen[key] = signal if known is None or not signal.kind.hard else known
        if known is None:
            self._report(signal)
        if signal.kind.hard:
            self._wake.set()

    def pause(self, seconds: float) -> bool:
        """Wait `seconds`, less if a hard signal comes; True if one has come."""
        return self._wake.wait(max(0.0, seconds)) or self.stop() is not None

    def wake(self) -> None:
        """End a pause that is under way, and every later one: the worker is about to end."""
        self._wake.set()

    def ask_now(self) -> None:
        """Ask every source once, in the caller's thread."""
        self._ask(self._free_sources)
        self._ask(self._sources)

    def _watch(self) -> None:
        next_poll = self._clock.monotonic()
        while not self._closed.is_set():
            self._ask(self._free_sources)
            if self._clock.monotonic() >= next_poll:
                self._ask(self._sources)
                next_poll = self._clock.monotonic() + self._poll_s
            self._closed.wait(min(self._tick_s, self._poll_s))

    def _ask(self, sources: Sequence[SignalSource]) -> None:
        for source in sources:
            try:
                signals = source.poll()
            except Exception as error:  # any: a worker whose watcher has died would hear of no stop any more
                if source.channel not in self._degraded:
                    self._degraded.add(source.channel)
                    text = str(error) if isinstance(error, SourceUnavailableError) else repr(error)
                    logger.warning(events.WATCHER_DEGRADED, extra={"signal": source.channel, "error": text})
                continue
            self._degraded.discard(source.channel)
            for signal in signals:
                self.offer(signal)

    def _report(self, signal: Signal) -> None:
        now = self._clock.now()
        latency = None if signal.event_time is None else round((now - signal.event_time).total_seconds() * 1000)
        logger.info(
            events.STOP_SEEN if signal.kind.hard else events.HINT_SEEN,
            extra={
                "signal": signal.channel,
                "kind": signal.kind,
                "deadline": signal.deadline.isoformat() if signal.deadline else None,
                "event_time": signal.event_time.isoformat() if signal.event_time else None,
                "latency_ms": latency,
            },
        )
