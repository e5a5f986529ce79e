"""Caps: never are more on-demand workers asked for than a run may have."""

import math
from collections.abc import Iterator
from typing import Final

from lambdas.controlling.additions import SPACING_S_MIN
from simulation.checks.base import Check
from simulation.checks.parsed import session_from_item
from simulation.cloud.batch_job import SimJob
from simulation.cloud.instance import Lifecycle
from simulation.faults.calls import Call
from simulation.kernel.scheduler import microseconds
from simulation.worker import KIND
from spotproof.interruptions.eventbridge import JobStatus
from spotproof.leases.model import Session, SessionState

PERSON: Final = "operator"
LATE_S: Final = 20.0  # after its invocation began
LOOK_S: Final = 60.0  # before a submission: what had not ended then may have counted as a worker


class CapCheck(Check):
    """Counts, at every submission by a function, the on-demand workers of the run that are there or coming.

    SubmitJob has no idempotency token: of jobs of one name only one counts, as in the markers. An invocation that stood
    still since it looked is judged by nobody: what it adds was allowed then. Nor are those whose clocks differ by more
    than the time that they leave Batch to list a new job (C1): each believes that the other's is long there.
    """

    def calling(self, call: Call) -> None:
        if call.operation != "submit_job" or call.process.kind in (PERSON, KIND) or self._is_late(call):
            return
        if 2 * self.world.scenario.skew_s > SPACING_S_MIN:
            return
        if (
            call.parameters["jobQueue"].rpartition("/")[2] != self.world.on_demand_queue
            or self.world.scenario.on_demand
        ):
            return
        options = self.world.options
        cap = options.on_demand_workers_max
        share = options.on_demand_share_max
        if share < 1:
            of_share = max(1, math.floor(share * self._width() + 1e-9)) if share > 0 else 0
            cap = of_share if cap is None else min(cap, of_share)
        if cap is None:
            return
        there = len(set(self._there(call.parameters["jobName"])))
        more = (call.parameters.get("arrayProperties") or {}).get("size", 1)
        words = f"{call.process.name} adds {more} on-demand workers to {there}, and {cap} are allowed"
        self.report.require(there + more <= cap, "caps", words)

    def _there(self, name: str) -> Iterator[str]:
        """On-demand workers, named by their job and index; none that leaves, none of the job `name`."""
        sessions = {session.host.batch_job_id: session for session in self._sessions()}
        for job in self._jobs(Lifecycle.ON_DEMAND):
            if job.ended or job.name == name:
                continue
            session = sessions.get(job.id)
            leaves = job.status is JobStatus.RUNNING and session is not None and session.stop is not None
            if not leaves:
                yield f"{job.name}:{job.index}"

    def _width(self) -> int:
        """Spot workers that the run was submitted with, or that were there at the last look."""
        since = self.world.scheduler.now - microseconds(LOOK_S)
        live: int = sum(job.stopped_at is None or job.stopped_at >= since for job in self._jobs(Lifecycle.SPOT))
        return max(int(self.world.scenario.workers), live)

    def _jobs(self, lifecycle: Lifecycle) -> Iterator[SimJob]:
        """Workers: jobs, and the children of arrays."""
        for job in self.world.batch.jobs.values():
            if not job.children and job.queue.lifecycle is lifecycle:
                yield job

    def _sessions(self) -> Iterator[Session]:
        """The last session of each job is last."""
        found = [session_from_item(item) for item in self.world.table.items() if "#SESSIONS#" in item["pk"]["S"]]
        yield from sorted(
            (each for each in found if each.state is SessionState.ALIVE), key=lambda session: session.started_at
        )

    def _is_late(self, call: Call) -> bool:
        environment = self.world.functions.environments.of(call.process)
        return bool(self.world.scheduler.now - environment.began > microseconds(LATE_S))
