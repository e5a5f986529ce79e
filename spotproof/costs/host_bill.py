"""What an instance cost, divided among the workers it had and what nobody used; the parts add up exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from spotproof.costs.host_life import HostLife, share_of_host
from spotproof.costs.price_book import PriceBook
from spotproof.costs.price_curve import PriceCurve, as_usd, microseconds, whole_pico
from spotproof.costs.worked_session import SPOT, WorkedSession

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unallocated:
    """US dollars of an instance that no worker's share covers."""

    boot: Decimal = ZERO  # before its first worker
    idle: Decimal = ZERO  # without a worker, later
    spare: Decimal = ZERO  # the part that workers left over while they were there

    @property
    def total(self) -> Decimal:
        return self.boot + self.idle + self.spare

    def __add__(self, other: "Unallocated") -> "Unallocated":
        return Unallocated(boot=self.boot + other.boot, idle=self.idle + other.idle, spare=self.spare + other.spare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """An amount that a host costs, divided: one part per session in their order, and the rest."""

    sessions: tuple[Decimal, ...]
    unallocated: Unallocated

    @property
    def total(self) -> Decimal:
        return sum(self.sessions, ZERO) + self.unallocated.total


@dataclass(frozen=True, slots=True, kw_only=True)
class HostBill:
    """What one instance cost. Of a host that nothing can price every amount is zero."""

    life: HostLife
    charged: Division
    spared: Division  # what the first-hour rule saved; one of the two is zero
    on_demand: Division | None  # the same time on demand; None if the type is not listed
    spot: Division | None  # the same time on Spot; None if the pool's price is not known
    used_us: tuple[Fraction, ...]  # per session: its share x its time in microseconds
    vcpus: int  # 0 = unknown
    estimated: bool  # a spot host priced on demand, because the spot price was not to be had
    unpriced: bool

    @property
    def usd(self) -> Decimal:
        return self.charged.total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """A span of a host's life in which its workers did not change."""

    since: int  # microseconds
    until: int
    present: tuple[int, ...]  # positions of sessions


def bill_host(life: HostLife, book: PriceBook) -> HostBill:
    """Price an instance's whole life and divide it.

    Each moment's price goes to the workers there by their shares. What they leave is unallocated; if shares add up to
    more than the host (one worker needs its memory, another its vCPUs), each gets its part of the whole.
    """
    size = book.size_of(life.instance_type)
    shares = [share_of_host(session, size) for session in life.sessions]
    slices = _slices(life)
    listed, spot = book.on_demand(life.instance_type), book.spot(life.instance_type, life.zone)
    curve = (spot or listed) if life.lifecycle == SPOT else listed
    nothing = Division(sessions=(ZERO,) * len(shares), unallocated=Unallocated())
    priced = nothing if curve is None else divide(slices, shares, curve)
    return HostBill(
        life=life,
        charged=nothing if life.is_free else priced,
        spared=priced if life.is_free else nothing,
        on_demand=None if listed is None else divide(slices, shares, listed),
        spot=None if spot is None else divide(slices, shares, spot),
        used_us=_used(slices, shares),
        vcpus=0 if size is None else size.vcpus,
        estimated=life.lifecycle == SPOT and spot is None and listed is not None,
        unpriced=curve is None,
    )


def divide(slices: Sequence[_Slice], shares: Sequence[Fraction], curve: PriceCurve) -> Division:
    """Each part is rounded down to a trillionth of a dollar; what that leaves of the whole goes to the largest part."""
    areas = [Fraction(0)] * len(shares)
    boot = idle = spare = Fraction(0)
    whole, began = 0, False
    for each in slices:
        area = curve.area(each.since, each.until)
        whole += area
        began = began or bool(each.present)
        taken = Fraction(0)
        for position, part in _parts(each, shares):
            areas[position] += area * part
            taken += part
        left = area * (1 - taken)
        if each.present:
            spare += left
        elif began:
            idle += left
        else:
            boot += left
    pico = [whole_pico(area) for area in (*areas, boot, idle, spare)]
    pico[pico.index(max(pico))] += whole_pico(Fraction(whole)) - sum(pico)
    *sessions, boot_usd, idle_usd, spare_usd = map(as_usd, pico)
    return Division(sessions=tuple(sessions), unallocated=Unallocated(boot=boot_usd, idle=idle_usd, spare=spare_usd))


def _parts(each: _Slice, shares: Sequence[Fraction]) -> list[tuple[int, Fraction]]:
    """What part of the host each worker has in a slice; together at most the whole."""
    together = max(Fraction(1), sum((shares[position] for position in each.present), Fraction(0)))
    return [(position, shares[position] / together) for position in each.present]


def _used(slices: Sequence[_Slice], shares: Sequence[Fraction]) -> tuple[Fraction, ...]:
    used = [Fraction(0)] * len(shares)
    for each in slices:
        for position, part in _parts(each, shares):
            used[position] += part * (each.until - each.since)
    return tuple(used)


def _slices(life: HostLife) -> list[_Slice]:
    spans = [_span(session) for session in life.sessions]
    ends = (microseconds(life.launched_at), microseconds(life.charged_until))
    edges = sorted({*ends, *(edge for span in spans for edge in span)})
    return [
        _Slice(
            since=since,
            until=until,
            present=tuple(position for position, (start, end) in enumerate(spans) if start <= since and until <= end),
        )
        for since, until in pairwise(edges)
    ]


def _span(session: WorkedSession) -> tuple[int, int]:
    start = microseconds(session.started_at)
    return start, max(start, microseconds(session.ended_at))
