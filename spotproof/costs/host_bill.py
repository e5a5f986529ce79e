"""What an instance cost, divided among the workers it had and what nobody used; the parts add up exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import lcm

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
    on_demand: Division | None  # the same time on demand; None if not compared, or the type is not listed
    spot: Division | None  # the same time on Spot; None if not compared, or the pool's price is not known
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
    parts: tuple[tuple[int, int], ...]  # position of a session, and how much of the host it has ...
    of: int  # ... of this many
    left: int  # what workers leave, of as many


class _Sum:
    """Amounts with a few denominators, added up without rounding and without a fraction for each."""

    def __init__(self) -> None:
        self._over: dict[int, int] = {}

    def add(self, numerator: int, denominator: int) -> None:
        self._over[denominator] = self._over.get(denominator, 0) + numerator

    @property
    def total(self) -> Fraction:
        first, *rest = [Fraction(numerator, over) for over, numerator in self._over.items()] or [Fraction(0)]
        return sum(rest, first)


def bill_host(life: HostLife, book: PriceBook, *, compare: bool = True) -> HostBill:
    """Price an instance's whole life and divide it.

    Each moment's price goes to the workers there by their shares. What they leave is unallocated; if shares add up to
    more than the host (one worker needs its memory, another its vCPUs), each gets its part of the whole.

    Args:
        compare: also with what the same time costs on demand and on Spot.
    """
    size = book.size_of(life.instance_type)
    slices = _slices(life, [share_of_host(session, size) for session in life.sessions])
    listed, spot = book.on_demand(life.instance_type), book.spot(life.instance_type, life.zone)
    curve = (spot or listed) if life.lifecycle == SPOT else listed
    nothing = Division(sessions=(ZERO,) * len(life.sessions), unallocated=Unallocated())
    priced = nothing if curve is None else _divide(slices, len(life.sessions), curve)
    on_demand, on_spot = (
        _divide(slices, len(life.sessions), other) if compare and other is not None else None
        for other in (listed, spot)
    )
    return HostBill(
        life=life,
        charged=nothing if life.is_free else priced,
        spared=priced if life.is_free else nothing,
        on_demand=on_demand,
        spot=on_spot,
        used_us=_used(slices, len(life.sessions)),
        vcpus=0 if size is None else size.vcpus,
        estimated=life.lifecycle == SPOT and spot is None and listed is not None,
        unpriced=curve is None,
    )


def _divide(slices: Sequence[_Slice], count: int, curve: PriceCurve) -> Division:
    """Each part is rounded down to a trillionth of a dollar; what that leaves of the whole goes to the largest part."""
    sessions = [_Sum() for _ in range(count)]
    boot, idle, spare = _Sum(), _Sum(), _Sum()
    whole, began = 0, False
    for each in slices:
        area = curve.area(each.since, each.until)
        whole += area
        began = began or bool(each.parts)
        for position, numerator in each.parts:
            sessions[position].add(area * numerator, each.of)
        rest = spare if each.parts else idle if began else boot
        rest.add(area * each.left, each.of)
    pico = [whole_pico(each.total) for each in (*sessions, boot, idle, spare)]
    pico[pico.index(max(pico))] += whole_pico(Fraction(whole)) - sum(pico)
    *amounts, boot_usd, idle_usd, spare_usd = map(as_usd, pico)
    return Division(sessions=tuple(amounts), unallocated=Unallocated(boot=boot_usd, idle=idle_usd, spare=spare_usd))


def _used(slices: Sequence[_Slice], count: int) -> tuple[Fraction, ...]:
    used = [_Sum() for _ in range(count)]
    for each in slices:
        for position, numerator in each.parts:
            used[position].add((each.until - each.since) * numerator, each.of)
    return tuple(each.total for each in used)


def _slices(life: HostLife, shares: Sequence[Fraction]) -> list[_Slice]:
    whole = lcm(*(share.denominator for share in shares))
    weights = [share.numerator * (whole // share.denominator) for share in shares]
    spans = [_span(session) for session in life.sessions]
    ends = (microseconds(life.charged_from), microseconds(life.charged_until))
    edges = sorted({*ends, *(edge for span in spans for edge in span)})
    slices = []
    for since, until in pairwise(edges):
        parts = tuple(
            (position, weights[position])
            for position, (start, end) in enumerate(spans)
            if start <= since and until <= end
        )
        taken = sum(weight for _, weight in parts)
        of = max(whole, taken)
        slices.append(_Slice(since=since, until=until, parts=parts, of=of, left=of - taken))
    return slices


def _span(session: WorkedSession) -> tuple[int, int]:
    start = microseconds(session.started_at)
    return start, max(start, microseconds(session.ended_at))
