"""Ledger and cost: every second is booked once, lost work is moved and never invented, and every cent is conserved.

Times are whole eighths of a second and prices whole cents, so that all sums are exact.
"""

import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from spotproof.clock import from_epoch_ms, to_epoch_ms
from spotproof.commits.worked_sessions import worked_sessions
from spotproof.costs.host_bill import HostBill
from spotproof.costs.price_book import PriceBook
from spotproof.costs.price_curve import QUANTUM
from spotproof.costs.prices import InstancePrice, PriceStep
from spotproof.costs.run_cost import RunCost, SessionCost, bill_hosts, cost_of_bills
from spotproof.costs.worked_session import WorkedSession
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Host, RunOptions, Session, SessionState, Stop, StopKind
from spotproof.leases.requeue import Requeuer, key_of
from spotproof.retries import Retrier
from spotproof.worker.ledger import Spent
from spotproof.worker.outcome import ShardOutcome
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run, a_session
from tests.stateful.campaign import CountedMachine
from tests.stateful.worker_life import BrittleStore, Script, WorkerLife, a_life, scripts

RUN: Final = a_run(
    shards=1000,
    stripes=1,
    session_buckets=2,
    options=RunOptions(checkpoint_interval_s=2, failures_max=9, losses_max=9, ttl_s=90),
)
ON_DEMAND: Final = {
    "m5.large": InstancePrice(vcpus=2, usd_per_hour=Decimal("0.10")),
    "c5.large": InstancePrice(vcpus=2, usd_per_hour=Decimal("0.08")),
}
TYPES: Final = ("m5.large", "c5.large", "x9.unlisted")
PERIOD_S: Final = 600  # spot prices change this often
LIVES_MAX: Final = 5
DOING: Final = (Spent.WORK, Spent.CHECKPOINT, Spent.IDLE)
TERM: Final = timedelta(seconds=90)

picks = st.integers(0, 9)
eighths_of_s = st.sampled_from((0, 1, 3, 8, 80, 800, 8 * 3600))


@dataclass
class Spending:
    """One worker, and what its ledger must say in eighths of a second."""

    life: WorkerLife
    started: datetime
    spans: ExitStack = field(default_factory=ExitStack)
    open: list[tuple[Spent, int]] = field(default_factory=list)  # spans from the outside in, each with its own time
    totals: dict[Spent, int] = field(default_factory=lambda: dict.fromkeys(Spent, 0))
    over: bool = False  # it takes no new lease
    closed: bool = False
    gone_at: datetime | None = None  # when it ended, or was fenced

    @property
    def session(self) -> Session:
        return self.life.session.session

    def pass_time(self, eighths: int) -> None:
        if self.open:
            kind, own = self.open[-1]
            self.open[-1] = (kind, own + eighths)


