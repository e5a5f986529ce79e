"""What befalls instances, drawn from the seed: notices, failures, pauses, and all hosts at once."""

import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from simulation.cloud.fleet import Fleet
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler

HOUR_S: Final = 3600
REBALANCE_LEAD_S: Final = 600  # at most so long before the notice
LATE_LEAD_S: Final = 60  # at most so much is left when the notice comes late
SUSPENDED_S: Final = 400  # at most; longer than any ttl


class Fate(StrEnum):
    """Names begin with the catalogue's id. Their rates are per instance-hour, not per opportunity."""

    NOTICE = "P8 notice"
    REBALANCE_THEN_NOTICE = "P8 rebalance then notice"
    LATE_NOTICE = "E2 late notice"
    REBALANCE_ONLY = "E8 rebalance only"
    WARNING_ONLY = "E9 warning only"
    RECLAIMED_UNANNOUNCED = "E4 reclaimed without notice"
    HOST_FAILURE = "P1 unannounced"
    SUSPENDED = "P3 host suspended"
    ALL_NOTICED = "P10 all noticed"
    ALL_FAILED = "P10 all failed"


_OF_ANY_HOST: Final = (Fate.HOST_FAILURE, Fate.SUSPENDED, Fate.ALL_FAILED)
FATES: Final[Mapping[Lifecycle, tuple[Fate, ...]]] = {Lifecycle.SPOT: tuple(Fate), Lifecycle.ON_DEMAND: _OF_ANY_HOST}


class FateClock:
    """Draws when the next of several faults strikes and which one it is."""

    def __init__(self, *, scheduler: Scheduler, rng: random.Random, faults: FaultBook) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._faults = faults

    def watch(self, fates: Sequence[str], *, lasts: Callable[[], bool], meet: Callable[[str], None]) -> None:
        """Call `meet` with one fate after another while `lasts` and until peace.

        The mean time between two of them is what their rates per hour together give.
        """
        known = [(str(fate), self._faults.rates[fate]) for fate in fates if self._faults.rates.get(fate, 0.0) > 0]
        total = sum(rate for _, rate in known)
        if not known:
            return

        def plan() -> None:
            self._scheduler.after(2 * self._rng.random() * HOUR_S / total, strike)

        def strike() -> None:
            if lasts() and not self._faults.at_peace:
                meet(_drawn(known, self._rng.random() * total))
                plan()

        plan()


def _drawn(known: Sequence[tuple[str, float]], rest: float) -> str:
    for fate, rate in known:
        rest -= rate
        if rest < 0:
            return fate
    return known[-1][0]


class Fates:
    """Decides when an instance meets which fate; the fleet does it."""

    def __init__(self, *, scheduler: Scheduler, rng: random.Random, faults: FaultBook, fleet: Fleet) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._faults = faults
        self._fleet = fleet
        self._clock = FateClock(scheduler=scheduler, rng=rng, faults=faults)
        self._deeds: Mapping[str, Callable[[SimInstance], None]] = {
            Fate.NOTICE: fleet.give_notice,
            Fate.REBALANCE_THEN_NOTICE: self._rebalance_then_notice,
            Fate.LATE_NOTICE: lambda instance: fleet.give_notice(instance, lead_s=LATE_LEAD_S * rng.random()),
            Fate.REBALANCE_ONLY: fleet.recommend_rebalance,
            Fate.WARNING_ONLY: lambda instance: fleet.give_notice(instance, reclaim=False),
            Fate.RECLAIMED_UNANNOUNCED: lambda instance: fleet.lose(instance, "reclaimed without notice"),
            Fate.HOST_FAILURE: lambda instance: fleet.fail(instance, "host failure"),
            Fate.SUSPENDED: lambda instance: fleet.suspend(instance, rng.randrange(1, SUSPENDED_S)),
            Fate.ALL_NOTICED: lambda _: self._each(self._notice_if_spot),
            Fate.ALL_FAILED: lambda _: self._each(lambda instance: fleet.fail(instance, "zone failure")),
        }
        fleet.on_running.append(self._begin)

    def _begin(self, instance: SimInstance) -> None:
        self._clock.watch(
            FATES[instance.lifecycle], lasts=lambda: instance.is_running, meet=lambda fate: self._meet(instance, fate)
        )

    def _meet(self, instance: SimInstance, fate: str) -> None:
        if instance.reclaim_at is None or fate in _OF_ANY_HOST:  # EC2 announces an end once
            self._faults.count(fate, f"ec2 {instance.lifecycle}")
            self._deeds[fate](instance)

    def _rebalance_then_notice(self, instance: SimInstance) -> None:
        self._fleet.recommend_rebalance(instance)
        self._scheduler.after(REBALANCE_LEAD_S * self._rng.random(), partial(self._notice_if_spot, instance))

    def _notice_if_spot(self, instance: SimInstance) -> None:
        if self._faults.at_peace or not instance.is_running or instance.reclaim_at is not None:
            return
        if instance.lifecycle is Lifecycle.SPOT:
            self._fleet.give_notice(instance)

    def _each(self, deed: Callable[[SimInstance], None]) -> None:
        for instance in self._fleet.live():
            deed(instance)
