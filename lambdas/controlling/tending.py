"""The round over all runs: rescue, close, announce, top up, capacity, cleaning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lambdas.controlling.cleaning import decide_cleaning
from lambdas.controlling.look import Look
from lambdas.controlling.round import RESERVE_S, Round
from lambdas.controlling.steering import Steering
from lambdas.controlling.stuck import StuckRuns
from lambdas.run_events import RunEvents
from lambdas.telemetry import Telemetry
from spotproof.checkpoints.garbage_sweep import Sweeper
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import SpotproofError
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.model import Run, RunId, Session
from spotproof.leases.requeue import Requeuer, Taken
from spotproof.leases.store import LeaseStore

HOLE_PAUSE_S: Final = 1.0  # a claim under way takes milliseconds
ANNOUNCED_MAX: Final = 20  # ended runs handed to the finalizer per invocation
ANNOUNCE_EVERY_S: Final = 45.0  # a finalizer that was just told, by a worker or by us, needs time to begin
SWEEP_S_MAX: Final = 10.0  # of an invocation for one run's orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Tends every active run and hands finished ones to the finalizer. Every step may be repeated or cut short."""

    store: LeaseStore
    requeuer: Requeuer
    closer: StripeCloser
    stuck: StuckRuns
    run_events: RunEvents
    sweeper: Sweeper
    clock: Clock
    steering: Steering | None = None  # None: nobody adds or retires workers, or pauses runs
    # What the last round in this execution environment saw; lost with it, at the price of a few more reads.
    seen: dict[RunId, Closing] = field(default_factory=dict)
    announce_every_s: float = 0.0  # a run's end is not announced twice within
    announced: dict[RunId, float] = field(default_factory=dict)  # monotonic seconds of the last announcement

    def tend_all(self, *, deadline: float, telemetry: Telemetry) -> Round:
        """One round over all runs, until `deadline` (monotonic seconds) comes near. A run that fails stops no other."""
        done = Round()
        active = sorted(self.store.active_runs())
        look = self._look(done, deadline, telemetry)
        for run_id in self._rotated(active):
            if deadline - self.clock.monotonic() < RESERVE_S:
                done.skipped += 1
                continue
            try:
                self._tend(run_id, look, done, deadline, telemetry)
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")
        self._forget(set(active))
        if self.steering is not None and look is not None:
            self.steering.tend_waiting(look, done, deadline=deadline, telemetry=telemetry)
        self._announce_ended(done, deadline)
        self._sweep(done, deadline)
        return done

    def _look(self, done: Round, deadline: float, telemetry: Telemetry) -> Look | None:
        """None if there is no steering, no time, or Batch does not answer: the runs are tended all the same."""
        if self.steering is None or deadline - self.clock.monotonic() < RESERVE_S:
            return None
        try:
            look = self.steering.lookout.look(done, telemetry)
        except SpotproofError as error:
            done.failures.append(f"capacity: {error}")
            return None
        done.looked = True
        return look

    def _rotated(self, run_ids: list[RunId]) -> list[RunId]:
        """Another one first every minute, so that no run starves when time is short."""
        if not run_ids:
            return []
        first = to_epoch_ms(self.clock.now()) // 60_000 % len(run_ids)
        return run_ids[first:] + run_ids[:first]

    def _tend(self, run_id: RunId, look: Look | None, done: Round, deadline: float, telemetry: Telemetry) -> None:
        run = self.store.get_run(run_id)
        if run is None or run.state.ended:
            return
        done.runs += 1
        takings = self.requeuer.rescue_expired(run, to_epoch_ms(self.clock.now()))
        done.rescued += takings.sessions
        done.requeued += takings.shards
        done.quarantined += takings.count(Taken.QUARANTINED)
        closing = self._close(run, done, deadline)
        if closing.complete:
            self._announce_complete(closing.run, done)
            return
        done.going_on.append(closing.run)
        sessions = list(self.store.sessions(closing.run))
        self._staff(closing.run, sessions, look, done, telemetry)

    def _staff(
        self, run: Run, sessions: Sequence[Session], look: Look | None, done: Round, telemetry: Telemetry
    ) -> None:
        """Workers for the run: any at all, and then of the right kind."""
        now_ms = to_epoch_ms(self.clock.now())
        if self.stuck.tend(run, sessions, done, now_ms=now_ms, telemetry=telemetry):
            return
        if self.steering is not None and look is not None:
            self.steering.capacity.tend(run, sessions, look, done, telemetry)

    def _forget(self, active: set[RunId]) -> None:
        for gone in self.seen.keys() - active:
            del self.seen[gone]
        for gone in self.announced.keys() - active - set(self.store.ended_runs()):
            del self.announced[gone]
        if self.steering is not None:
            self.steering.capacity.forget_all_but(active)

    def _sweep(self, done: Round, deadline: float) -> None:
        """Last, with the time that is left: a late orphan harms nobody."""
        for run in done.going_on:
            until = min(deadline - RESERVE_S, self.clock.monotonic() + SWEEP_S_MAX)
            try:
                done.orphans += self.sweeper.sweep(run, deadline=until).deleted
            except SpotproofError as error:
                done.failures.append(f"{run.run_id}: {error}")

    def _close(self, run: Run, done: Round, deadline: float) -> Closing:
        before = self.seen.get(run.run_id)
        closing = self.closer.close_finished_stripes(
            run, before.missing if before else (), before.blockers if before else ()
        )
        done.holes += len(closing.repaired)
        if closing.missing and deadline - self.clock.monotonic() > RESERVE_S:
            self.clock.sleep(HOLE_PAUSE_S)
            closing = self.closer.close_finished_stripes(closing.run, closing.missing, closing.blockers)
            done.holes += len(closing.repaired)
        self.seen[run.run_id] = closing
        return closing

    def _announce_complete(self, run: Run, done: Round) -> None:
        """Unless somebody is at it."""
        if run.finalizer_until is None or run.finalizer_until < to_epoch_ms(self.clock.now()):
            self._announce(run.run_id, done)

    def _announce(self, run_id: RunId, done: Round) -> None:
        now = self.clock.monotonic()
        if now - self.announced.get(run_id, float("-inf")) < self.announce_every_s:
            return
        self.announced[run_id] = now
        self.run_events.announce_finished(run_id)
        done.announced += 1

    def _announce_ended(self, done: Round, deadline: float) -> None:
        """Ended runs whose checkpoints and staged objects are not deleted yet: the finalizer goes on with them."""
        now_ms = to_epoch_ms(self.clock.now())
        for run_id in self._rotated(sorted(self.store.ended_runs()))[:ANNOUNCED_MAX]:
            if deadline - self.clock.monotonic() < RESERVE_S:
                return
            try:
                run = self.store.get_run(run_id)
                if run is not None and decide_cleaning(run, now_ms=now_ms).due:
                    self._announce(run_id, done)
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")
