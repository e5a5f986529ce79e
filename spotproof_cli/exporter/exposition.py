"""What a scrape gets: the samples in Prometheus's text format."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from spotproof.clock import Clock
from spotproof.errors import InputError
from spotproof_cli.exporter.metrics import METRICS, Kind, Metric
from spotproof_cli.exporter.readings import Shown
from spotproof_cli.exporter.samples import Sample


class ShownCollector(Collector):
    """Gives what is shown at the moment of the scrape; asks AWS nothing."""

    def __init__(self, shown: Callable[[], Shown], clock: Clock) -> None:
        self._shown = shown
        self._clock = clock

    def describe(self) -> Iterable[Family]:
        """Nothing: registering the collector must not read."""
        return []

    def collect(self) -> Iterator[Family]:
        """The metrics that have samples, in the order of the vocabulary."""
        shown = self._shown()
        samples = [*shown.samples, *shown.ages(self._clock.monotonic())]
        for metric in METRICS:
            found = [each for each in samples if each.metric is metric]
            if found:
                yield _family(metric, found)


def registry_of(shown: Callable[[], Shown], clock: Clock) -> CollectorRegistry:
    """A registry with nothing but the exporter's own metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ShownCollector(shown, clock))
    return registry


def text_of(registry: CollectorRegistry) -> str:
    """The text format, version 0.0.4."""
    return generate_latest(registry).decode()


def write_textfile(registry: CollectorRegistry, path: str) -> None:
    """Write the text format to the file at once: a reader sees the old or the new one, never a part.

    Raises:
        InputError: the file can't be written.
    """
    try:
        write_to_textfile(path, registry)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise InputError(f"--textfile {path!r} can't be written: {error}") from error


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.full_name, metric.help, labels=metric.labels)
    for each in samples:
        family.add_metric(each.values, each.number)
    return family
