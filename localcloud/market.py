"""The simulated Spot market: price, capacity and risk of each pool, from a seed."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from localcloud.catalog import InstanceType, instance_type
from localcloud.errors import UsageError

ANY = "*"
HOUR_S = 3600.0

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One (instance type, availability zone), as a launch decision sees it."""

    type: InstanceType
    zone: str
    subnet: str
    price_usd: float  # per hour
    free: int  # instances the pool can still give
    risk: float  # chance of an interruption in an hour, 0..1


class Market:
    """Prices move by the hour; capacity and price can be set by hand for a pool, a type, a zone or everything."""

    def __init__(self, *, seed: int, now: Callable[[], float]) -> None:
        self.seed = seed
        self._now = now
        self._capacity: dict[tuple[str, str], int] = {}
        self._price: dict[tuple[str, str], float] = {}

    def price_usd(self, kind: InstanceType, zone: str, at_s: float | None = None) -> float:
        """Spot price per hour of the pool at `at_s` (seconds since 1970, now if None)."""
        pinned = _lookup(self._price, kind.name, zone)
        if pinned is not None:
            return pinned
        hour = int((self._now() if at_s is None else at_s) // HOUR_S)
        discount = (
            0.55 + 0.3 * self._draw("discount", kind.name, zone) + 0.05 * self._draw("hour", kind.name, zone, hour)
        )
        return round(kind.on_demand_usd * (1 - discount), 6)

    def capacity(self, kind: InstanceType, zone: str) -> int:
        """Instances the pool can hold."""
        fixed = _lookup(self._capacity, kind.name, zone)
        return 20 + int(80 * self._draw("capacity", kind.name, zone)) if fixed is None else fixed

    def risk(self, kind: InstanceType, zone: str) -> float:
        """Chance that an instance of the pool is interrupted within an hour."""
        return 0.02 + 0.2 * self._draw("risk", kind.name, zone)

    def set_capacity(self, pool: str, instances: int) -> None:
        """Fix the capacity of `type/zone`, `type/*`, `*/zone` or `*`; the most exact wins, a later `*` resets all."""
        if instances < 0:
            raise UsageError(f"capacity must be 0 or more, got {instances}")
        _put(self._capacity, _key(pool), instances)

    def pin_price(self, pool: str, usd: float) -> None:
        """Fix the price per hour of the pool."""
        if usd <= 0:
            raise UsageError(f"a price must be positive, got {usd:g}")
        _put(self._price, _key(pool), usd)

    def reset(self) -> None:
        """Back to what the seed says."""
        self._capacity.clear()
        self._price.clear()

    def _draw(self, *what: object) -> float:
        text = "|".join(str(part) for part in (self.seed, *what))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def choose_spot(pools: Iterable[Pool]) -> Pool | None:
    """The pool that price-capacity-optimized takes: cheap per vCPU, unlikely to be interrupted, with room to spare.

    AWS publishes the goals, not the formula; ours weighs price by risk and by how close the pool is to empty.
    """
    return min((pool for pool in pools if pool.free > 0), key=_spot_cost, default=None)


def choose_on_demand(pools: Iterable[Pool]) -> Pool | None:
    """The pool that BEST_FIT_PROGRESSIVE takes: the lowest price per vCPU."""
    open_pools = (pool for pool in pools if pool.free > 0)
    return min(open_pools, key=lambda pool: (pool.price_usd / pool.type.vcpus, pool.type.name, pool.zone), default=None)


def _spot_cost(pool: Pool) -> tuple[float, str, str]:
    cost = pool.price_usd / pool.type.vcpus * (1 + 2 * pool.risk) * (1 + 5 / pool.free)
    return cost, pool.type.name, pool.zone


def _key(pool: str) -> tuple[str, str]:
    kind, _, zone = pool.partition("/")
    if kind != ANY:
        instance_type(kind)
    return kind or ANY, zone or ANY


def _lookup(table: dict[tuple[str, str], Number], kind: str, zone: str) -> Number | None:
    for key in ((kind, zone), (kind, ANY), (ANY, zone), (ANY, ANY)):
        if key in table:
            return table[key]
    return None


def _put(table: dict[tuple[str, str], Number], key: tuple[str, str], value: Number) -> None:
    if key == (ANY, ANY):
        table.clear()
    table[key] = value
