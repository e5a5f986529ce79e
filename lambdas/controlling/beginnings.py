"""Runs that can't begin: Spot workers wait, and none has started that would have planned the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lambdas.controlling.additions import FIRST_KEY, Additions
from lambdas.controlling.look import Look
from lambdas.controlling.notes import Notes
from lambdas.controlling.round import RESERVE_S, Round
from lambdas.queue_pairs import QueuePairs
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.early import FirstWorkerDecision, decide_first_worker
from spotproof.capacity.live_jobs import LiveJob
from spotproof.capacity.topup import TopUpOutcome, TopUpResult
from spotproof.clock import Clock
from spotproof.errors import InputError, SpotproofError
from spotproof.interruptions.eventbridge import RUN_ID
from spotproof.leases.model import RunId, RunOptions
from spotproof.leases.store import LeaseStore
from spotproof.worker.options import parse_options

RUNS_MAX: Final = 50  # without a row, looked at in one round: a read each


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """Submits the first worker of such a run on demand. The event of a blocked queue and the schedule meet here."""

    store: LeaseStore
    additions: Additions
    notes: Notes
    queues: QueuePairs
    clock: Clock

    def tend_all(self, look: Look, done: Round, *, deadline: float, telemetry: Telemetry) -> None:
        """All runs of waiting Spot jobs that have no row, the oldest first."""
        for run_id, jobs in list(self._unplanned(look))[:RUNS_MAX]:
            if deadline - self.clock.monotonic() < RESERVE_S:
                return
            try:
                oldest = min(jobs, key=lambda job: job.created_at)
                if self.begin(
                    run_id,
                    oldest,
                    jobs,
                    now_ms=look.now_ms,
                    blocked=look.blocked_because(oldest.queue),
                    telemetry=telemetry,
                    again=True,
                ):
                    done.on_demand_added += 1
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")

    def begin(
        self, run_id: RunId, oldest: LiveJob, jobs: Sequence[LiveJob], *, now_ms: int, blocked: str,
        telemetry: Telemetry, again: bool = False,
    ) -> bool:  # fmt: skip
        """Whether a first worker was submitted now, because the run has no row and its workers wait too long.

        Args:
            again: none of the run's on-demand workers lives, so one that was submitted before came to nothing.

        Raises:
            AwsError: table or Batch refused or stayed unavailable.
        """
        options = _options_of(oldest)
        if options is None or any(job.starting or job.running for job in jobs):
            return False  # a worker will say what is wrong with the options; or one is about to plan
        decision = decide_first_worker(
            waited_s=(now_ms - oldest.created_at) / 1000,
            fallback_after_s=options.fallback_after_s,
            allows_on_demand=options.allows_on_demand,
            blocked=blocked,
        )
        if not decision.due or self.store.get_run(run_id) is not None:
            return False
        outcome = self.additions.add_first(
            run_id, oldest.submission, waited_ms=now_ms - oldest.created_at if again else 0
        )
        self._tell(run_id, decision, outcome, now_ms, telemetry)
        return outcome.result is TopUpResult.SUBMITTED

    def _tell(
        self, run_id: RunId, decision: FirstWorkerDecision, outcome: TopUpOutcome, now_ms: int, telemetry: Telemetry
    ) -> None:
        if outcome.result is not TopUpResult.SUBMITTED:
            return
        telemetry.info(
            events.CAPACITY_DECIDED, run_id=run_id, action="add", count=1, cause=decision.cause, reason=decision.reason,
            on_demand_wanted=1,
        )  # fmt: skip
        facts = {"workers": 1, "batch_job_id": outcome.job_id, "cause": decision.cause}
        self.notes.note(
            run_id, at=now_ms, name=FIRST_KEY, kind="on-demand added", reason=decision.reason, facts=facts,
            telemetry=telemetry,
        )  # fmt: skip

    def _unplanned(self, look: Look) -> Iterator[tuple[RunId, list[LiveJob]]]:
        by_run: dict[RunId, list[LiveJob]] = {}
        for job in sorted(look.live.jobs, key=lambda job: job.created_at):
            if self.queues.is_spot(job.queue) and RUN_ID.fullmatch(job.run_id):
                by_run.setdefault(RunId(job.run_id), []).append(job)
        for run_id, jobs in by_run.items():
            on_demand = [job for job in look.live.of_run(run_id) if self.queues.is_on_demand(job.queue)]
            begun = any(job.starting or job.running for job in jobs)
            if any(job.waiting for job in jobs) and not begun and not on_demand:
                yield run_id, jobs


def _options_of(job: LiveJob) -> RunOptions | None:
    """None if they can't be read."""
    try:
        return parse_options(job.submission.parameters.get("options", ""))
    except InputError:
        return None
