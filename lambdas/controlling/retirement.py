"""Gives on-demand workers back: jobs that wait are cancelled, workers finish the shard in hand and leave."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lambdas.controlling.crew import Crew
from lambdas.controlling.look import Look
from lambdas.controlling.withdrawals import Withdrawals
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.live_jobs import LiveJob
from spotproof.leases.model import Run, Session, Stop, StopKind
from spotproof.leases.requeue import key_of
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Touches only workers that functions submitted: what a person submitted on demand is that person's."""

    store: LeaseStore
    withdrawals: Withdrawals
    queues: QueuePairs

    def retire(self, run: Run, sessions: Sequence[Session], look: Look, *, count: int, reason: str) -> int:
        """Give back at most `count` workers; how many it were.

        Raises:
            AwsError: table or Batch refused; the next round goes on.
        """
        submitted = self.withdrawals.ours(run)
        ours = {job_id for job_id, each in submitted.items() if self.queues.is_on_demand(each.job_queue)}
        waiting = list(self._waiting(run, look, ours, count))
        self.withdrawals.withdraw(run, waiting, submitted, reason=reason)
        done = sum(job.waiting for job in waiting)
        for session in self._dispensable(sessions, look, ours):
            if done >= count:
                break
            marked = self.store.mark_stop(key_of(session), Stop(kind=StopKind.RETIRED, deadline=None))
            done += marked is not None
        return done

    def _waiting(self, run: Run, look: Look, ours: Collection[str], count: int) -> Iterator[LiveJob]:
        """Jobs of which no more workers wait than may go."""
        for job in look.live.of_run(run.run_id):
            if self.queues.is_on_demand(job.queue) and job.job_id in ours and 0 < job.waiting <= count:
                count -= job.waiting
                yield job

    def _dispensable(self, sessions: Sequence[Session], look: Look, ours: Collection[str]) -> Iterator[Session]:
        """The idle first, then those that came last."""
        alive = Crew(sessions=sessions, now_ms=look.now_ms).alive(on_demand=True)
        mine = [each for each in alive if each.host.batch_job_id.partition(":")[0] in ours]
        yield from sorted(mine, key=lambda each: (each.held is not None, -each.started_at))
