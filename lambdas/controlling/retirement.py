"""Gives on-demand workers back: jobs that wait are cancelled, workers finish the shard in hand and leave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lambdas.controlling.crew import Crew
from lambdas.controlling.look import Look
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.live_jobs import RunJobs
from spotproof.capacity.topup import WorkerTopUp
from spotproof.leases.model import Run, Session, Stop, StopKind
from spotproof.leases.requeue import key_of
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Touches only workers that functions submitted: what a person submitted on demand is that person's."""

    store: LeaseStore
    jobs: RunJobs
    topup: WorkerTopUp
    queues: QueuePairs

    def retire(self, run: Run, sessions: Sequence[Session], look: Look, *, count: int, reason: str) -> int:
        """Give back at most `count` workers; how many it were.

        Raises:
            AwsError: table or Batch refused; the next round goes on.
        """
        ours = self._ours(run)
        done = self._cancel_waiting(run, look, ours, count, reason)
        for session in self._dispensable(sessions, look, ours):
            if done >= count:
                break
            marked = self.store.mark_stop(key_of(session), Stop(kind=StopKind.RETIRED, deadline=None))
            done += marked is not None
        return done

    def _ours(self, run: Run) -> set[str]:
        submitted = self.topup.submitted(run.run_id)
        return {each.job_id for each in submitted if each.job_id and self.queues.is_on_demand(each.job_queue)}

    def _cancel_waiting(self, run: Run, look: Look, ours: set[str], count: int, reason: str) -> int:
        """Whole jobs only: Batch cancels all the waiting children of an array, or none."""
        cancelled = 0
        for job in look.live.of_run(run.run_id):
            if self.queues.is_on_demand(job.queue) and job.job_id in ours and 0 < job.waiting <= count - cancelled:
                self.jobs.cancel(job.job_id, reason=reason)
                cancelled += job.waiting
        return cancelled

    def _dispensable(self, sessions: Sequence[Session], look: Look, ours: set[str]) -> Iterator[Session]:
        """The idle first, then those that came last."""
        alive = Crew(sessions=sessions, now_ms=look.now_ms).alive(on_demand=True)
        mine = [each for each in alive if each.host.batch_job_id.partition(":")[0] in ours]
        yield from sorted(mine, key=lambda each: (each.held is not None, -each.started_at))
