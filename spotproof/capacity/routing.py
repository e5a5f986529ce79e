"""Where a worker that takes another one's place goes: Spot as before, or on-demand past a pool that loses hosts. Pure."""

from dataclasses import dataclass

from spotproof.capacity.breaker import BreakerState, BreakerVerdict
from spotproof.capacity.caps import CapsDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """`on_demand`: instead of Spot. `probes`: it is the one that tries the pool again."""

    on_demand: bool
    probes: bool
    reason: str


def decide_route(verdict: BreakerVerdict | None, caps: CapsDecision, *, on_demand_now: int) -> RouteDecision:
    """Spot, unless the pool that took the last worker's host is being left alone and the caps allow one more.

    Args:
        verdict: of the pool in which the worker lived that is replaced; None if nobody knows it.
        caps: for one on-demand worker more than there are.
        on_demand_now: how many there are.
    """
    if verdict is None:
        return RouteDecision(on_demand=False, probes=False, reason="its pool is not known")
    if verdict.state is BreakerState.CLOSED:
        return RouteDecision(on_demand=False, probes=False, reason=verdict.reason)
    if verdict.probe_free:
        return RouteDecision(on_demand=False, probes=True, reason=verdict.reason)
    if caps.allowed <= on_demand_now:
        return RouteDecision(on_demand=False, probes=False, reason=f"{verdict.reason}; capped: {caps.reason}")
    return RouteDecision(on_demand=True, probes=False, reason=verdict.reason)
