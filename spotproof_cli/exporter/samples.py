"""Samples, and the counters that keep them from falling."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spotproof_cli.exporter.metrics import SERIES_MAX, Kind, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number of one series."""

    metric: Metric
    values: tuple[str, ...]  # of the metric's labels
    number: float


def sample(metric: Metric, number: float, /, **labels: str) -> Sample:
    """A sample of the series that the labels name."""
    return Sample(metric=metric, values=metric.values(labels), number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one reading of one source found."""

    gauges: tuple[Sample, ...] = ()
    increments: tuple[Sample, ...] = ()  # of counters, since the reading before; 0 makes a series known


class Counters:
    """Totals since the exporter started. A metric has a bounded number of series, whatever its labels say."""

    def __init__(self) -> None:
        self._totals: dict[Metric, dict[tuple[str, ...], float]] = {}

    def add(self, increments: Iterable[Sample]) -> None:
        """Count them."""
        for each in increments:
            assert each.metric.kind is Kind.COUNTER, f"{each.metric.name} is no counter"
            assert each.number >= 0, f"{each.metric.name} would fall by {-each.number}"
            series = self._totals.setdefault(each.metric, {})
            key = bounded(each.metric, each.values, known=len(series), is_known=each.values in series)
            series[key] = series.get(key, 0.0) + each.number

    def samples(self) -> Iterator[Sample]:
        """All of them, in the order in which they became known."""
        for metric, series in self._totals.items():
            for values, number in series.items():
                yield Sample(metric=metric, values=values, number=number)


def bounded(metric: Metric, values: tuple[str, ...], *, known: int, is_known: bool) -> tuple[str, ...]:
    """The series to use: the one named, or the one that stands for all that came too late."""
    return values if is_known or known < SERIES_MAX else metric.folded(values)


def bounded_gauges(gauges: Iterable[Sample]) -> tuple[Sample, ...]:
    """The gauges with samples of the same series added up, and series beyond the bound folded into one."""
    totals: dict[Metric, dict[tuple[str, ...], float]] = {}
    for each in gauges:
        series = totals.setdefault(each.metric, {})
        key = bounded(each.metric, each.values, known=len(series), is_known=each.values in series)
        series[key] = series.get(key, 0.0) + each.number
    return tuple(
        Sample(metric=metric, values=values, number=number)
        for metric, series in totals.items()
        for values, number in series.items()
    )
