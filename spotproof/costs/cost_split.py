"""What a session's dollars went into."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from spotproof.costs.price_curve import QUANTUM
from spotproof.costs.worked_session import WorkedSession

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSplit:
    """US dollars by what the time went into; the parts add up to the whole, exactly."""

    work: Decimal = ZERO
    redone: Decimal = ZERO  # done before, lost with a host
    checkpoint: Decimal = ZERO
    idle: Decimal = ZERO
    boot: Decimal = ZERO  # what the ledger does not cover: starting, restoring, draining, and lost ledgers
    premium: Decimal = ZERO  # of on-demand workers: what they cost more than Spot would have

    @property
    def total(self) -> Decimal:
        return self.work + self.wasted

    @property
    def wasted(self) -> Decimal:
        """Everything but work at Spot's price."""
        return self.redone + self.checkpoint + self.idle + self.boot + self.premium

    def __add__(self, other: "CostSplit") -> "CostSplit":
        return CostSplit(
            work=self.work + other.work,
            redone=self.redone + other.redone,
            checkpoint=self.checkpoint + other.checkpoint,
            idle=self.idle + other.idle,
            boot=self.boot + other.boot,
            premium=self.premium + other.premium,
        )


def split_cost(usd: Decimal, *, session: WorkedSession, seconds: Decimal, premium: Decimal = ZERO) -> CostSplit:
    """Divide `usd` by the ledger; a ledger longer than the session (clock jumps) is scaled down to it.

    Args:
        usd: what the session cost, at least `premium`.
        seconds: how long it lived.
        premium: the part of `usd` that is the premium of on-demand over Spot.
    """
    at_spot = usd - premium
    ledger = [session.work_ms, session.redone_ms, session.checkpoint_ms, session.idle_ms]
    whole = max(seconds * 1000, Decimal(sum(ledger)))
    if whole == 0:
        return CostSplit(boot=at_spot, premium=premium)
    parts = [(at_spot * Decimal(part) / whole).quantize(QUANTUM, rounding=ROUND_DOWN) for part in ledger]
    work, redone, checkpoint, idle = parts
    rest = at_spot - sum(parts)  # never negative, because the parts were rounded down
    return CostSplit(work=work, redone=redone, checkpoint=checkpoint, idle=idle, boot=rest, premium=premium)
