"""An exporter of a deployment in moto, and what a scrape of it says."""

from dataclasses import dataclass, field

import boto3
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spotproof.settings import AwsSettings
from spotproof_cli.exporter.assembly import readings_of
from spotproof_cli.exporter.exposition import registry_of, text_of
from spotproof_cli.exporter.readings import Readings
from spotproof_cli.target import Target
from tests.cli.conftest import REGION, World
from tests.fakes.table import create_table

Labels = tuple[tuple[str, str], ...]


@dataclass
class Scraped:
    """One scrape's numbers by name and labels."""

    numbers: dict[tuple[str, Labels], float]

    def __call__(self, name: str, **labels: str) -> float | None:
        """The number of one series; None if it is not there."""
        return self.numbers.get((f"spotproof_{name}", tuple(sorted(labels.items()))))

    def series(self, name: str) -> dict[Labels, float]:
        """Every series of a metric."""
        return {labels: number for (found, labels), number in self.numbers.items() if found == f"spotproof_{name}"}


def scraped(text: str) -> Scraped:
    return Scraped(
        {
            (each.name, tuple(sorted(each.labels.items()))): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
        }
    )


@dataclass
class Exporter:
    """The exporter of a world."""

    world: World
    readings: Readings
    warnings: list[str] = field(default_factory=list)

    def scrape(self) -> Scraped:
        """What Prometheus gets now."""
        return scraped(text_of(registry_of(lambda: self.readings.shown, self.world.clock)))

    def read(self) -> Scraped:
        """A reading, and a scrape of it."""
        self.readings.read()
        return self.scrape()


@pytest.fixture
def world(world: World) -> World:
    """The deployment with a real table beside the store in memory: records of pools are in it."""
    create_table(boto3.client("dynamodb", region_name=REGION), "table")
    return world


@pytest.fixture
def exporter(world: World) -> Exporter:
    """One that has read nothing yet."""
    warnings: list[str] = []
    deployment = world._connect(
        Target(aws=AwsSettings(region=REGION, endpoint_url=None), prefix="Spotproof"), world.clock
    )
    readings = readings_of(deployment, clock=world.clock, warn=warnings.append, version="1.2.3")
    return Exporter(world=world, readings=readings, warnings=warnings)
