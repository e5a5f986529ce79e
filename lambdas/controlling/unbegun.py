"""How long runs wait to begin, whatever keeps them: they have no row, so no other measure sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lambdas.controlling.look import Look
from lambdas.controlling.round import RESERVE_S, Round
from spotproof.capacity.live_jobs import LiveJob
from spotproof.clock import Clock
from spotproof.errors import SpotproofError
from spotproof.interruptions.eventbridge import RUN_ID
from spotproof.leases.model import RunId
from spotproof.leases.store import LeaseStore

RUNS_MAX: Final = 20  # looked at in one round: a read each, until the first one without a row


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbegunRuns:
    """Measures the one that waits longest. Those with a row are measured elsewhere, or paused, or over."""

    store: LeaseStore
    clock: Clock

    def measure(self, look: Look, done: Round, *, deadline: float) -> None:
        """Add its wait to the gauges. A run whose row can't be read is told, and takes part in nothing."""
        for run_id, since in list(_waiting_runs(look))[:RUNS_MAX]:
            waited_s = (look.now_ms - since) / 1000
            if waited_s <= done.gauges.oldest_claimable_s or deadline - self.clock.monotonic() < RESERVE_S:
                return
            try:
                if self.store.get_run(run_id) is None:
                    done.gauges.add_unbegun(waited_s)
                    return
            except SpotproofError as error:
                done.failures.append(f"{run_id}: {error}")


def _waiting_runs(look: Look) -> Iterator[tuple[RunId, int]]:
    """Runs of which workers wait and none has started, with the time of their first job, epoch ms; the oldest first."""
    by_run: dict[RunId, list[LiveJob]] = {}
    for job in sorted(look.live.jobs, key=lambda job: job.created_at):
        if RUN_ID.fullmatch(job.run_id):
            by_run.setdefault(RunId(job.run_id), []).append(job)
    for run_id, jobs in by_run.items():
        if not any(job.starting or job.running for job in jobs):
            yield run_id, jobs[0].created_at
