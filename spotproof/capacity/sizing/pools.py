"""Pools in the order of what a useful hour of a processor costs in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotproof.capacity.sizing.record import PoolUse

SPOT: Final = "spot"
# The same prior as the checkpoint policy's (checkpoints/risk.py), which says where it is from.
RATE_PRIOR_PER_H: Final = 0.05
RATE_PRIOR_WEIGHT_H: Final = 10.0
# A worker that was interrupted is back after a new host booted and pulled its image; the shard is restored on it.
LOST_PER_INTERRUPTION_H: Final = 0.1
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPrice:
    """What an instance of a type costs in a zone now."""

    instance_type: str
    zone: str  # empty: any
    lifecycle: str  # spot | on-demand
    vcpus: int
    memory_mib: int
    usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSize:
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPool:
    """A pool and what makes its place."""

    price: PoolPrice
    workers_per_host: int
    rate_per_h: float  # interruptions expected in an hour of a worker
    hours_seen: float  # of our own workers
    interruptions_seen: int
    relative_time: float  # of the job's shards there; 1.0 = as elsewhere
    useful_share: float  # of a worker's hour
    usd_per_worker_hour: float
    usd_per_useful_vcpu_hour: float
    is_open: bool  # its breaker is: left alone for now
    reason: str


def rank_pools(
    prices: Iterable[PoolPrice],
    uses: Iterable[PoolUse],
    *,
    size: WorkerSize,
    busy_share: float,
    relative_times: Mapping[str, float],
    open_pools: frozenset[str] = frozenset(),
) -> tuple[RankedPool, ...]:
    """Pools that hold a worker, the cheapest useful vCPU-hour first; pools with an open breaker come last.

    A worker's hour costs its host's price over as many workers as fit on it: what they leave empty is paid for too. Of
    the hour, `busy_share` goes into shards; interruptions take more, at the pool's own rate; and a slow type's hour is
    worth less.

    Args:
        uses: how earlier runs fared, any number of entries a pool.
        busy_share: of a worker's time, 0 < share <= 1, as all runs show it.
        relative_times: by instance type.
        open_pools: names `type/zone`.
    """
    seen = _seen(uses)
    ranked = [
        _ranked(price, fit, seen.get((price.instance_type, price.zone, price.lifecycle), (0.0, 0)), size=size,
                busy_share=busy_share, relative_time=relative_times.get(price.instance_type, 1.0),
                is_open=price.lifecycle == SPOT and f"{price.instance_type}/{price.zone}" in open_pools)
        for price in prices
        if (fit := min(price.vcpus // size.vcpus, price.memory_mib // size.memory_mib)) > 0
    ]  # fmt: skip
    return tuple(
        sorted(
            ranked,
            key=lambda pool: (pool.is_open, pool.usd_per_useful_vcpu_hour, pool.price.instance_type, pool.price.zone),
        )
    )


def _seen(uses: Iterable[PoolUse]) -> Mapping[tuple[str, str, str], tuple[float, int]]:
    seen: dict[tuple[str, str, str], tuple[float, int]] = {}
    for use in uses:
        pool = (use.instance_type, use.zone, use.lifecycle)
        hours, interruptions = seen.get(pool, (0.0, 0))
        seen[pool] = (hours + use.session_ms / HOUR_MS, interruptions + use.interruptions)
    return seen


def _ranked(
    price: PoolPrice, fit: int, seen: tuple[float, int], *, size: WorkerSize, busy_share: float, relative_time: float,
    is_open: bool,
) -> RankedPool:  # fmt: skip
    hours, interruptions = seen
    prior = RATE_PRIOR_PER_H if price.lifecycle == SPOT else 0.0
    rate = (prior * RATE_PRIOR_WEIGHT_H + interruptions) / (RATE_PRIOR_WEIGHT_H + hours)
    useful = busy_share / (1 + rate * LOST_PER_INTERRUPTION_H) / relative_time
    per_worker = price.usd_per_hour / fit
    told = f"{interruptions} interruptions in {hours:.1f} h of ours" if hours else "never used by this job"
    return RankedPool(
        price=price,
        workers_per_host=fit,
        rate_per_h=rate,
        hours_seen=hours,
        interruptions_seen=interruptions,
        relative_time=relative_time,
        useful_share=useful,
        usd_per_worker_hour=per_worker,
        usd_per_useful_vcpu_hour=per_worker / size.vcpus / useful,
        is_open=is_open,
        reason=f"{told}; its breaker is open" if is_open else told,
    )


def usual_price(pools: Sequence[RankedPool], *, among: int = 5) -> float | None:
    """What a worker's hour will cost: Batch weighs price and capacity, so the mean of the best few; None without any."""
    best = [pool.usd_per_worker_hour for pool in pools[:among]]
    return sum(best) / len(best) if best else None
