"""How a run's workers were submitted: what more of them are copied from."""

from dataclasses import dataclass, field

from lambdas.controlling.look import Look
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.live_jobs import RunJobs, Submission
from spotproof.leases.model import Run, RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """The Spot submission of each run. Remembered: a run that an on-demand worker planned shows only that one later."""

    jobs: RunJobs
    queues: QueuePairs
    known: dict[RunId, Submission] = field(default_factory=dict)

    def of(self, run: Run, look: Look) -> Submission | None:
        """The largest Spot job of the run, or the job that planned it; None once Batch has forgotten it.

        One DescribeJobs for a run without live Spot jobs, once in an execution environment.
        """
        live = [job.submission for job in look.live.of_run(run.run_id) if self.queues.is_spot(job.queue)]
        largest = max(live, key=lambda each: each.workers, default=None)
        known = self.known.get(run.run_id)
        if largest is not None and (known is None or largest.workers > known.workers or not self.is_spot(known)):
            self.known[run.run_id] = largest
        elif known is None and run.batch_job_id:
            planner = self.jobs.submission_of(run.batch_job_id)
            if planner is not None:
                self.known[run.run_id] = planner
        return self.known.get(run.run_id)

    def is_spot(self, submission: Submission) -> bool:
        return self.queues.is_spot(submission.job_queue)

    def forget_all_but(self, run_ids: set[RunId]) -> None:
        for gone in self.known.keys() - run_ids:
            del self.known[gone]
