"""The cost of a run: the hosts its workers were on, what they did there, and what could not be priced."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

from spotproof.costs.cost_split import ZERO, CostSplit, split_cost
from spotproof.costs.host_bill import HostBill, Unallocated, bill_host
from spotproof.costs.host_life import host_lives
from spotproof.costs.price_book import PoolTime, PriceBook
from spotproof.costs.price_curve import QUANTUM, microseconds
from spotproof.costs.worked_session import SPOT, WorkedSession

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCost:
    """What one worker cost."""

    session: WorkedSession
    seconds: Decimal
    usd: Decimal
    free_usd: Decimal  # what the first-hour rule spared
    on_demand_usd: Decimal  # the same seconds on demand; `usd` where the type is not listed
    split: CostSplit  # of `usd`


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """US dollars of a run. Disks, addresses, requests, and a host's time after its last worker are not in it."""

    sessions: tuple[SessionCost, ...]
    hosts: int
    seconds: Decimal  # of all workers
    usd: Decimal  # of all workers
    free_usd: Decimal  # hosts reclaimed in their first hour
    on_demand_usd: Decimal  # the workers' seconds on demand
    split: CostSplit  # of `usd`
    unallocated: Unallocated  # of the hosts: what no worker of any run used; this run's part of it
    useful_vcpu_s: Decimal  # vCPU-seconds of work that counts
    paid_vcpu_s: Decimal  # vCPU-seconds of the workers' shares and of this run's part of what nobody used
    estimated_seconds: Decimal  # spot seconds priced on demand because the spot price was not to be had
    unpriced_seconds: Decimal  # seconds on types without a known price: in no other number

    @property
    def total_usd(self) -> Decimal:
        """The workers and what their hosts cost besides: the money that the run is to blame for."""
        return self.usd + self.unallocated.total

    @property
    def wasted_usd(self) -> Decimal:
        """Everything but work at Spot's price."""
        return self.split.wasted + self.unallocated.total

    @property
    def saved_usd(self) -> Decimal:
        """Against the same seconds on demand."""
        return self.on_demand_usd - self.usd

    @property
    def savings_percent(self) -> Decimal | None:
        """What Spot saved against on-demand, waste included; None if there is nothing to compare with."""
        if self.on_demand_usd == 0:
            return None
        return (100 * self.saved_usd / self.on_demand_usd).quantize(Decimal("0.1"))

    @property
    def efficiency(self) -> Decimal | None:
        """Useful vCPU-seconds of all that were paid or spared; None before anything ran on a host of known size."""
        if self.paid_vcpu_s == 0:
            return None
        return (self.useful_vcpu_s / self.paid_vcpu_s).quantize(Decimal("0.001"))

    def as_fields(self) -> dict[str, object]:
        """For logs and manifests: amounts as text with six places, so that nothing rounds them again."""
        return {
            "currency": "USD",
            "sessions": len(self.sessions),
            "hosts": self.hosts,
            "session_seconds": _places(self.seconds, "0.001"),
            "total_usd": _usd(self.total_usd),
            "usd": _usd(self.usd),
            "on_demand_usd": _usd(self.on_demand_usd),
            "saved_usd": _usd(self.saved_usd),
            "savings_percent": None if self.savings_percent is None else str(self.savings_percent),
            "first_hour_free_usd": _usd(self.free_usd),
            "work_usd": _usd(self.split.work),
            "redone_usd": _usd(self.split.redone),
            "checkpoint_usd": _usd(self.split.checkpoint),
            "idle_usd": _usd(self.split.idle),
            "boot_usd": _usd(self.split.boot),
            "fallback_premium_usd": _usd(self.split.premium),
            "host_boot_usd": _usd(self.unallocated.boot),
            "host_idle_usd": _usd(self.unallocated.idle),
            "host_spare_usd": _usd(self.unallocated.spare),
            "wasted_usd": _usd(self.wasted_usd),
            "efficiency": None if self.efficiency is None else str(self.efficiency),
            "estimated_seconds": _places(self.estimated_seconds, "0.001"),
            "unpriced_seconds": _places(self.unpriced_seconds, "0.001"),
        }


def bill_hosts(sessions: Iterable[WorkedSession], book: PriceBook, *, compare: bool = True) -> list[HostBill]:
    """Price every host behind the sessions, each pool's prices asked for once; `compare` as of bill_host."""
    lives = host_lives(sessions)
    book.look_up(
        PoolTime(instance_type=life.instance_type, zone=life.zone, since=life.charged_from, until=life.charged_until)
        for life in lives
        if life.instance_type and life.zone
    )
    return [bill_host(life, book, compare=compare) for life in lives]


