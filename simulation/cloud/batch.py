"""AWS Batch of a simulated world, put together."""

import random
from collections.abc import Sequence
from typing import Final

from simulation.cloud.aws_event import EventSink
from simulation.cloud.batch_api import LIST_MAX, BatchApi
from simulation.cloud.batch_attempts import Attempts, StartContainer
from simulation.cloud.batch_blocked import BlockedQueues
from simulation.cloud.batch_job import SimJob, SimJobDefinition, SimQueue
from simulation.cloud.batch_placement import Placement
from simulation.cloud.batch_states import JobStates
from simulation.cloud.fleet import Fleet
from simulation.cloud.timing import USUAL, Timing
from simulation.faults.book import FaultBook
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace
from spotproof import contract

AGENT_STOP_GRACE_S: Final = 110.0  # ECS_CONTAINER_STOP_TIMEOUT of stacks.fleet


class Batch:
    """Queues, job definitions and jobs; `api` is what clients call."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        bus: EventSink,
        fleet: Fleet,
        queues: Sequence[SimQueue],
        definitions: Sequence[SimJobDefinition],
        start_container: StartContainer,
        timing: Timing = USUAL,
        stop_grace_s: float = contract.STOP_GRACE_S,
        page_max: int = LIST_MAX,
    ) -> None:
        """
        Args:
            start_container: makes the process of an attempt, with `container_ended` as its `on_exit`, and may set
                `job.on_sigterm`; without one SIGTERM ends the process.
            stop_grace_s: from SIGTERM to SIGKILL; Batch promises 30, the deployed agent gives AGENT_STOP_GRACE_S.
            page_max: jobs in one answer of ListJobs; Batch may always give fewer than asked for.
        """
        self._states = JobStates(scheduler=scheduler, trace=trace, rng=rng, bus=bus)
        self._attempts = Attempts(
            scheduler=scheduler,
            trace=trace,
            rng=rng,
            faults=faults,
            fleet=fleet,
            states=self._states,
            start_container=start_container,
            stop_grace_s=stop_grace_s,
            timing=timing,
        )
        blocked = BlockedQueues(scheduler=scheduler, trace=trace, rng=rng, faults=faults, bus=bus)
        placement = Placement(
            scheduler=scheduler, fleet=fleet, states=self._states, attempts=self._attempts, blocked=blocked
        )
        self.api = BatchApi(
            scheduler=scheduler,
            rng=rng,
            faults=faults,
            fleet=fleet,
            queues=queues,
            definitions=definitions,
            states=self._states,
            placement=placement,
            attempts=self._attempts,
            page_max=page_max,
        )

    @property
    def jobs(self) -> dict[str, SimJob]:
        """Every job ever submitted, by id."""
        return self.api.jobs

    def container_ended(self, process: Process) -> None:
        """To be the `on_exit` of every process that `start_container` returns."""
        self._attempts.container_ended(process)
