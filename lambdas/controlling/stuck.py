"""Runs that nobody works on: work is left, and no worker is there or coming."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lambdas.controlling.crew import is_on_demand
from lambdas.controlling.notes import Notes
from lambdas.controlling.round import Round
from lambdas.controlling.routing import Router
from lambdas.queue_pairs import QueuePairs
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.live_jobs import RunJobs, Submission
from spotproof.capacity.topup import TopUpKind, TopUpRequest, TopUpResult, WorkerTopUp, worker_parameters
from spotproof.capacity.topup_items import Hold
from spotproof.leases.model import Run, RunId, RunState, Session, SessionState, StopKind
from spotproof.leases.store import LeaseStore

STUCK_EVERY_MS: Final = 120_000  # at most one job per run and this long
RESUMED_MS: Final = 90_000  # whoever resumes a run submits its workers too, and Batch lists them a little later


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckDecision:
    """Whether a run needs a worker from us, and why."""

    needs_worker: bool
    reason: str
    like: str = ""  # the Batch job that the new worker is copied from


def decide_stuck(
    *, run: Run, sessions: Iterable[Session], hold: Hold | None, live_jobs: bool, now_ms: int
) -> StuckDecision:
    """Whether work is left and nobody is there, or coming, to do it."""
    known = sorted(sessions, key=lambda session: session.started_at)
    from_batch = [session for session in known if session.host.batch_job_id]
    if run.state is not RunState.RUNNING:
        return StuckDecision(needs_worker=False, reason=f"run is {run.state}")
    if any(session.state is SessionState.ALIVE and session.until >= now_ms for session in known):
        return StuckDecision(needs_worker=False, reason="a worker is alive")
    if live_jobs:
        return StuckDecision(needs_worker=False, reason="a Batch job of the run waits or runs")
    like = from_batch[-1].host.batch_job_id if from_batch else run.batch_job_id or ""
    if not like:
        return StuckDecision(needs_worker=False, reason="no worker of the run came from Batch: start one by hand")
    last_came_at = from_batch[-1].started_at if from_batch else run.created_at
    if hold is not None and hold.since >= last_came_at:
        return StuckDecision(needs_worker=False, reason=f"held: {hold.reason}; submit the run again to go on")
    return StuckDecision(needs_worker=True, reason="work is left, no live session, no Batch job", like=like)


def decide_width(sessions: Iterable[Session], *, submitted: int) -> int:
    """How many workers a stuck run gets: all that it was submitted with after a pause, else one that shows what is wrong.

    A run that was resumed has lost its workers on purpose; any other one lost them for a reason that may hold still.
    """
    return max(1, submitted) if was_resumed(sessions) else 1


def was_resumed(sessions: Iterable[Session]) -> bool:
    """Whether its workers left because it was paused, and nobody has come since."""
    known = list(sessions)
    left = [each.ended_at or 0 for each in known if each.stop is not None and each.stop.kind is StopKind.PAUSED]
    return bool(left) and max(each.started_at for each in known) <= max(left)


def last_on_spot(sessions: Iterable[Session]) -> str:
    """The Batch job of the Spot worker that came last; empty if none came.

    On-demand workers that were added are no model for all the workers of a run: caps allow a few of them.
    """
    spot = [each for each in sessions if each.host.batch_job_id and not is_on_demand(each)]
    return max(spot, key=lambda each: each.started_at).host.batch_job_id if spot else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckRuns:
    """Submits workers like the last. Batch is asked only about runs without a live session."""

    store: LeaseStore
    jobs: RunJobs
    topup: WorkerTopUp
    router: Router
    queues: QueuePairs
    notes: Notes
    # Since when runs that were resumed are seen without workers, epoch ms.
    resumed: dict[RunId, int] = field(default_factory=dict)

    def tend(self, run: Run, sessions: Sequence[Session], done: Round, *, now_ms: int, telemetry: Telemetry) -> bool:
        """Whether the run was stuck, or would have been but for a hold.

        Raises:
            AwsError: table or Batch refused or stayed unavailable.
        """
        decision = decide_stuck(run=run, sessions=sessions, hold=None, live_jobs=False, now_ms=now_ms)
        if not decision.needs_worker:
            self.resumed.pop(run.run_id, None)
            return False
        live = self.jobs.has_live_job(run.run_id)  # only now is it worth asking Batch
        hold = self.topup.held(run.run_id)
        decision = decide_stuck(run=run, sessions=sessions, hold=hold, live_jobs=live, now_ms=now_ms)
        telemetry.info(events.RUN_STUCK, run_id=run.run_id, topping_up=decision.needs_worker, reason=decision.reason)
        if live:
            self.resumed.pop(run.run_id, None)
        if decision.needs_worker:
            self._top_up(run, sessions, decision, done, now_ms, telemetry)
        return not live

    def _top_up(
        self,
        run: Run,
        sessions: Sequence[Session],
        decision: StuckDecision,
        done: Round,
        now_ms: int,
        telemetry: Telemetry,
    ) -> None:
        like_id = (last_on_spot(sessions) if was_resumed(sessions) else "") or decision.like
        like = self.jobs.submission_of(like_id)
        width = 1 if like is None else decide_width(sessions, submitted=max(run.workers, like.workers))
        if width > 1 and now_ms - self.resumed.setdefault(run.run_id, now_ms) < RESUMED_MS:
            return
        self.resumed.pop(run.run_id, None)
        if like is None:
            done.failures.append(f"{run.run_id}: Batch has forgotten job {like_id}: submit the run again")
            return
        request, routed = self._request(run, sessions, like_id, like, width, now_ms)
        outcome = self.topup.submit_once(request)
        submitted = outcome.result is TopUpResult.SUBMITTED
        done.topped_up += request.workers if submitted else 0
        reason = f"{decision.reason}; {routed}"
        telemetry.info(
            events.WORKER_REPLACED, run_id=run.run_id, result=outcome.result, new_batch_job_id=outcome.job_id,
            workers=request.workers, reason=outcome.reason if not submitted else reason,
        )  # fmt: skip
        if submitted:
            facts = {"workers": request.workers, "batch_job_id": outcome.job_id, "queue": request.job_queue}
            self.notes.note(
                run.run_id, at=now_ms, name="topped-up", kind="workers topped up", reason=reason, facts=facts,
                telemetry=telemetry,
            )  # fmt: skip

    def _request(
        self, run: Run, sessions: Sequence[Session], ended: str, like: Submission, workers: int, now_ms: int
    ) -> tuple[TopUpRequest, str]:
        queue, routed = like.job_queue, "as the last one"
        if workers == 1 and not self.queues.is_on_demand(queue):  # the caps were asked about one worker more
            route = self.router.route_after(
                run, sessions, ended, vcpus=like.vcpus, workers=max(run.workers, like.workers)
            )
            queue, routed = (self.queues.on_demand_for(queue) if route.on_demand else queue), route.reason
        request = TopUpRequest(
            run_id=run.run_id,
            key=f"stuck-{now_ms // STUCK_EVERY_MS}",
            kind=TopUpKind.STUCK,
            job_queue=queue,
            job_definition=like.job_definition,
            parameters=worker_parameters(like.parameters, run_id=run.run_id),
            base_name=like.job_name,
            workers=workers,
            tags=like.tags,
            memory_mib=like.memory_mib,
            share=like.share,
        )
        return request, routed
