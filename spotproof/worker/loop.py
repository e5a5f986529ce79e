"""The worker's loop: lease a shard, run it, look again, and leave when nothing is left or the host goes."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spotproof import contract, events
from spotproof.clock import Clock
from spotproof.errors import LeaseLostError, SessionLostError
from spotproof.interruptions.model import SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.model import Lease, Run, ShardState
from spotproof.leases.store import LeaseStore
from spotproof.worker.caretaker import Caretaker
from spotproof.worker.idle import IdleAction, decide_idle
from spotproof.worker.leasing import LeaseFinder
from spotproof.worker.ledger import LedgerBook, Spent
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_requests import ShardRequests

logger = logging.getLogger(__name__)
OWN_LOOK_EVERY: Final = 10  # looks for work that found nothing


@dataclass
class WorkerLoop:
    """Runs until there is a reason to leave; `run_shard` does everything for one lease."""

    run: Run
    store: LeaseStore
    session: WorkerSession
    finder: LeaseFinder
    caretaker: Caretaker
    monitor: Monitor
    ledger: LedgerBook
    clock: Clock
    rng: random.Random
    requests: ShardRequests
    run_shard: Callable[[Lease], ShardOutcome]

    def work(self) -> int:
        """The exit code: EXIT_DONE when nothing is left to do, EXIT_INTERRUPTED when Batch should retry this worker."""
        empty_looks, idle_since = 0, self.clock.monotonic()
        while True:
            try:
                lease = self._look()
                if lease is not None:
                    empty_looks = 0
                    with self.ledger.span(Spent.WORK):  # whatever of it is neither saving nor restoring
                        outcome = self.run_shard(lease)
                    self.requests.report(lease, outcome)
                    if outcome is ShardOutcome.UNFIT:
                        return self._leave(contract.EXIT_INTERRUPTED, "out of memory or disk: a new container has both")
                    if outcome is ShardOutcome.LOST:
                        with self.ledger.span(Spent.IDLE):
                            self._check_own_shard()  # while it is the one we hold: nobody would find it later
                    continue
                empty_looks += 1
                if empty_looks == 1:
                    idle_since = self.clock.monotonic()
                exit_code = self._idle(empty_looks, self.clock.monotonic() - idle_since)
            except (SessionLostError, LeaseLostError) as error:
                return self._leave(contract.EXIT_INTERRUPTED, str(error) or "session lost")
            if exit_code is not None:
                return exit_code

    def _look(self) -> Lease | None:
        if self.session.lost:
            raise SessionLostError("this session is over")
        told = (self.monitor.stop(), self.monitor.hint(), self.monitor.retired())
        if any(signal is not None for signal in told):
            return None
        self.requests.begin()
        with self.ledger.span(Spent.IDLE):
            return self.finder.next_lease(eager=self.caretaker.caring)

    def _idle(self, empty_looks: int, idle_s: float) -> int | None:
        with self.ledger.span(Spent.IDLE):
            if empty_looks % OWN_LOOK_EVERY == 0:
                self._check_own_shard()
            stop, retired = self.monitor.stop(), self.monitor.retired()
            # A dying host has no time to care for others, and who leaves soon would only keep others from it.
            leaving = retired is not None or (stop is not None and stop.kind is not SignalKind.CANCEL)
            self.run = (self.store.get_run(self.run.run_id) or self.run) if leaving else self.caretaker.care(self.run)
            decision = decide_idle(
                run=self.run,
                stop=stop,
                hint=self.monitor.hint(),
                retired=retired,
                now=self.clock.now(),
                empty_looks=empty_looks,
                jitter=self.rng.random(),
                caring=self.caretaker.caring,
                idle_s=idle_s,
            )
            if decision.action is IdleAction.WAIT:
                self.monitor.pause(decision.wait_s)
                return None
        done = decision.action is IdleAction.LEAVE_DONE
        return self._leave(contract.EXIT_DONE if done else contract.EXIT_INTERRUPTED, decision.reason)

    def _check_own_shard(self) -> None:
        """Wait for everybody but ourselves: a table restored to an earlier moment may say that we still lease a shard.

        Raises:
            SessionLostError: it does; our silence frees the shard.
        """
        session = self.session.session
        shard = None if session.held is None else self.store.get_shard(self.run, session.held)
        if shard is not None and shard.state is ShardState.LEASED and shard.owner == session.session_id:
            self.session.abandon()
            raise SessionLostError(f"the table says that we lease shard {shard.index}, on which nobody works")

    def _leave(self, exit_code: int, reason: str) -> int:
        logger.info(events.WORKER_FINISHED, extra={"exit_code": exit_code, "reason": reason})
        return exit_code
