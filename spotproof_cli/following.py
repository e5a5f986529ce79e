"""Waiting for a run to end: the table is polled, not the Batch job, for a run outlives its workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from spotproof.clock import Clock
from spotproof.errors import RunNotFoundError
from spotproof.leases.model import Run, RunId, RunState
from spotproof_cli import exit_codes
from spotproof_cli.progress import ProgressDisplay
from spotproof_cli.run_view import RunReader, RunView
from spotproof_cli.waiting_workers import WaitingExplainer, WaitingWorkers
from spotproof_cli.worker_jobs import WorkerJob, WorkerJobs

POLL_S: Final = 2.0
POLL_S_MAX: Final = 30.0
SHARDS_PER_POLL_S: Final = 1000  # a bigger run is walked less often
JOBS_EVERY_S: Final = 10.0  # Batch is asked so often while nothing is planned
ROWS_READ_MAX: Final = 2000  # of a run this small every row is read each time, for its interruptions
STUCK_EVERY_S: Final = 30.0  # Batch is asked so often while nobody works
REASONS_SHOWN: Final = 3
LOOKS_FOR_JOBS: Final = 3  # a job may need a moment to be listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why following ended."""

    code: int  # one of exit_codes
    run: Run | None  # None: it never was planned
    reason: str  # empty for a complete run


@dataclass(kw_only=True)
class Follower:
    """Follows one run until it ends, or the patience does."""

    reader: RunReader
    jobs: WorkerJobs
    explainer: WaitingExplainer
    clock: Clock
    display: ProgressDisplay
    _explain_at: float = field(default=float("-inf"), init=False)  # monotonic seconds

    def until_ended(self, run_id: RunId, *, job_ids: Sequence[str] = (), timeout_s: float | None) -> Ending:
        """Poll until the run has ended, or every job that could have planned it has.

        Args:
            run_id: the run.
            job_ids: Batch jobs known to belong to it; empty: they are looked up.
            timeout_s: give up after so many seconds; None: never.

        Raises:
            RunNotFoundError: neither a run nor a job of it exists.
        """
        started = self.clock.monotonic()
        unplanned = UnplannedRun(
            jobs=self.jobs, explainer=self.explainer, run_id=run_id, job_ids=job_ids, clock=self.clock
        )
        while True:
            run = self.reader.store.get_run(run_id)
            ending = self._planned(run) if run is not None else unplanned.look(self.display.waiting)
            if ending is not None:
                return ending
            wait_s = poll_s(run)
            if timeout_s is not None:
                left_s = started + timeout_s - self.clock.monotonic()
                if left_s <= 0:
                    return Ending(
                        code=exit_codes.WAIT_TIMED_OUT, run=run, reason=f"not finished after {timeout_s:g} s of waiting"
                    )
                wait_s = min(wait_s, left_s)
            self.clock.sleep(wait_s)

    def _planned(self, run: Run) -> Ending | None:
        view = self.reader.view(run, details=run.shards <= ROWS_READ_MAX)
        self.display.moved(view)
        if not run.state.ended:
            self._explain_none(view)
            return None
        return Ending(code=exit_codes.of_run(run.state), run=run, reason=run.reason or "")

    def _explain_none(self, view: RunView) -> None:
        """Why nobody works, once in a while as long as that is so."""
        now = self.clock.monotonic()
        if view.workers or view.run.state is not RunState.RUNNING:
            self._explain_at = now + STUCK_EVERY_S
        elif now >= self._explain_at:
            self._explain_at = now + STUCK_EVERY_S
            found = self.jobs.of_run(view.run.run_id)
            reasons = waiting_texts(self.explainer.of(found))
            if reasons:
                self.display.stuck(f"{view.run.run_id}: no worker is alive: {reasons}")
            elif all(job.ended for job in found):
                self.display.stuck(f"{view.run.run_id}: no worker is alive, and no Batch job of the run waits or runs")


class UnplannedRun:
    """A run that no worker has planned yet: only Batch knows whether one ever will."""

    def __init__(
        self, *, jobs: WorkerJobs, explainer: WaitingExplainer, run_id: RunId, job_ids: Sequence[str], clock: Clock
    ) -> None:
        self.jobs = jobs
        self.explainer = explainer
        self.run_id = run_id
        self.job_ids = tuple(job_ids)
        self.clock = clock
        self._next_at = float("-inf")
        self._ended_before = False
        self._looks = 0

    def look(self, say: Callable[[str], None]) -> Ending | None:
        """An ending once all jobs ended without a plan, seen twice in case the plan came in between.

        Raises:
            RunNotFoundError: there are no jobs, after a few looks.
        """
        if self.clock.monotonic() < self._next_at:
            return None
        self._next_at = self.clock.monotonic() + JOBS_EVERY_S
        self._looks += 1
        found = self.jobs.describe(self.job_ids) if self.job_ids else self.jobs.of_run(self.run_id)
        if not found:
            if self._looks >= LOOKS_FOR_JOBS or not self.job_ids:
                raise RunNotFoundError(
                    f"no run {self.run_id}, and no Batch job of it: check the id with `spotproof status`"
                )
            return None
        ended, self._ended_before = self._ended_before, all(job.ended for job in found)
        if ended and self._ended_before:
            return Ending(code=exit_codes.RUN_FAILED, run=None, reason=why_unplanned(found))
        say(f"{self.run_id}: waiting for the first worker: {describe_jobs(found, self.explainer.of(found))}")
        return None


def poll_s(run: Run | None) -> float:
    """Seconds between two readings: small runs often, big ones less so, for a reading walks all open stripes."""
    shards = run.shards if run is not None else 0
    return min(POLL_S_MAX, POLL_S + shards / SHARDS_PER_POLL_S)


def describe_jobs(found: Sequence[WorkerJob], waiting: Sequence[WaitingWorkers]) -> str:
    """Workers by Batch status, and why they wait as far as it is known."""
    statuses: dict[str, int] = {}
    for job in found:
        for status, number in job.by_status.items():
            statuses[status] = statuses.get(status, 0) + number
    text = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    reasons = waiting_texts(waiting)
    return f"{text} ({reasons})" if reasons else text


def waiting_texts(waiting: Sequence[WaitingWorkers]) -> str:
    """The first few reasons, with how many wait for each; empty if none is known."""
    return "; ".join([f"{each.workers} × {each.text}" for each in waiting if each.text][:REASONS_SHOWN])


def why_unplanned(jobs: Sequence[WorkerJob]) -> str:
    """What to tell about workers that ended before the run was planned."""
    failed = next((job for job in jobs if job.status == "FAILED"), jobs[0])
    exit_code = f", exit code {failed.exit_code}" if failed.exit_code is not None else ""
    reason = f": {failed.reason}" if failed.reason else ""
    return f"the workers ended before the run was planned ({failed.status}{exit_code}{reason}); see `spotproof logs`"
