"""The caps on on-demand workers: a share of the run's workers, a number, and dollars per hour."""

import math
from dataclasses import dataclass

from spotproof.capacity.situation import CapacityLimits, CapFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsDecision:
    """How many on-demand workers the run may have in all, and which caps said so."""

    allowed: int
    binding: tuple[str, ...]  # the options that allow fewer than wanted
    reason: str  # the same in words; empty if none does


def cap_on_demand(wanted: int, facts: CapFacts) -> CapsDecision:
    """What the caps leave of `wanted` on-demand workers.

    A share above 0 allows one worker at least: half of a single worker would be none, and the run would starve in
    spite of what its submitter allowed. Where the price of a worker is not known, dollars per hour allow none more.
    """
    limits = facts.limits
    caps = (
        ("on_demand_share_max", f"{limits.on_demand_share_max:g}", _by_share(wanted, limits, facts.workers_wanted)),
        ("on_demand_workers_max", str(limits.on_demand_workers_max), _by_number(wanted, limits)),
        ("usd_per_hour_max", _price_words(facts), _by_price(wanted, facts)),
    )
    binding = [cap for cap in caps if cap[2] < wanted]
    return CapsDecision(
        allowed=min(wanted, *(allowed for _, _, allowed in caps)),
        binding=tuple(name for name, _, _ in binding),
        reason="; ".join(f"{name}={value} allows {allowed}" for name, value, allowed in binding),
    )


def _by_share(wanted: int, limits: CapacityLimits, workers: int) -> int:
    if limits.on_demand_share_max >= 1:
        return wanted
    share = math.floor(limits.on_demand_share_max * workers + 1e-9)
    return max(1, share) if limits.on_demand_share_max > 0 else 0


def _by_number(wanted: int, limits: CapacityLimits) -> int:
    return wanted if limits.on_demand_workers_max is None else limits.on_demand_workers_max


def _by_price(wanted: int, facts: CapFacts) -> int:
    most = facts.limits.usd_per_hour_max
    if most is None:
        return wanted
    each, now = facts.on_demand_usd_per_hour, facts.usd_per_hour
    if not each or now is None:
        return facts.on_demand.total
    spot_only = max(0.0, now - each * facts.on_demand.alive)
    return max(0, math.floor((most - spot_only) / each + 1e-9))


def _price_words(facts: CapFacts) -> str:
    each = facts.on_demand_usd_per_hour
    price = f"${each:.4f}/h each" if each else "price unknown"
    return f"{facts.limits.usd_per_hour_max} ({price})"
