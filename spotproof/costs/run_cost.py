"""The cost of a run: its sessions priced and summed, with what could not be priced shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from botocore.exceptions import ClientError

from spotproof.costs.prices import InstancePrice, PriceStep, SpotPrices
from spotproof.costs.session_cost import SPOT, ZERO, CostSplit, SessionCost, WorkedSession, session_cost
from spotproof.errors import AwsError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """US dollars of all sessions of a run. EBS, addresses, requests and idle hosts between workers are not in it."""

    sessions: int
    seconds: Decimal
    usd: Decimal
    free_usd: Decimal  # hosts reclaimed in their first hour
    on_demand_usd: Decimal  # the same seconds on demand; a type without a listed price counts at what it cost
    split: CostSplit
    estimated_seconds: Decimal  # spot seconds priced on demand because the spot price was not to be had
    unpriced_seconds: Decimal  # seconds on types without a known price: in no other number

    @property
    def savings_percent(self) -> Decimal | None:
        """What Spot saved against on-demand, waste included; None if there is nothing to compare with."""
        if self.on_demand_usd == 0:
            return None
        return (100 * (1 - self.usd / self.on_demand_usd)).quantize(Decimal("0.1"))

    def as_fields(self) -> dict[str, object]:
        """For logs and manifests: amounts as text with six places, so that nothing rounds them again."""
        return {
            "currency": "USD",
            "sessions": self.sessions,
            "session_seconds": _places(self.seconds, "0.001"),
            "usd": _usd(self.usd),
            "on_demand_usd": _usd(self.on_demand_usd),
            "savings_percent": None if self.savings_percent is None else str(self.savings_percent),
            "first_hour_free_usd": _usd(self.free_usd),
            "work_usd": _usd(self.split.work),
            "redone_usd": _usd(self.split.redone),
            "checkpoint_usd": _usd(self.split.checkpoint),
            "idle_usd": _usd(self.split.idle),
            "boot_usd": _usd(self.split.boot),
            "estimated_seconds": _places(self.estimated_seconds, "0.001"),
            "unpriced_seconds": _places(self.unpriced_seconds, "0.001"),
        }


def run_cost(sessions: Sequence[WorkedSession], *, on_demand: Mapping[str, InstancePrice], spot: SpotPrices) -> RunCost:
    """Price every session and add up. A price that can't be had degrades the answer, never fails it."""
    total = RunCost(
        sessions=0, seconds=ZERO, usd=ZERO, free_usd=ZERO, on_demand_usd=ZERO, split=CostSplit(),
        estimated_seconds=ZERO, unpriced_seconds=ZERO,
    )  # fmt: skip
    spot_steps = _spot_steps(sessions, spot)
    for session in sessions:
        known = on_demand.get(session.instance_type)
        listed = () if known is None else (PriceStep(since=session.started_at, usd_per_hour=known.usd_per_hour),)
        found = spot_steps[_pool(session)] if session.lifecycle == SPOT else listed
        steps = found or listed
        # A zero price only measures the seconds of a session that nothing can price.
        priced = steps or (PriceStep(since=session.started_at, usd_per_hour=ZERO),)
        cost = session_cost(session, steps=priced, on_demand=known)
        total = _added(total, cost, estimated=not found and bool(steps), unpriced=not steps)
    return total


def _pool(session: WorkedSession) -> tuple[str, str]:
    return session.instance_type, session.zone


def _spot_steps(sessions: Sequence[WorkedSession], spot: SpotPrices) -> Mapping[tuple[str, str], tuple[PriceStep, ...]]:
    """Each spot pool's prices over all its sessions, asked for once a pool; empty where they are not to be had."""
    pools: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for session in sessions:
        if session.lifecycle == SPOT:
            since, until = pools.get(_pool(session), (session.started_at, session.ended_at))
            pools[_pool(session)] = (min(since, session.started_at), max(until, session.ended_at, session.started_at))
    found = {}
    for (instance_type, zone), (since, until) in pools.items():
        try:
            found[instance_type, zone] = spot.steps(instance_type=instance_type, zone=zone, since=since, until=until)
        except (AwsError, ClientError):
            found[instance_type, zone] = ()  # not allowed, throttled, unknown type: estimated_seconds will say so
    return found


def _added(total: RunCost, cost: SessionCost, *, estimated: bool, unpriced: bool) -> RunCost:
    return RunCost(
        sessions=total.sessions + 1,
        seconds=total.seconds + cost.seconds,
        usd=total.usd + cost.usd,
        free_usd=total.free_usd + cost.free_usd,
        on_demand_usd=total.on_demand_usd + (cost.usd if cost.on_demand_usd is None else cost.on_demand_usd),
        split=total.split + cost.split,
        estimated_seconds=total.estimated_seconds + (cost.seconds if estimated else ZERO),
        unpriced_seconds=total.unpriced_seconds + (cost.seconds if unpriced else ZERO),
    )


def _usd(amount: Decimal) -> str:
    return _places(amount, "0.000001")


def _places(amount: Decimal, places: str) -> str:
    return str(amount.quantize(Decimal(places)))
