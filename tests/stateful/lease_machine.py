"""Leases: sessions on failing hosts, control flows that die midway, and requests that arrive twice, late or never.

The oracle judges every write. After every rule each lease is covered by its session (I11); at the end one fresh and
honest worker must bring the run to its end, whatever happened before (I6, I7, I10).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsError, LeaseLostError, SessionLostError
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import (
    Candidate,
    CapacityClass,
    Host,
    Lease,
    Ledger,
    Run,
    RunOptions,
    RunState,
    Session,
    SessionId,
    SessionState,
    Shard,
    ShardState,
    Stop,
    StopKind,
)
from spotproof.leases.requeue import Requeuer, Taken, reclaim_time
from spotproof.leases.sizing import session_bucket
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash
from tests.fakes.leases import a_checkpoint, a_run, a_session, an_output
from tests.stateful.campaign import CountedMachine
from tests.stateful.lease_truth import LeaseTruth
from tests.stateful.table_faults import Fault, FaultyClient, Kind, faults

T = TypeVar("T")
TABLE: Final = "leases"
TTL_MS: Final = 90_000
WORKERS_MAX: Final = 4
TERM_S: Final = 60.0
BUSY_WRITES: Final = 60
INSTANCES: Final = ("i-0", "i-1", "i-2")
WORK: Final = ("save", "save", "commit", "fail", "release", "release at a stop")

picks = st.integers(0, 11)
instances = st.sampled_from(INSTANCES)
skews_s = st.sampled_from((0.0, 0.0, 0.0, -600.0, 600.0))


class SkewedClock(FakeClock):
    """Somebody's idea of another clock's time; waiting costs nobody else anything."""

    def __init__(self, true: FakeClock, skew_s: float) -> None:
        super().__init__()
        self._true = true
        self._skew = timedelta(seconds=skew_s)

    def now(self) -> datetime:
        return self._true.wall + self._skew


@dataclass
class Worker:
    """One worker process, as far as leases go: at most one target or lease at a time."""

    session: Session
    client: FaultyClient
    store: LeaseStore
    clock: SkewedClock
    target: Candidate | int | None = None
    covered: bool = False  # the target has been written ahead
    lease: Lease | None = None
    checkpoints: int = 0
    fenced: bool = False  # a heartbeat has told it

    @property
    def until(self) -> int:
        return to_epoch_ms(self.clock.now()) + TTL_MS

    @property
    def target_index(self) -> int:
        assert self.target is not None
        return self.target if isinstance(self.target, int) else self.target.index


class Leases(CountedMachine):
    reached = (
        "a fenced worker is refused",
        "a late request takes effect",
        "a live session is rescued",
        "a hole is repaired",
        "a stop refuses a hold",
        "a cancelled run",
        "a paused run goes on",
        "the run ends without help",
        "a zombie's shard has an heir",
    )
    reached_in_the_long_run = (
        "a lost reply of a claim is recognised",
        "a lost reply of a commit is recognised",
        "a lost reply of a release is recognised",
        "a lost reply of a failure is recognised",
        "a lost reply of a checkpoint is recognised",
        "a lost reply of a hold is recognised",
        "a drained shard is claimed from its owner",
        "a shard is left to on-demand workers",
        "a half-done rescue is finished",
        "an orphan is requeued by the walk",
        "a shard is quarantined by failures",
        "a shard is quarantined by losses",
        "an old finalizer is refused",
    )

    @initialize(
        shards=st.sampled_from((2, 12, 8, 1, 16)),
        stripes=st.integers(1, 2),
        poison=st.booleans(),
        cancellable=st.booleans(),
    )
    def submit(self, shards: int, stripes: int, poison: bool, cancellable: bool) -> None:
        self.clock = FakeClock()
        options = RunOptions(failures_max=2, losses_max=2, on_demand_after=2)
        self.run = a_run(shards=shards, stripes=min(stripes, shards), options=options)
        self.truth = LeaseTruth(InMemoryTable(TABLE), self.run)
        self.control = FaultyClient(self.truth)
        self.workers: list[Worker] = []
        self.terms: list[Run] = []
        self.closing: Closing | None = None
        self.born = 0
        self.poison = poison
        self.cancellable = cancellable
        self.store(self.control).create_run(self.run)
        self.workers.extend(self.a_worker(instance) for instance in INSTANCES[:2])

    def store(self, client: FaultyClient, clock: FakeClock | None = None) -> LeaseStore:
        clock = clock or SkewedClock(self.clock, 0.0)
        return DynamoDBLeaseStore(client, TABLE, clock, Retrier(clock=clock, rng=random.Random(0)))

    # --- workers ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < WORKERS_MAX)
    @rule(instance=instances, skew_s=skews_s)
    def start(self, instance: str, skew_s: float) -> None:
        self.workers.append(self.a_worker(instance, skew_s))

    def a_worker(self, instance: str, skew_s: float = 0.0) -> Worker:
        self.born += 1
        clock, client = SkewedClock(self.clock, skew_s), FaultyClient(self.truth)
        store = self.store(client, clock)
        name = f"w{self.born}"
        bucket = session_bucket(SessionId(name), self.run.session_buckets)
        session = a_session(name, host=Host(instance_id=instance), bucket=bucket)
        session = replace(session, until=to_epoch_ms(clock.now()) + TTL_MS)
        return Worker(session=store.open_session(session), client=client, store=store, clock=clock)

    def some(self, pick: int, which: Callable[[Worker], bool]) -> Worker:
        eligible = [worker for worker in self.workers if which(worker)]
        return eligible[pick % len(eligible)]

    def step(self, worker: Worker, fault: Fault | None, request: Callable[[], T]) -> T | None:
        """One request of a worker; None if it did not live to see a useful answer."""
        instance = worker.session.host.instance_id
        requeuer = Requeuer(self.store(FaultyClient(self.truth)))
        worker.client.arm(fault, lambda: void(requeuer.requeue_instance(instance)))
        try:
            return request()
        except Crash:
            self.workers.remove(worker)
        except SessionLostError:
            assert self.truth.sessions[worker.session.session_id].state is not SessionState.ALIVE
            self.note("a fenced worker is refused")
            self.workers.remove(worker)
        except AwsError:
            self.leave(worker)
        return None

    def leave(self, worker: Worker) -> None:
        """The process ends in good order, whatever it still leases."""
        worker.client.arm(None)
        self.workers.remove(worker)
        worker.store.end_session(worker.session, ledger=Ledger())

    @precondition(lambda self: any(idle(worker) for worker in self.workers) or len(self.workers) < WORKERS_MAX)
    @rule(pick=picks, choice=picks, commit=st.sampled_from((False, False, True)))
    def acquire(self, pick: int, choice: int, commit: bool) -> None:
        """Look, hold, claim and maybe commit without a break."""
        if not any(idle(worker) for worker in self.workers):
            self.workers.append(self.a_worker(INSTANCES[choice % len(INSTANCES)]))
        worker = self.some(pick, idle)
        self.look_for_work(worker, choice, None)
        if looking(worker):
            self.hold_target(worker, None)
        if covered(worker):
            self.claim_held(worker, None)
        if commit and working(worker):
            self.commit_lease(worker, None)

    @precondition(lambda self: self.workers)
    @rule(pick=picks, choice=picks, what=st.sampled_from((*WORK, "heartbeat", "heartbeat")), fault=faults)
    def proceed(self, pick: int, choice: int, what: str, fault: Fault | None) -> None:
        """One worker's next request, whatever it is, so that anything may happen between two of them."""
        worker = self.some(pick, lambda _: True)
        if what == "heartbeat":
            self.heartbeat(worker, fault)
        elif working(worker):
            self.work_on(worker, what, fault)
        elif worker.fenced:
            self.leave(worker)
        elif covered(worker):
            self.claim_held(worker, fault)
        elif looking(worker):
            self.hold_target(worker, fault)
        else:
            self.look_for_work(worker, choice, fault)

    @precondition(lambda self: any(working(worker) for worker in self.workers))
    @rule(pick=picks, what=st.sampled_from(WORK), fault=faults)
    def work(self, pick: int, what: str, fault: Fault | None) -> None:
        self.work_on(self.some(pick, working), what, fault)

    @precondition(lambda self: any(working(worker) for worker in self.workers))
    @rule(pick=picks, what=st.sampled_from(WORK), fault=faults)
    def zombie_wakes(self, pick: int, what: str, fault: Fault | None) -> None:
        """Its host was declared gone, its shard is somebody else's by now, and it goes on as if nothing had been."""
        zombie = self.some(pick, working)
        index = leased(zombie).index
        self.flow(None, lambda store: Requeuer(store).requeue_instance(zombie.session.host.instance_id))
        heir = self.a_worker("i-heir")
        found = self.claimable(heir, limit=100)
        heir.target = next((candidate for candidate in found if candidate.index == index), None)
        if heir.target is not None:
            self.workers.append(heir)
            self.hold_target(heir, None)
            self.claim_held(heir, None)
            self.note("a zombie's shard has an heir")
        self.work_on(zombie, what, fault)

    def work_on(self, worker: Worker, what: str, fault: Fault | None) -> None:
        match what:
            case "save":
                self.save(worker, fault)
            case "commit":
                self.commit_lease(worker, fault)
            case "fail":
                self.fail_lease(worker, fault)
            case _:
                self.release_lease(worker, fault, interrupted=what == "release at a stop")

    def claimable(self, worker: Worker, *, limit: int) -> list[Candidate]:
        """What an on-demand worker sees: they take everything, so that every shard can move on."""
        left = worker.store.candidates(self.run, CapacityClass.ON_DEMAND, limit=limit)
        if left:
            self.note("a shard is left to on-demand workers")
        return left + worker.store.candidates(self.run, CapacityClass.SPOT, limit=limit)

    def look_for_work(self, worker: Worker, choice: int, fault: Fault | None) -> None:
        found = self.step(worker, fault, lambda: self.claimable(worker, limit=3))
        if found:
            worker.target = found[choice % len(found)]
        elif found is not None:
            self.draw_ticket(worker, choice % self.run.stripes, fault)

    def draw_ticket(self, worker: Worker, stripe: int, fault: Fault | None) -> None:
        worker.target = self.step(worker, fault, lambda: worker.store.take_ticket(self.run, stripe))

    def hold_target(self, worker: Worker, fault: Fault | None) -> None:
        index, seq = worker.target_index, worker.session.seq + 1
        held = self.step(worker, fault, lambda: worker.store.hold(worker.session, index, seq=seq, until=worker.until))
        stored = self.truth.sessions[worker.session.session_id]
        if held is None:
            worker.target = None
            if stored.stop is not None and worker in self.workers:
                self.note("a stop refuses a hold")
                self.leave(worker)
            return
        if worker.client.honest:
            assert (held.held, stored.held, stored.state) == (index, index, SessionState.ALIVE), "a hold that is none"
        self.recognised(worker, "a hold")
        worker.session, worker.covered = held, True

    def claim_held(self, worker: Worker, fault: Fault | None) -> None:
        target, index = worker.target, worker.target_index
        before = self.truth.shards.get(index)
        lease = self.step(worker, fault, lambda: self.claim_target(worker, target))
        worker.target, worker.covered = None, False
        row = self.truth.shards.get(index)
        if worker in self.workers and worker.client.honest:
            assert owns(row, lease) if lease else worker.client.effects == 0, f"{worker} believes {lease} of {row}"
        if lease is not None:
            worker.lease = lease
            worker.checkpoints = lease.checkpoint.seq if lease.checkpoint else 0
            self.recognised(worker, "a claim")
            if before is not None and before.state is ShardState.LEASED:
                self.note("a drained shard is claimed from its owner")

    def claim_target(self, worker: Worker, target: Candidate | int | None) -> Lease | None:
        if isinstance(target, Candidate):
            return worker.store.claim_requeued(self.run, target, worker.session)
        assert target is not None
        return worker.store.claim_fresh(self.run, target, worker.session)

    def heartbeat(self, worker: Worker, fault: Fault | None) -> None:
        session, store = worker.session, worker.store
        worker.client.arm(fault)
        try:
            worker.session = store.heartbeat(session, seq=session.seq + 1, until=worker.until, ledger=Ledger())
        except Crash:
            self.workers.remove(worker)
        except SessionLostError:
            worker.fenced = True  # its main thread learns of it at the next safe point, and may commit until then
        except AwsError:
            return

    def save(self, worker: Worker, fault: Fault | None) -> None:
        lease = leased(worker)
        worker.checkpoints += 1
        pointer = a_checkpoint(lease, worker.checkpoints)
        worker.client.arm(fault)
        try:
            recorded = self.under_lease(worker, fault, lambda: worker.store.record_checkpoint(lease, pointer))
        except AwsError:
            return  # the next one carries everything again
        if recorded and worker.client.honest:
            assert self.truth.shards[lease.index].checkpoint == pointer, "I5: not the pointer that was recorded"
            self.recognised(worker, "a checkpoint")

    def commit_lease(self, worker: Worker, fault: Fault | None) -> None:
        lease = leased(worker)
        if self.poison and lease.index == 0:
            self.fail_lease(worker, fault)
            return
        try:
            if self.under_lease(worker, fault, lambda: worker.store.commit(lease, an_output(lease))):
                row = self.truth.shards[lease.index]
                assert (row.state, row.output) == (ShardState.DONE, an_output(lease)), "I1: committed, but not done"
                self.recognised(worker, "a commit")
        except AwsError:
            self.release_lease(worker, None, interrupted=False)
        worker.lease = None

    def fail_lease(self, worker: Worker, fault: Fault | None) -> None:
        lease, options = leased(worker), self.run.options
        retry_at = to_epoch_ms(worker.clock.now()) + 10_000
        try:
            if self.under_lease(
                worker,
                fault,
                lambda: void(worker.store.fail(lease, error="x", retry_at=retry_at, failures_max=options.failures_max)),
            ):
                self.recognised(worker, "a failure")
                if self.truth.shards[lease.index].state is ShardState.QUARANTINED:
                    self.note("a shard is quarantined by failures")
        except AwsError:
            self.leave(worker)
        worker.lease = None

    def release_lease(self, worker: Worker, fault: Fault | None, *, interrupted: bool) -> None:
        lease = leased(worker)
        try:
            if self.under_lease(worker, fault, lambda: worker.store.release(lease, interrupted=interrupted)):
                self.recognised(worker, "a release")
        except AwsError:
            self.workers.remove(worker)  # abandoned: the session's expiry frees the shard instead
        worker.lease = None

    def under_lease(self, worker: Worker, fault: Fault | None, request: Callable[[], None]) -> bool:
        """Whether the write was acknowledged; what the worker is told must be what its write did."""
        instance = worker.session.host.instance_id
        requeuer = Requeuer(self.store(FaultyClient(self.truth)))
        worker.client.arm(fault, lambda: void(requeuer.requeue_instance(instance)))
        try:
            request()
        except Crash:
            self.workers.remove(worker)
            return False
        except LeaseLostError:
            if worker.client.honest:
                assert worker.client.effects == 0, "refused although the write took effect"
            worker.lease = None
            self.note("a fenced worker is refused")
            return False
        assert worker.client.effects > 0, "acknowledged without any effect"
        return True

    def recognised(self, worker: Worker, what: str) -> None:
        if worker.client.struck is Kind.ERROR_AFTER:
            self.note(f"a lost reply of {what} is recognised")

    # --- everybody else --------------------------------------------------------------------------------------------

    def flow(self, fault: Fault | None, request: Callable[[LeaseStore], T], skew_s: float = 0.0) -> T | None:
        """A Lambda's or the controller's work; None if it died or gave up."""
        store = self.store(self.control, SkewedClock(self.clock, skew_s))
        self.control.arm(fault)
        try:
            return request(store)
        except (Crash, AwsError):
            return None
        finally:
            self.control.arm(None)

    @rule(
        what=st.sampled_from(("notice", "notice", "terminated", "rebalance", "retired", "killed", "left")),
        instance=instances,
        fault=faults,
    )
    def befall(self, what: str, instance: str, fault: Fault | None) -> None:
        """What happens to a host, or to the workers on it."""
        now = self.clock.now()
        there = [worker for worker in self.workers if worker.session.host.instance_id == instance]
        match what:
            case "killed":
                self.workers = [worker for worker in self.workers if worker not in there]
            case "left":
                for worker in there:
                    self.leave(worker)
            case "notice":
                self.flow(fault, lambda store: Requeuer(store).drain_instance(instance, reclaim_time(now)))
            case "terminated":
                self.flow(fault, lambda store: Requeuer(store).requeue_instance(instance))
            case "retired":
                stop = Stop(kind=StopKind.RETIRED, deadline=None)
                keys = self.store(FaultyClient(self.truth)).sessions_on_instance(instance)
                self.flow(fault, lambda store: [store.mark_stop(key, stop) for key in keys])
            case "rebalance":
                until = to_epoch_ms(now + timedelta(minutes=20))
                self.flow(fault, lambda store: Requeuer(store).hint_instance(instance, until))

    @rule(closing=st.booleans(), careless=st.booleans(), skew_s=skews_s, fault=faults)
    def care(self, closing: bool, careless: bool, skew_s: float, fault: Fault | None) -> None:
        """What the controller and idle workers do for the run; a careless one has forgotten the last pass."""
        if closing:
            self.close(None if careless else self.closing, fault)
        else:
            self.rescue(skew_s, fault)

    def rescue(self, skew_s: float, fault: Fault | None) -> None:
        now = to_epoch_ms(self.clock.now() + timedelta(seconds=skew_s))
        alive = {name for name, each in self.truth.sessions.items() if each.state is SessionState.ALIVE}
        takings = self.flow(fault, lambda store: Requeuer(store).rescue_expired(self.run, now), skew_s)
        for taking in takings.takings if takings else ():
            if taking.taken is Taken.REQUEUED:
                fresh = taking.session_id in alive
                self.note("a live session is rescued" if fresh else "a half-done rescue is finished")
            if taking.taken is Taken.QUARANTINED:
                self.note("a shard is quarantined by losses")

    def close(self, last: Closing | None, fault: Fault | None) -> None:
        missing, blockers = (last.missing, last.blockers) if last else ((), ())
        closing = self.flow(
            fault, lambda store: StripeCloser(store).close_finished_stripes(self.run, missing, blockers)
        )
        self.took_in(closing)
        self.closing = closing or self.closing

    def took_in(self, closing: Closing | None) -> None:
        if closing is not None and closing.repaired:
            self.note("a hole is repaired")
        if closing is not None and closing.requeued:
            self.note("an orphan is requeued by the walk")

    @precondition(lambda self: len(self.truth.writes) > BUSY_WRITES and not self.known_run.closed)
    @rule()
    def most_work_gets_done(self) -> None:
        """So that some histories go on past the last shard."""
        worker = self.a_worker("i-diligent")
        while self.works_on_something(worker):
            self.closing = StripeCloser(worker.store).close_finished_stripes(self.run)
        self.workers.append(worker)

    @precondition(lambda self: self.closing is not None)  # also while stripes are open: then it must be refused
    @rule(pick=picks, ending=st.booleans(), failed=st.booleans(), fault=faults)
    def finalize(self, pick: int, ending: bool, failed: bool, fault: Fault | None) -> None:
        if ending and self.terms:
            self.end_run(self.terms[pick % len(self.terms)], RunState.FAILED if failed else RunState.COMPLETE, fault)
        else:
            self.take_finalizer(fault)

    def take_finalizer(self, fault: Fault | None) -> None:
        self.born += 1
        name = f"f{self.born}"
        taken = self.flow(fault, lambda store: store.take_finalizer(self.known_run, finalizer=name, ttl_s=TERM_S))
        if taken is not None:
            assert (self.known_run.finalizer, self.known_run.finalizer_epoch) == (name, taken.finalizer_epoch)
            self.terms.append(taken)
            if self.control.effects == 1 and fault is not None and fault.kind is Kind.ERROR_AFTER and fault.at == 1:
                self.note("a lost reply of a finalizer's term is recognised")

    def end_run(self, term: Run, state: RunState, fault: Fault | None) -> None:
        before = self.known_run
        ended = self.flow(fault, lambda store: store.end_run(term, state=state, quarantined=0, reason=None))
        if ended:
            assert (self.known_run.state, self.known_run.finalizer_epoch) == (state, term.finalizer_epoch), "I7"
            if term.finalizer_epoch > 1:
                self.note("a second finalizer ends the run")
        elif ended is False:
            assert before.state.ended or term.finalizer_epoch != before.finalizer_epoch, "the finalizer was refused"
            self.note("an old finalizer is refused")

    @precondition(lambda self: self.cancellable and self.born > WORKERS_MAX and not self.known_run.state.ended)
    @rule(fault=faults)
    def cancel(self, fault: Fault | None) -> None:
        before = self.known_run.state
        cancelled = self.flow(fault, lambda store: Requeuer(store).cancel_run(self.run.run_id, reason="enough"))
        if cancelled is not None:
            assert self.known_run.state is RunState.CANCELLED
            assert before in (RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED), "K2: cancelled after its end"
            self.note("a cancelled run")

    @precondition(lambda self: self.born > WORKERS_MAX and not self.known_run.state.ended)
    @rule(fault=faults)
    def pause_or_resume(self, fault: Fault | None) -> None:
        """A run that has cost too much, and a person who pays."""
        if self.known_run.state is RunState.RUNNING:
            paused = self.flow(fault, lambda store: Requeuer(store).pause_run(self.run.run_id, reason="spent"))
            if paused is not None:
                assert paused.state is RunState.PAUSED
                assert self.known_run == paused
            return
        resumed = self.flow(fault, lambda store: store.resume_run(self.run.run_id, usd_max=9.0))
        if resumed is not None:
            assert (self.known_run.state, self.known_run.budget_usd) == (RunState.RUNNING, 9.0)
            self.note("a paused run goes on")

    @rule(seconds=st.sampled_from((1, 20, 60, 95, 700)), ages=st.lists(st.integers(0, 100), max_size=3))
    def time_passes(self, seconds: int, ages: list[int]) -> None:
        """And requests that were sent before, `ages` back, arrive (again), long after anybody waits for an answer."""
        self.clock.advance(seconds)
        for age in ages:
            checked = self.truth.checked
            self.truth.repeat(len(self.truth.writes) - 1 - age % len(self.truth.writes))
            if self.truth.checked > checked:
                self.note("a late request takes effect")

    # --- what must hold --------------------------------------------------------------------------------------------

    @property
    def known_run(self) -> Run:
        assert self.truth.stored_run is not None
        return self.truth.stored_run

    @invariant()
    def every_lease_is_covered_and_nothing_is_done_twice(self) -> None:
        self.truth.check_coverage(list(self.truth.shards.values()), self.truth.held)
        assert len(self.truth.commits) == len(set(self.truth.commits)), "I1: done twice"

    def teardown(self) -> None:
        if not self.failing() and hasattr(self, "truth"):
            self.a_fresh_worker_finishes_the_run()
            self.nothing_that_arrives_after_the_end_counts()

    def a_fresh_worker_finishes_the_run(self) -> None:
        self.clock.advance(3600)  # past every expiry, reclaim time, back-off and term that skewed clocks wrote
        if not self.known_run.state.ended:
            self.store(FaultyClient(self.truth)).resume_run(self.run.run_id, usd_max=None)
        worker = self.a_worker("i-fresh")
        closing: Closing | None = None
        for _ in range(4 * self.run.shards + 6):
            Requeuer(worker.store).rescue_expired(self.run, to_epoch_ms(self.clock.now()))
            missing, blockers = (closing.missing, closing.blockers) if closing else ((), ())
            closing = StripeCloser(worker.store).close_finished_stripes(self.run, missing, blockers)
            self.took_in(closing)
            if closing.complete or closing.run.state.ended:
                break
            if not self.works_on_something(worker):
                self.clock.advance(15)
        assert closing is not None
        assert closing.complete or closing.run.state is RunState.CANCELLED, "I10: the run does not end"
        if closing.run.state is not RunState.CANCELLED:
            self.check_outcome(worker.store, closing.run)

    def works_on_something(self, worker: Worker) -> bool:
        found: list[Candidate | int] = list(self.claimable(worker, limit=1))
        tickets = (worker.store.take_ticket(self.run, stripe) for stripe in range(self.run.stripes) if not found)
        worker.target = next(iter(found), None) or next((index for index in tickets if index is not None), None)
        if worker.target is None:
            return False
        seq = worker.session.seq + 1
        held = worker.store.hold(worker.session, worker.target_index, seq=seq, until=worker.until)
        assert held is not None, "a live session without a stop may hold"
        worker.session = held
        lease = self.claim_target(worker, worker.target)
        if lease is not None:
            worker.store.commit(lease, an_output(lease))
        return True

    def check_outcome(self, store: LeaseStore, run: Run) -> None:
        rows = {shard.index: shard for shard in store.shards(run)}
        assert rows == self.truth.shards, "the rows read are the rows written"
        assert sorted(rows) == list(range(run.shards)), "I6: a shard is lost"
        assert all(shard.state.final for shard in rows.values()), "I6: a shard is open"
        done = sorted(index for index, shard in rows.items() if shard.state is ShardState.DONE)
        assert sorted(self.truth.commits) == done, "I1"
        if run.state.ended:
            return
        taken = store.take_finalizer(run, finalizer="last", ttl_s=TERM_S)
        assert taken is not None, "I10: nobody can finalize"
        for term in self.terms:
            assert not store.end_run(term, state=RunState.COMPLETE, quarantined=0, reason=None), (
                "I7: an old term counts"
            )
        assert store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None)
        self.note("the run ends without help")

    def nothing_that_arrives_after_the_end_counts(self) -> None:
        """A dead-letter queue replayed, hours later, in the order of arrival."""
        rows, run = dict(self.truth.shards), self.known_run
        for number in range(len(self.truth.writes)):
            self.truth.repeat(number)
        if run.state is not RunState.CANCELLED:
            assert self.truth.shards == rows, "a row changed after the end"
        assert self.known_run.state is run.state


def idle(worker: Worker) -> bool:
    return worker.target is None and worker.lease is None and not worker.fenced


def looking(worker: Worker) -> bool:
    return worker.target is not None and not worker.covered and not worker.fenced


def covered(worker: Worker) -> bool:
    return worker.covered


def working(worker: Worker) -> bool:
    return worker.lease is not None


def leased(worker: Worker) -> Lease:
    assert worker.lease is not None
    return worker.lease


def owns(row: Shard | None, lease: Lease) -> bool:
    owned = row is not None and (row.owner, row.fencing_token) == (lease.owner, lease.fencing_token)
    return owned and row is not None and row.state is ShardState.LEASED


def void(_: object) -> None:
    """Drop an answer."""