class CentPrices:
    """A market in which every pool's price changes every ten minutes, as a function of the time."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def cents(self, instance_type: str, zone: str, period: int) -> int:
        return 1 + (period * 7 + len(instance_type) + ord(zone[-1])) % 9

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        if instance_type == "x9.unlisted":
            return ()
        first = (since - self.start) // timedelta(seconds=PERIOD_S)
        last = (until - self.start) // timedelta(seconds=PERIOD_S)
        return tuple(
            PriceStep(
                since=self.start + timedelta(seconds=period * PERIOD_S),
                usd_per_hour=Decimal(self.cents(instance_type, zone, period)) / 100,
            )
            for period in range(first, last + 1)
        )


class Ledgers(CountedMachine):
    reached = (
        "a span inside another",
        "lost work is moved",
        "a lease is committed",
        "a lease is released",
        "a lease is lost",
        "a worker vanishes",
        "a session that nobody can price",
        "a first hour for free",
    )
    reached_in_the_long_run = (
        "a session that nobody could hand its shard back for",
        "a restore fails after useful work",
        "a worker ends in good order",
        "a worker is found dead later",
    )

    @initialize()
    def submit(self) -> None:
        self.clock = FakeClock()
        self.start = self.clock.now()
        self.market = CentPrices(self.start)
        retrier = Retrier(clock=self.clock, rng=random.Random(0))
        self.store = BrittleStore(InMemoryTable("t"), "t", self.clock, retrier)
        self.store.create_run(RUN)
        self.workers: list[Spending] = []

    # --- lives -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < LIVES_MAX)
    @rule(
        kind=st.sampled_from(TYPES),
        zone=st.sampled_from(("us-east-1a", "us-east-1b")),
        lifecycle=st.sampled_from(("spot", "spot", "on-demand")),
        vcpus=st.sampled_from((0.0, 0.5, 1.0, 2.0)),
    )
    def begin(self, kind: str, zone: str, lifecycle: str, vcpus: float) -> None:
        number = len(self.workers)
        host = Host(
            instance_id=f"i-{number // 2}-{kind}-{zone}-{lifecycle}",
            instance_type=kind,
            zone=zone,
            lifecycle=lifecycle,
            vcpus=vcpus,
            launched_at=to_epoch_ms(self.start) if number % 4 < 2 else None,
        )
        session = a_session(
            f"w{number}",
            run=RUN,
            host=host,
            bucket=number % 2,
            until=to_epoch_ms(self.clock.now() + TERM),
            started_at=to_epoch_ms(self.clock.now()),
        )
        life = a_life(session=session, run=RUN, store=self.store, clock=self.clock)
        self.workers.append(Spending(life=life, started=self.clock.now()))

    def some(self, pick: int) -> Spending:
        alive = [worker for worker in self.workers if not worker.closed]
        return alive[pick % len(alive)]

    @precondition(lambda self: any(not worker.closed for worker in self.workers))
    @rule(pick=picks, kind=st.sampled_from(DOING))
    def enter(self, pick: int, kind: Spent) -> None:
        worker = self.some(pick)
        worker.spans.enter_context(worker.life.ledger.span(kind))
        worker.open.append((kind, 0))
        if len(worker.open) > 1:
            self.note("a span inside another")

    @precondition(lambda self: any(worker.open for worker in self.workers if not worker.closed))
    @rule(pick=picks)
    def leave_all(self, pick: int) -> None:
        self.unwind(self.some(pick))

    def unwind(self, worker: Spending) -> None:
        worker.spans.close()
        for kind, own in worker.open:
            worker.totals[kind] += own
        worker.open.clear()

    @rule(eighths=eighths_of_s, rescued=st.sampled_from((False, False, False, True)))
    def time_passes(self, eighths: int, rescued: bool) -> None:
        self.clock.advance(eighths / 8)
        for worker in self.workers:
            worker.pass_time(eighths)
        if rescued:
            self.rescue()

    @precondition(lambda self: any(not worker.closed for worker in self.workers))
    @rule(pick=picks, eighths=st.integers(0, 900), source=st.sampled_from(DOING))
    def work_was_lost(self, pick: int, eighths: int, source: Spent) -> None:
        worker = self.some(pick)
        worker.life.ledger.move(eighths / 8, source=source, target=Spent.REDONE)
        moved = min(eighths, worker.totals[source])
        worker.totals[source] -= moved
        worker.totals[Spent.REDONE] += moved
        if moved:
            self.note("lost work is moved")

    @precondition(lambda self: any(can_lease(worker) for worker in self.workers))
    @rule(pick=picks, script=scripts)
    def lease(self, pick: int, script: Script) -> None:
        """A whole lease of one worker; nobody else does anything meanwhile."""
        ready = [worker for worker in self.workers if can_lease(worker)]
        worker = ready[pick % len(ready)]
        before, started = dict(worker.totals), self.eighths_now()
        outcome = worker.life.perform(script)
        spent = self.eighths_now() - started
        for other in self.workers:
            if other is not worker:
                other.pass_time(spent)
        self.book_lease(worker, before, outcome, script)

    def book_lease(self, worker: Spending, before: dict[Spent, int], outcome: ShardOutcome, script: Script) -> None:
        after = {kind: eighths(worker.life.ledger.seconds(kind)) for kind in Spent}
        at_risk = 0 if outcome is ShardOutcome.COMMITTED else worker.life.at_risk_eighths
        worked = sum(script.eighths) if outcome is ShardOutcome.COMMITTED else None
        assert after[Spent.REDONE] - before[Spent.REDONE] == at_risk, "I9: not the work since the last save"
        assert sum(after.values()) - sum(before.values()) == worker.life.spent_eighths, "a second is not booked"
        assert after[Spent.WORK] >= before[Spent.WORK], "an earlier lease's work is taken for lost"
        assert worked is None or after[Spent.WORK] - before[Spent.WORK] == worked, "committed work is not all booked"
        worker.totals = after
        worker.over = worker.over or worker.life.session.lost or (script.trouble or "").startswith("a stop")
        self.note_outcome(outcome, before, worker, script)

    def note_outcome(self, outcome: ShardOutcome, before: dict[Spent, int], worker: Spending, script: Script) -> None:
        names = {ShardOutcome.COMMITTED: "committed", ShardOutcome.RELEASED: "released", ShardOutcome.LOST: "lost"}
        if outcome in names:
            self.note(f"a lease is {names[outcome]}")
        if worker.life.session.lost:
            self.note("a session that nobody could hand its shard back for")
        if script.trouble == "restore is down" and before[Spent.WORK]:
            self.note("a restore fails after useful work")

    @precondition(lambda self: any(not worker.closed for worker in self.workers))
    @rule(pick=picks)
    def beat(self, pick: int) -> None:
        worker = self.some(pick)
        if not worker.life.session.lost:
            worker.life.session.beat()

    @precondition(lambda self: any(not worker.closed for worker in self.workers))
    @rule(pick=picks, orderly=st.booleans(), noticed=st.booleans())
    def end(self, pick: int, orderly: bool, noticed: bool) -> None:
        worker = self.some(pick)
        if noticed:
            deadline = to_epoch_ms(self.clock.now())
            self.store.mark_stop(key_of(worker.session), Stop(kind=StopKind.NOTICE, deadline=deadline))
        if orderly:
            self.unwind(worker)
            worker.life.session.close()
            worker.gone_at = None if worker.life.session.lost else self.clock.now()
            self.note("a worker ends in good order")
        else:
            self.note("a worker vanishes")
            if noticed:
                self.store.fence_session(key_of(worker.session), expired_at=None)
                worker.gone_at = self.clock.now()
        worker.closed = True

    def rescue(self) -> None:
        Requeuer(self.store).rescue_expired(RUN, to_epoch_ms(self.clock.now()))
        for worker in self.workers:
            stored = self.store.get_session(key_of(worker.session))
            if stored is None or stored.state is not SessionState.ALIVE:
                worker.closed, worker.gone_at = True, worker.gone_at or self.clock.now()

    # --- what must hold --------------------------------------------------------------------------------------------

    def eighths_now(self) -> int:
        return eighths((self.clock.now() - self.start).total_seconds())

    @invariant()
    def every_second_is_booked_once(self) -> None:
        for worker in self.workers if hasattr(self, "workers") else ():
            for kind in Spent:
                expected = worker.totals[kind] + sum(own for each, own in worker.open if each is kind)
                assert worker.life.ledger.seconds(kind) == expected / 8, f"{kind} of {worker.totals}, {worker.open}"
            ledger = worker.life.ledger.snapshot()
            booked_ms = ledger.work_ms + ledger.checkpoint_ms + ledger.idle_ms + ledger.redone_ms
            assert booked_ms == 125 * sum(worker.totals.values())
            assert booked_ms <= to_epoch_ms(self.clock.now()) - to_epoch_ms(worker.started), "more than it lived"

    def teardown(self) -> None:
        if not self.failing() and hasattr(self, "workers"):
            sessions = worked_sessions(self.store.sessions(RUN), now_ms=to_epoch_ms(self.clock.now()))
            self.check_ends(sessions)
            self.check_cost(sessions)

    def check_ends(self, sessions: list[WorkedSession]) -> None:
        """A worker that vanished is paid until its lease ran out, not until somebody noticed."""
        ends = {session.session_id: session.ended_at for session in sessions}
        for worker in self.workers:
            stored = self.store.get_session(key_of(worker.session))
            assert stored is not None
            gone_at = worker.gone_at or self.clock.now()
            until = from_epoch_ms(stored.until)
            expected = min(gone_at, until) if stored.state is SessionState.DEAD else gone_at
            assert ends.pop(stored.session_id) == expected, f"the end of {stored}"
            if expected < gone_at:
                self.note("a worker is found dead later")
        assert not ends

    def check_cost(self, sessions: list[WorkedSession]) -> None:
        bills = bill_hosts(sessions, self.book())
        whole = cost_of_bills(bills, run_id=RUN.run_id)
        assert whole.split.total == whole.usd, "the split adds up, to the last place"
        parts = (whole.split.work, whole.split.redone, whole.split.checkpoint, whole.split.idle, whole.split.boot)
        assert min(*parts, whole.split.premium) >= 0
        assert whole.seconds == sum(
            (Decimal(str((s.ended_at - s.started_at).total_seconds())) for s in sessions), Decimal(0)
        )
        unallocated = sum((bill.charged.unallocated.total for bill in bills), Decimal(0))
        assert whole.usd + unallocated == sum((bill.usd for bill in bills), Decimal(0)), "hosts cost what they cost"
        again = cost_of_bills(bill_hosts(sessions[::-1], self.book()), run_id=RUN.run_id)
        assert whole == again, "the order of sessions does not matter"
        assert len(whole.sessions) == len(sessions)
        for bill in bills:
            self.check_host(bill, cost_of_bills([bill], run_id=RUN.run_id))

    def book(self) -> PriceBook:
        return PriceBook(on_demand=ON_DEMAND, spot=self.market)

    def check_host(self, bill: HostBill, cost: RunCost) -> None:
        """The host's bill is its pool's price over its life; every session's part of it fits the session."""
        if bill.life.instance_type not in ON_DEMAND:
            assert bill.usd == cost.on_demand_usd == 0
            assert cost.unpriced_seconds == cost.seconds
            self.note("a session that nobody can price")
            return
        charged = Fraction(bill.usd + bill.spared.total)
        assert abs(charged - self.price_of(bill)) <= Fraction(QUANTUM), "not the pool's price over the time"
        if bill.spared.total:
            assert any(session.reclaimed_at for session in bill.life.sessions)
            assert bill.usd == 0
            self.note("a first hour for free")
        for each in cost.sessions:
            self.check_session(each)

    def check_session(self, cost: SessionCost) -> None:
        session, usd = cost.session, Fraction(cost.usd - cost.split.premium)
        if not cost.seconds:
            assert cost.usd == 0
            return
        ledger_ms = session.work_ms + session.redone_ms + session.checkpoint_ms + session.idle_ms
        whole_ms = max(ledger_ms, int(cost.seconds * 1000))
        share = usd * session.work_ms / whole_ms
        assert 0 <= share - Fraction(cost.split.work) < Fraction(QUANTUM), "work's share of the cost"

    def price_of(self, bill: HostBill) -> Fraction:
        """US dollars for the whole host, second by second of every price period."""
        life = bill.life
        known = ON_DEMAND[life.instance_type]
        since, until = self.since_start(life.charged_from), self.since_start(life.ended_at)
        until = max(until, since + 60)
        if life.lifecycle != "spot":
            return (until - since) * Fraction(known.usd_per_hour) / 3600
        total = Fraction(0)
        for period in range(int(since // PERIOD_S), int(until // PERIOD_S) + 1):
            overlap = min(until, Fraction((period + 1) * PERIOD_S)) - max(since, Fraction(period * PERIOD_S))
            cents = self.market.cents(life.instance_type, life.zone, period)
            total += max(Fraction(0), overlap) * Fraction(cents, 100) / 3600
        return total

    def since_start(self, moment: datetime) -> Fraction:
        return Fraction((moment - self.start) // timedelta(milliseconds=1), 1000)


def can_lease(worker: Spending) -> bool:
    return not (worker.closed or worker.over or worker.open or worker.life.session.lost)


def eighths(seconds: float) -> int:
    assert (seconds * 8).is_integer(), f"{seconds} s is no whole number of eighths"
    return int(seconds * 8)
