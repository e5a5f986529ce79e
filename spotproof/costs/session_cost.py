"""The cost of one session: its seconds at the pool's price, split by what the worker did with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Final

from spotproof.costs.prices import InstancePrice, PriceStep, integrate_usd

# "Linux, interrupted by Amazon EC2 in the first hour: not charged", EC2 user guide, billing for interrupted instances.
FREE_UNTIL: Final = timedelta(hours=1)
# We see a host from its first worker on; it had been running, and charged, for up to about this long before.
UNSEEN_MAX: Final = timedelta(minutes=5)
SPOT: Final = "spot"
QUANTUM: Final = Decimal("1e-12")
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedSession:
    """One worker process's life as the table recorded it. Moments are aware UTC."""

    session_id: str
    instance_type: str
    zone: str
    lifecycle: str  # spot | on-demand
    vcpus: float  # this worker's share of the host; 0 = unknown, counts as the whole host
    started_at: datetime
    ended_at: datetime
    host_seen_at: datetime  # the first session on the same instance
    reclaimed: bool  # EC2 announced that it takes the host
    work_ms: int = 0
    redone_ms: int = 0
    checkpoint_ms: int = 0
    idle_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSplit:
    """US dollars by what the time went into; the parts add up to the whole, exactly."""

    work: Decimal = ZERO
    redone: Decimal = ZERO  # done before, lost with a host
    checkpoint: Decimal = ZERO
    idle: Decimal = ZERO
    boot: Decimal = ZERO  # what the ledger does not cover: starting, restoring, draining, and lost ledgers

    @property
    def total(self) -> Decimal:
        return self.work + self.redone + self.checkpoint + self.idle + self.boot

    def __add__(self, other: "CostSplit") -> "CostSplit":
        return CostSplit(
            work=self.work + other.work,
            redone=self.redone + other.redone,
            checkpoint=self.checkpoint + other.checkpoint,
            idle=self.idle + other.idle,
            boot=self.boot + other.boot,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCost:
    """What a session cost. `usd` is what is charged; `free_usd` what the first-hour rule spared."""

    session_id: str
    seconds: Decimal
    usd: Decimal
    free_usd: Decimal
    on_demand_usd: Decimal | None  # the same seconds on demand; None if the type is not in the snapshot
    split: CostSplit  # of `usd`


def first_hour_free(session: WorkedSession) -> bool:
    """Whether EC2 charges nothing for the host: reclaimed by EC2 within its first hour.

    The launch is not on record, so a host is taken to be older than its first worker by UNSEEN_MAX: in doubt it is
    charged.
    """
    age = session.ended_at - session.host_seen_at + UNSEEN_MAX
    return session.lifecycle == SPOT and session.reclaimed and age < FREE_UNTIL


def share_of_host(vcpus: float, host_vcpus: int | None) -> Decimal:
    """The part of the host that the worker reserved; the whole host where one of the numbers is unknown."""
    if vcpus <= 0 or not host_vcpus:
        return Decimal(1)
    return min(Decimal(1), Decimal(str(vcpus)) / Decimal(host_vcpus))


def session_cost(session: WorkedSession, *, steps: Sequence[PriceStep], on_demand: InstancePrice | None) -> SessionCost:
    """Cost of one session = its time x the pool's hourly price x its share of the host.

    Args:
        steps: the pool's price over the session, oldest first, at least one.
        on_demand: the type's on-demand price and size, if known.

    Raises:
        ValueError: `steps` is empty or out of order.
    """
    ended_at = max(session.started_at, session.ended_at)
    share = share_of_host(session.vcpus, on_demand.vcpus if on_demand else None)
    price = _rounded(integrate_usd(steps, since=session.started_at, until=ended_at) * share)
    seconds = Decimal((ended_at - session.started_at) // timedelta(microseconds=1)) / 1_000_000
    free = first_hour_free(session)
    usd = ZERO if free else price
    return SessionCost(
        session_id=session.session_id,
        seconds=seconds,
        usd=usd,
        free_usd=price if free else ZERO,
        on_demand_usd=None if on_demand is None else _rounded(on_demand.usd_per_hour * share * seconds / 3600),
        split=split_cost(usd, session=session, seconds=seconds),
    )


def split_cost(usd: Decimal, *, session: WorkedSession, seconds: Decimal) -> CostSplit:
    """Divide `usd` by the ledger; a ledger longer than the session (clock jumps) is scaled down to it."""
    ledger = [session.work_ms, session.redone_ms, session.checkpoint_ms, session.idle_ms]
    whole = max(seconds * 1000, Decimal(sum(ledger)))
    if whole == 0:
        return CostSplit(boot=usd)
    parts = [(usd * Decimal(part) / whole).quantize(QUANTUM, rounding=ROUND_DOWN) for part in ledger]
    work, redone, checkpoint, idle = parts
    rest = usd - sum(parts)  # never negative, because the parts were rounded down
    return CostSplit(work=work, redone=redone, checkpoint=checkpoint, idle=idle, boot=rest)


def _rounded(usd: Decimal) -> Decimal:
    return usd.quantize(QUANTUM, rounding=ROUND_HALF_EVEN)
