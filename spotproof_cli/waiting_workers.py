"""Why the workers of a run have not started, as far as AWS tells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spotproof.capacity.waiting import Explanation, explain_waiting
from spotproof.capacity.waiting_reader import JOBS_MAX, WaitingReader
from spotproof.errors import AwsError
from spotproof_cli.worker_jobs import WorkerJob, WorkerJobs

if TYPE_CHECKING:
    from spotproof.clock import Clock
    from spotproof_cli.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWorkers:
    """Workers that wait for one reason."""

    workers: int
    reason: str  # Batch's own words; empty where it says nothing
    explanation: Explanation | None  # None: AWS would not tell enough

    @property
    def text(self) -> str:
        """One line; empty if nothing is known."""
        told = self.explanation
        return self.reason if told is None else f"{told.kind.replace('_', ' ')}: {told.text}"

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """For people: what is wrong, and what to do."""
        if not self.text:
            return ()
        shown = [("waiting", f"{self.workers} × {self.text}")]
        return shown if self.explanation is None else [*shown, ("what to do", self.explanation.advice)]

    @property
    def fields(self) -> Mapping[str, Any]:
        """As JSON, key order fixed."""
        told = self.explanation
        return {
            "workers": self.workers,
            "reason": self.reason,
            "kind": None if told is None else told.kind.value,
            "text": None if told is None else told.text,
            "advice": None if told is None else told.advice,
        }


class WaitingExplainer:
    """Explains waiting jobs; Batch's bare reasons must do where the caller may not read more, or AWS is down."""

    def __init__(self, *, jobs: WorkerJobs, reader: WaitingReader, warn: Callable[[str], None]) -> None:
        self.jobs = jobs
        self.reader = reader
        self.warn = warn
        self._warned = False

    def of(self, found: Sequence[WorkerJob]) -> tuple[WaitingWorkers, ...]:
        """Those that have not started, most workers first; jobs that wait for the same reason are one entry."""
        waiting = [job for job in found if job.not_started]
        if not waiting:
            return ()
        try:
            known = self.reader.of_jobs([job.job_id for job in waiting[:JOBS_MAX]])
        except AwsError as error:
            if not self._warned:
                self.warn(f"Batch's own reasons only, for this could not be read: {error}")
            self._warned = True
            reasons = self.jobs.waiting_reasons(waiting)
            return tuple(WaitingWorkers(workers=n, reason=said, explanation=None) for said, n in reasons.most_common())
        counted: dict[tuple[str, Explanation], int] = {}
        for facts in known:
            key = facts.reason, explain_waiting(facts)
            counted[key] = counted.get(key, 0) + facts.workers
        return tuple(
            WaitingWorkers(workers=workers, reason=reason, explanation=told)
            for (reason, told), workers in sorted(counted.items(), key=lambda each: (-each[1], each[0][0]))
        )


def waiting_explainer(deployment: "Deployment", clock: "Clock", warn: Callable[[str], None]) -> WaitingExplainer:
    """One for the deployment's queues."""
    clients, retrier = deployment.clients, deployment.retrier
    return WaitingExplainer(
        jobs=WorkerJobs(batch=clients.batch, retrier=retrier, queues=deployment.names.all_queues),
        reader=WaitingReader(
            batch=clients.batch, ec2=clients.ec2, scaling=clients.autoscaling, retrier=retrier, clock=clock
        ),
        warn=warn,
    )
