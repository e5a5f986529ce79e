"""The prices one reckoning needs, each pool's asked for once and remembered for a while."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from spotproof.costs.price_curve import PriceCurve
from spotproof.costs.prices import InstancePrice, PriceStep, SpotPrices
from spotproof.errors import AwsError

FRESH_FOR: Final = timedelta(minutes=10)  # the last known price holds on for so long; pools change theirs in hours


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTime:
    """A pool, and the time whose prices are wanted."""

    instance_type: str
    zone: str
    since: datetime
    until: datetime

    @property
    def pool(self) -> tuple[str, str]:
        return self.instance_type, self.zone


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    since: datetime
    until: datetime
    curve: PriceCurve | None  # None: EC2 would not tell

    def covers(self, wanted: PoolTime) -> bool:
        return self.since <= wanted.since and wanted.until <= self.until + FRESH_FOR


class PriceBook:
    """On-demand prices from a list, spot prices from EC2. What can't be had is None, never an error."""

    def __init__(self, *, on_demand: Mapping[str, InstancePrice], spot: SpotPrices) -> None:
        self._on_demand = on_demand
        self._spot = spot
        self._known: dict[tuple[str, str], _Known] = {}

    def size_of(self, instance_type: str) -> InstancePrice | None:
        """The type's price and size as listed."""
        return self._on_demand.get(instance_type)

    def on_demand(self, instance_type: str) -> PriceCurve | None:
        listed = self._on_demand.get(instance_type)
        if listed is None:
            return None
        return PriceCurve([PriceStep(since=_LONG_AGO, usd_per_hour=listed.usd_per_hour)])

    def spot(self, instance_type: str, zone: str) -> PriceCurve | None:
        """The pool's prices over the time that was looked up; None if EC2 would not tell, or was not asked."""
        known = self._known.get((instance_type, zone))
        return None if known is None else known.curve

    def look_up(self, wanted: Iterable[PoolTime]) -> None:
        """Ask for the spot prices of pools, once each, unless they are known for the time already."""
        needs: dict[tuple[str, str], PoolTime] = {}
        for each in wanted:
            needs[each.pool] = _joined(needs.get(each.pool), each)
        for pool, need in needs.items():
            known = self._known.get(pool)
            if known is None or not known.covers(need):
                self._known[pool] = self._ask(_joined(_as_time(pool, known), need))

    def _ask(self, need: PoolTime) -> _Known:
        try:
            steps = self._spot.steps(
                instance_type=need.instance_type, zone=need.zone, since=need.since, until=need.until
            )
        except (AwsError, ClientError):  # not allowed, throttled, unknown type: what is estimated then says so
            steps = ()
        return _Known(since=need.since, until=need.until, curve=PriceCurve(steps) if steps else None)


_LONG_AGO: Final = datetime.fromisoformat("2006-08-25T00:00:00+00:00")  # EC2 began; any moment before all hosts does


def _as_time(pool: tuple[str, str], known: _Known | None) -> PoolTime | None:
    if known is None:
        return None
    return PoolTime(instance_type=pool[0], zone=pool[1], since=known.since, until=known.until)


def _joined(one: PoolTime | None, other: PoolTime) -> PoolTime:
    if one is None:
        return other
    return PoolTime(
        instance_type=other.instance_type,
        zone=other.zone,
        since=min(one.since, other.since),
        until=max(one.until, other.until),
    )
