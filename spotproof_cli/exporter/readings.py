"""The readings of all sources, one after the other, and what of them a scrape is shown."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from spotproof.clock import Clock
from spotproof.errors import SpotproofError
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.samples import Counters, Sample, bounded_gauges, sample
from spotproof_cli.exporter.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything a scrape shows but the ages, which it works out itself. Replaced as a whole, never changed."""

    samples: tuple[Sample, ...] = ()
    read_at: tuple[tuple[str, float], ...] = ()  # source, and monotonic seconds of its last successful reading

    def ages(self, now: float) -> Iterator[Sample]:
        """How old the numbers of each source are; none of a source that was never read."""
        for source, moment in self.read_at:
            yield sample(metrics.READING_AGE, max(0.0, now - moment), source=source)


@dataclass
class _State:
    source: Source
    gauges: tuple[Sample, ...] = ()
    read_at: float | None = None
    duration_s: float = 0.0
    is_ok: bool = False
    said: str = ""  # the failure that was told


class Readings:
    """Reads, remembers and publishes. A failed source keeps its last numbers, with their age."""

    def __init__(
        self, *, sources: Sequence[Source], clock: Clock, warn: Callable[[str], None], info: Iterable[Sample] = ()
    ) -> None:
        self._states = [_State(source=source) for source in sources]
        self._clock = clock
        self._warn = warn
        self._info = tuple(info)
        self._counters = Counters()
        self.shown = Shown(samples=self._info)

    @property
    def failures(self) -> tuple[str, ...]:
        """Of the last round."""
        return tuple(state.said for state in self._states if state.said)

    def read(self) -> None:
        """One round over all sources."""
        for state in self._states:
            self._read(state)
            self.shown = self._now_shown()

    def _read(self, state: _State) -> None:
        name, started = state.source.name, self._clock.monotonic()
        try:
            found = state.source.read()
        except SpotproofError as error:
            state.is_ok = False
            self._counters.add([sample(metrics.READING_FAILURES, 1, source=name)])
            if str(error) != state.said:
                self._warn(f"reading {name}: {error}")
            state.said = str(error)
            return
        state.read_at = self._clock.monotonic()
        state.duration_s = state.read_at - started
        state.is_ok, state.said = True, ""
        state.gauges = bounded_gauges(found.gauges)
        self._counters.add([sample(metrics.READING_FAILURES, 0, source=name), *found.increments])

    def _now_shown(self) -> Shown:
        gauges = [each for state in self._states for each in state.gauges]
        own = [each for state in self._states for each in _own(state)]
        read_at = tuple((state.source.name, state.read_at) for state in self._states if state.read_at is not None)
        return Shown(samples=(*self._info, *own, *gauges, *self._counters.samples()), read_at=read_at)


def _own(state: _State) -> Iterator[Sample]:
    name = state.source.name
    yield sample(metrics.READING_OK, state.is_ok, source=name)
    if state.read_at is not None:
        yield sample(metrics.READING_DURATION, state.duration_s, source=name)
