"""Takes waiting jobs back: cancelled in Batch, and no longer counted among the workers that are still coming."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spotproof.capacity.live_jobs import LiveJob, RunJobs
from spotproof.capacity.submitted_workers import SubmittedWorkers
from spotproof.capacity.topup import WorkerTopUp
from spotproof.leases.model import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawals:
    """Whole jobs only: Batch cancels all the waiting children of an array, or none."""

    jobs: RunJobs
    topup: WorkerTopUp

    def ours(self, run: Run) -> Mapping[str, SubmittedWorkers]:
        """What functions submitted for the run, by Batch job.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        return {each.job_id: each for each in self.topup.submitted(run.run_id) if each.job_id}

    def withdraw(self, run: Run, jobs: Iterable[LiveJob], ours: Mapping[str, SubmittedWorkers], *, reason: str) -> None:
        """Cancel what waits of the jobs, and note how many workers that leaves of those of `ours`.

        In this order: who dies in between has left a worker counted that does not come, never one uncounted that does.

        Raises:
            AwsError: table or Batch refused or stayed unavailable; doing it again is safe.
        """
        for job in jobs:
            self.jobs.cancel(job.job_id, reason=reason)
            if job.job_id in ours:
                left = max(0, job.submission.workers - job.waiting)
                self.topup.keep_only(run.run_id, ours[job.job_id].key, workers=left)
