"""Where a worker that takes another one's place goes: Spot as before, or on-demand past a pool that loses hosts. Pure."""

from dataclasses import dataclass
from typing import Final

from spotproof.capacity.breaker import BreakerState, BreakerVerdict
from spotproof.capacity.caps import CapsDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """`on_demand`: instead of Spot. `probes`: it is the one that tries the pool again."""

    on_demand: bool
    probes: bool
    reason: str


POOL_UNKNOWN: Final = RouteDecision(on_demand=False, probes=False, reason="its pool is not known")


def decide_uncapped(verdict: BreakerVerdict) -> RouteDecision | None:
    """The decision where nobody needs to know the caps; None where they decide.

    Args:
        verdict: of the pool in which the worker lived that is replaced.
    """
    if verdict.state is BreakerState.CLOSED:
        return RouteDecision(on_demand=False, probes=False, reason=verdict.reason)
    if verdict.probe_free:
        return RouteDecision(on_demand=False, probes=True, reason=verdict.reason)
    return None


def decide_capped(verdict: BreakerVerdict, caps: CapsDecision, *, on_demand_now: int) -> RouteDecision:
    """On demand past a pool that is being left alone, if the caps allow one more; else Spot all the same.

    Args:
        caps: for one on-demand worker more than there are.
        on_demand_now: how many there are.
    """
    if caps.allowed <= on_demand_now:
        return RouteDecision(on_demand=False, probes=False, reason=f"{verdict.reason}; capped: {caps.reason}")
    return RouteDecision(on_demand=True, probes=False, reason=verdict.reason)
