"""Adds on-demand workers to a run: one job, once, however many controllers decide it."""

from dataclasses import dataclass
from typing import Final

from lambdas.controlling.look import Look
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.live_jobs import Submission
from spotproof.capacity.topup import ARRAY_MAX, TopUpKind, TopUpOutcome, TopUpRequest, WorkerTopUp, worker_parameters

SPACING_S_MAX: Final = 90.0  # longer than Batch takes to list a new job
SPACING_S_MIN: Final = 15.0
FIRST_KEY: Final = "fallback-first"  # the same for whoever hears first that a run can't begin
FIRST_AGAIN_MS: Final = 600_000  # a first worker that came to nothing is followed by another one so much later,
FIRST_TRIES_MAX: Final = 12  # so often: what ends each before it plans is then not Spot's doing


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Workers to add, and their name in the run's history: the same for whoever decides it in the same slot of time."""

    request: TopUpRequest
    slot: int  # epoch ms of its begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """Submits to the on-demand queue of its family what the run's own submission describes."""

    topup: WorkerTopUp
    queues: QueuePairs

    def plan(self, run_id: str, like: Submission, *, workers: int, fallback_after_s: float, look: Look) -> Addition:
        """As many workers, unless some are added just before."""
        spacing_s = round(min(SPACING_S_MAX, max(SPACING_S_MIN, fallback_after_s / 2)))
        slot = look.now_ms // (spacing_s * 1000)
        request = self._request(run_id, like, key=f"fallback-{slot}", workers=workers, spacing_s=spacing_s)
        return Addition(request=request, slot=slot * spacing_s * 1000)

    def add(self, addition: Addition) -> TopUpOutcome:
        """Submit them.

        Raises:
            AwsError: table or Batch refused or stayed unavailable; the next round decides anew.
        """
        return self.topup.submit_once(addition.request)

    def job_of(self, addition: Addition) -> str | None:
        """The job it gave, if its submission is on record."""
        return self.topup.job_of(addition.request.run_id, addition.request.key)

    def add_first(self, run_id: str, like: Submission, *, waited_ms: int) -> TopUpOutcome:
        """The one worker that plans a run of which none of the Spot workers has started; every ten minutes another.

        Args:
            waited_ms: since the run's first worker was submitted; 0 where nobody looked whether another one lives.
        """
        tries = min(FIRST_TRIES_MAX - 1, max(0, waited_ms) // FIRST_AGAIN_MS)
        key = f"{FIRST_KEY}-{tries}" if tries else FIRST_KEY
        return self.topup.submit_once(self._request(run_id, like, key=key, workers=1, spacing_s=0.0))

    def _request(self, run_id: str, like: Submission, *, key: str, workers: int, spacing_s: float) -> TopUpRequest:
        return TopUpRequest(
            run_id=run_id,
            key=key,
            kind=TopUpKind.FALLBACK,
            job_queue=self.queues.on_demand_for(like.job_queue),
            job_definition=like.job_definition,
            parameters=worker_parameters(like.parameters, run_id=run_id),
            base_name=like.job_name,
            workers=min(workers, ARRAY_MAX),
            tags=like.tags,
            memory_mib=like.memory_mib,
            share=like.share,
            spacing_s=spacing_s,
        )