def run_cost(sessions: Iterable[WorkedSession], *, run_id: str, book: PriceBook) -> RunCost:
    """What the run's sessions cost. A price that can't be had degrades the answer, never fails it.

    Args:
        sessions: of the run, and of other runs on the same hosts as far as they are known: they take their part.
    """
    return cost_of_bills(bill_hosts(sessions, book), run_id=run_id)


def cost_of_bills(bills: Sequence[HostBill], *, run_id: str) -> RunCost:
    """Add up the run's part of every host."""
    costs: list[SessionCost] = []
    unallocated = Unallocated()
    hosts = 0
    useful = paid = estimated = unpriced = ZERO
    for bill in bills:
        mine = [position for position, each in enumerate(bill.life.sessions) if each.run_id == run_id]
        if not mine:
            continue
        hosts += 1
        here = [_session_cost(bill, position) for position in mine]
        part = part_of_host(bill, run_id)
        costs.extend(here)
        unallocated += _part_of(bill.charged.unallocated, part)
        paid += _vcpu_seconds(bill, mine, part)
        useful += sum((_useful_vcpu_s(bill, each) for each in here), ZERO)
        seconds = sum((each.seconds for each in here), ZERO)
        estimated += seconds if bill.estimated else ZERO
        unpriced += seconds if bill.unpriced else ZERO
    return RunCost(
        sessions=tuple(costs),
        hosts=hosts,
        seconds=sum((each.seconds for each in costs), ZERO),
        usd=sum((each.usd for each in costs), ZERO),
        free_usd=sum((each.free_usd for each in costs), ZERO),
        on_demand_usd=sum((each.on_demand_usd for each in costs), ZERO),
        split=sum((each.split for each in costs), CostSplit()),
        unallocated=unallocated,
        useful_vcpu_s=useful,
        paid_vcpu_s=paid,
        estimated_seconds=estimated,
        unpriced_seconds=unpriced,
    )


def part_of_host(bill: HostBill, run_id: str) -> Fraction:
    """The run's part of all that workers used of a host: so much of what nobody used is put down to it."""
    used = sum(bill.used_us, Fraction(0))
    pairs = zip(bill.life.sessions, bill.used_us, strict=True)
    if used == 0:  # all of them lived for no time
        return Fraction(sum(each.run_id == run_id for each in bill.life.sessions), len(bill.life.sessions))
    return sum((share for session, share in pairs if session.run_id == run_id), Fraction(0)) / used


def _session_cost(bill: HostBill, position: int) -> SessionCost:
    session = bill.life.sessions[position]
    usd = bill.charged.sessions[position]
    lived_us = max(0, microseconds(session.ended_at) - microseconds(session.started_at))
    seconds = Decimal(lived_us) / _SECOND_US
    premium = ZERO
    if session.lifecycle != SPOT and bill.spot is not None:
        premium = max(ZERO, usd - bill.spot.sessions[position])
    return SessionCost(
        session=session,
        seconds=seconds,
        usd=usd,
        free_usd=bill.spared.sessions[position],
        on_demand_usd=usd if bill.on_demand is None else bill.on_demand.sessions[position],
        split=split_cost(usd, session=session, seconds=seconds, premium=premium),
    )


def _part_of(whole: Unallocated, part: Fraction) -> Unallocated:
    if part == 1:
        return whole
    return Unallocated(boot=_times(whole.boot, part), idle=_times(whole.idle, part), spare=_times(whole.spare, part))


def _times(usd: Decimal, part: Fraction) -> Decimal:
    return (usd * part.numerator / part.denominator).quantize(QUANTUM, rounding=ROUND_DOWN)


def _vcpu_seconds(bill: HostBill, mine: Sequence[int], part: Fraction) -> Decimal:
    """What the run has to answer for of a host: its workers' shares, and its part of what nobody used."""
    life = bill.life
    whole = microseconds(life.charged_until) - microseconds(life.charged_from)
    used = sum(bill.used_us, Fraction(0))
    own = sum((bill.used_us[position] for position in mine), Fraction(0)) + (whole - used) * part
    return Decimal(round(own * bill.vcpus)) / _SECOND_US


def _useful_vcpu_s(bill: HostBill, cost: SessionCost) -> Decimal:
    """Time in the job's function that counted, on the vCPUs that the worker had; 0 where the host's size is unknown."""
    if not bill.vcpus:
        return ZERO
    vcpus = Decimal(str(cost.session.vcpus)) if cost.session.vcpus > 0 else Decimal(bill.vcpus)
    return min(vcpus, Decimal(bill.vcpus)) * min(cost.seconds, Decimal(cost.session.work_ms) / 1000)


def _usd(amount: Decimal) -> str:
    return _places(amount, "0.000001")


def _places(amount: Decimal, places: str) -> str:
    return str(amount.quantize(Decimal(places)))
