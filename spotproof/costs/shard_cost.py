"""What each shard cost; shards and overhead add up to the run's workers exactly."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from spotproof.costs.cost_split import ZERO
from spotproof.costs.price_curve import PICO_PLACES, as_usd
from spotproof.costs.run_cost import RunCost, SessionCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWork:
    """A finished shard's work as its row tells it."""

    index: int
    session_id: str  # that committed it
    worked_ms: int  # under the lease that committed it
    earlier_ms: int = 0  # worked, and saved, under leases that were handed back


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCost:
    """US dollars of one finished shard's work."""

    work: ShardWork
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCosts:
    """All finished shards of a run by index, and what else its workers cost."""

    shards: tuple[ShardCost, ...]
    overhead_usd: Decimal  # saving, restoring, idle, boot, work done again, and shards that are not finished
    usd: Decimal  # of all the run's workers

    @property
    def shards_usd(self) -> Decimal:
        return self.usd - self.overhead_usd


def shard_costs(works: Iterable[ShardWork], cost: RunCost) -> ShardCosts:
    """Price each shard's work at the rate of the session that did it.

    Who worked on a shard earlier is not on record: that work has the run's mean rate, and at most what the sessions
    have left over. So overhead is never negative.
    """
    listed = sorted(works, key=lambda each: each.index)
    sessions = {each.session.session_id: each for each in cost.sessions}
    committed: Counter[str] = Counter()
    for work in listed:
        committed[work.session_id] += work.worked_ms
    rates = {name: _rate(sessions[name], committed[name]) for name in committed if name in sessions}
    own = [int(work.worked_ms * rates.get(work.session_id, Fraction(0))) for work in listed]
    usd = _pico(cost.usd)
    # Work of a session that the table has lost is priced like earlier work.
    earlier_ms = [work.earlier_ms + (0 if work.session_id in rates else work.worked_ms) for work in listed]
    earlier_rate = _earlier_rate(cost, usd - sum(own), sum(earlier_ms))
    amounts = [at_own + int(ms * earlier_rate) for at_own, ms in zip(own, earlier_ms, strict=True)]
    return ShardCosts(
        shards=tuple(ShardCost(work=work, usd=as_usd(pico)) for work, pico in zip(listed, amounts, strict=True)),
        overhead_usd=as_usd(usd - sum(amounts)),
        usd=cost.usd,
    )


def work_usd(cost: RunCost) -> Decimal:
    """What the run's useful work cost so far, at each session's rate: finished shards' and that under way."""
    return sum((as_usd(int(each.session.work_ms * _rate(each, each.session.work_ms))) for each in cost.sessions), ZERO)


def _rate(cost: SessionCost, worked_ms: int) -> Fraction:
    """Trillionths of a dollar a millisecond; work beyond the session's time (clock jumps) makes it no dearer."""
    whole_ms = max(Fraction(cost.seconds) * 1000, Fraction(worked_ms))
    return Fraction(_pico(cost.usd)) / whole_ms if whole_ms else Fraction(0)


def _earlier_rate(cost: RunCost, left: int, earlier_ms: int) -> Fraction:
    if not earlier_ms or not cost.seconds:
        return Fraction(0)
    mean = Fraction(_pico(cost.usd)) / (Fraction(cost.seconds) * 1000)
    return min(mean, Fraction(left, earlier_ms))


def _pico(usd: Decimal) -> int:
    return int(usd.scaleb(PICO_PLACES))
