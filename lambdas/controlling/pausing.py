"""Pauses a run that has cost its budget, and keeps it paused until somebody resumes it."""

from dataclasses import dataclass

from lambdas.controlling.look import Look
from lambdas.controlling.withdrawals import Withdrawals
from lambdas.run_events import RunEvents
from spotproof.leases.model import Run
from spotproof.leases.requeue import Requeuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Pausing:
    """Workers save, hand back what they hold, and leave; jobs that wait for a host are cancelled."""

    requeuer: Requeuer
    withdrawals: Withdrawals
    run_events: RunEvents

    def pause(self, run: Run, look: Look, *, reason: str) -> Run | None:
        """RUNNING -> PAUSED; the paused run, or None if it has ended or got another budget meanwhile.

        Raises:
            AwsError: table or Batch refused; the next round goes on with what is left to do.
        """
        paused = self.requeuer.pause_run(run.run_id, reason=reason, seen=run)
        if paused is not None:
            self._cancel_waiting(run, look)
        return paused

    def announce(self, paused: Run) -> None:
        """Say on the bus that somebody has to decide about the run.

        Raises:
            AwsError: the bus refused.
        """
        self.run_events.announce_paused(paused.run_id, reason=paused.reason or "")

    def keep(self, run: Run, look: Look) -> None:
        """Reach workers that came since: sessions that opened, jobs that were submitted."""
        self.requeuer.keep_paused(run)
        self._cancel_waiting(run, look)

    def _cancel_waiting(self, run: Run, look: Look) -> None:
        waiting = [job for job in look.live.of_run(run.run_id) if job.waiting]
        if waiting:
            self.withdrawals.withdraw(run, waiting, self.withdrawals.ours(run), reason="the run is paused")
