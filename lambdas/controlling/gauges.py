"""All runs that go on, at one moment, as numbers."""

from dataclasses import dataclass

from lambdas.controlling.work import WorkLeft
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.situation import CapacitySituation
from spotproof.leases.model import Run


@dataclass
class Gauges:
    """Counted run by run in a round of the controller. A paused run waits for a person, not for workers: not in here."""

    runs: int = 0
    claimable: int = 0
    leased: int = 0
    done: int = 0  # or quarantined
    oldest_claimable_s: float = 0.0
    spot_workers: int = 0
    on_demand_workers: int = 0

    def add(self, run: Run, situation: CapacitySituation) -> None:
        """A run whose capacity the controller steers."""
        claimable = situation.claimable_spot + situation.claimable_on_demand
        self._add(run, claimable=claimable, still_open=situation.shards_open)
        self.oldest_claimable_s = max(self.oldest_claimable_s, situation.waited_s)
        self.spot_workers += situation.spot.alive
        self.on_demand_workers += situation.on_demand.alive

    def add_unsteered(self, run: Run, work: WorkLeft, *, waited_s: float, spot: int, on_demand: int) -> None:
        """A run that somebody else gave its workers; `spot`, `on_demand`: how many of them are alive."""
        self._add(run, claimable=work.claimable + work.left_to_on_demand, still_open=work.open)
        self.oldest_claimable_s = max(self.oldest_claimable_s, waited_s)
        self.spot_workers += spot
        self.on_demand_workers += on_demand

    def add_unbegun(self, waited_s: float) -> None:
        """A run that nobody has planned: how many shards it will have, nobody knows, but they wait."""
        self.oldest_claimable_s = max(self.oldest_claimable_s, waited_s)

    def count(self, telemetry: Telemetry) -> None:
        telemetry.count(events.METRIC_RUNS_ACTIVE, self.runs)
        telemetry.count(events.METRIC_SHARDS_CLAIMABLE, self.claimable)
        telemetry.count(events.METRIC_SHARDS_LEASED, self.leased)
        telemetry.count(events.METRIC_SHARDS_DONE, self.done)
        telemetry.seconds(events.METRIC_OLDEST_CLAIMABLE_S, self.oldest_claimable_s)
        telemetry.count(events.METRIC_SPOT_WORKERS, self.spot_workers)
        telemetry.count(events.METRIC_ON_DEMAND_WORKERS, self.on_demand_workers)

    def _add(self, run: Run, *, claimable: int, still_open: int) -> None:
        self.runs += 1
        self.claimable += claimable
        self.leased += max(0, still_open - claimable)
        self.done += max(0, run.shards - still_open)
