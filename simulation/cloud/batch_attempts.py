"""Containers of jobs: started on instances, stopped, killed, lost, and what Batch learns of their end."""

import random
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Final

from simulation.cloud.aws_event import epoch_ms
from simulation.cloud.batch_job import SimAttempt, SimJob
from simulation.cloud.batch_retry import OUT_OF_MEMORY, TIMED_OUT, AttemptEnd, host_gone, is_retried
from simulation.cloud.batch_states import JobStates
from simulation.cloud.fates import FateClock
from simulation.cloud.fleet import Fleet
from simulation.cloud.instance import SimInstance
from simulation.cloud.timing import Timing
from simulation.faults.book import FaultBook
from simulation.kernel.process import KILLED, Process
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace
from spotproof.interruptions.eventbridge import JobStatus

StartContainer = Callable[[SimJob, int, SimInstance], Process]

SIGTERM_UNHANDLED: Final = 143
CANNOT_PULL: Final = "P8 cannot pull"  # chance per attempt
ENOUGH_MIB: Final = 6000  # with so much memory no container of ours runs out of it
HOST_TOO: Final = "P1 host too"  # chance per SIGKILL of the plan that it was the whole host


class ContainerFate(StrEnum):
    """Names begin with the catalogue's id. Their rates are per container-hour."""

    STOPPED = "P2 stopped"  # SIGTERM, and SIGKILL after the grace: an update of the environment, an operator
    OUT_OF_MEMORY = "P4 out of memory"
    TAKEN_FOR_LOST = "K1 taken for lost"  # the agent lost its connection: Batch starts it again while it runs on


class Attempts:
    """Runs one attempt after the other of each job."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        fleet: Fleet,
        states: JobStates,
        start_container: StartContainer,
        stop_grace_s: float,
        timing: Timing,
    ) -> None:
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._fleet = fleet
        self._states = states
        self._start_container = start_container
        self._stop_grace_s = stop_grace_s
        self._timing = timing
        self.on_room: Callable[[], None] = lambda: None
        self._clock = FateClock(scheduler=scheduler, rng=rng, faults=faults)
        self._open: dict[str, SimJob] = {}  # with an attempt
        self._containers: dict[Process, tuple[SimJob, SimAttempt]] = {}
        fleet.on_terminated.append(self._host_terminated)

    def start(self, job: SimJob, instance: SimInstance) -> None:
        """Begin the next attempt on a running instance that has room for it already."""
        task_id = f"{self._rng.getrandbits(128):032x}"
        attempt = SimAttempt(number=len(job.past) + 1, instance=instance, task_id=task_id)
        job.attempt = attempt
        self._open[job.id] = job
        self._states.enter(job, JobStatus.STARTING)
        wait_s = self._rng.randrange(*self._timing.pull_s)
        if self._faults.strikes(CANNOT_PULL, "batch"):
            end = AttemptEnd(
                reason="CannotPullContainerError: Error response from daemon: toomanyrequests: Rate exceeded",
                status_reason="Task failed to start",
            )
            self._scheduler.after(wait_s, partial(self._pull_failed, job, attempt, end))
        else:
            self._scheduler.after(wait_s, partial(self._run, job, attempt))

    def stop(self, job: SimJob) -> None:
        """SIGTERM to the job's container, SIGKILL after the grace; one that has not begun never does."""
        attempt = job.attempt
        if attempt is None or attempt.stopping:
            return
        if attempt.process is None:
            self._settle(job, attempt, AttemptEnd(status_reason=job.stop_reason))
        elif attempt.process.alive:
            attempt.stopping = True
            self._note("SIGTERM", job, attempt)
            self._scheduler.after(self._stop_grace_s, partial(self._kill, attempt.process, "grace is over"))
            if job.on_sigterm is None:
                attempt.process.end(SIGTERM_UNHANDLED, "SIGTERM")
            else:
                job.on_sigterm()

    def container_ended(self, process: Process) -> None:
        """The `on_exit` of every process that `start_container` made."""
        job, attempt = self._containers.pop(process)
        attempt.instance.processes.remove(process)
        self._note(f"container ended with {process.exit_code}", job, attempt)
        if self._faults_host(process):
            self._fleet.fail(attempt.instance, "host failure")
        if not attempt.instance.powered:
            return  # nobody is left who could tell
        end = AttemptEnd(exit_code=process.exit_code, reason=OUT_OF_MEMORY if attempt.out_of_memory else "")
        self._scheduler.after(self._timing.report_s * self._rng.random(), partial(self._settle, job, attempt, end))

    def _run(self, job: SimJob, attempt: SimAttempt) -> None:
        if attempt.settled or not attempt.instance.is_live:
            return
        attempt.started_at = job.started_at = self._scheduler.now
        job.on_sigterm = None
        self._states.enter(job, JobStatus.RUNNING)
        process = self._start_container(job, attempt.number, attempt.instance)
        attempt.process = process
        self._containers[process] = (job, attempt)
        attempt.instance.processes.append(process)
        self._note(f"container started on {attempt.instance.id}", job, attempt)
        self._scheduler.after(job.timeout_s, partial(self._timed_out, job, attempt))
        self._clock.watch(
            tuple(ContainerFate),
            lasts=lambda: process.alive and not attempt.settled,
            meet=lambda fate: self._meet(job, attempt, process, fate),
        )

    def _meet(self, job: SimJob, attempt: SimAttempt, process: Process, fate: str) -> None:
        if fate == ContainerFate.OUT_OF_MEMORY and job.memory_mib >= ENOUGH_MIB:
            return
        self._faults.count(fate, "batch")
        self._note(fate, job, attempt)
        match fate:
            case ContainerFate.STOPPED:
                self.stop(job)
            case ContainerFate.OUT_OF_MEMORY:
                attempt.out_of_memory = True
                process.kill(fate)
            case ContainerFate.TAKEN_FOR_LOST:
                attempt.instance.draining = True
                self._settle(job, attempt, host_gone(attempt.instance.id))

    def _timed_out(self, job: SimJob, attempt: SimAttempt) -> None:
        if job.attempt is attempt and attempt.process is not None and attempt.process.alive:
            attempt.timed_out = True
            self.stop(job)

    def _pull_failed(self, job: SimJob, attempt: SimAttempt, end: AttemptEnd) -> None:
        if attempt.instance.is_live:
            self._settle(job, attempt, end)

    def _kill(self, process: Process, why: str) -> None:
        if process.alive:
            process.kill(why)

    def _faults_host(self, process: Process) -> bool:
        """Whether the SIGKILL that the plan of faults gave `process` was the end of its whole host."""
        planned = process.exit_code == KILLED and process.why.startswith("P1 ")
        return planned and self._faults.strikes(HOST_TOO, f"ec2 {process.kind}")

    def _host_terminated(self, instance: SimInstance) -> None:
        lost = [
            (job, job.attempt)
            for job in self._open.values()
            if job.attempt is not None and job.attempt.instance is instance
        ]
        for job, attempt in lost:
            wait_s = self._rng.randrange(*self._timing.host_gone_s)
            self._scheduler.after(wait_s, partial(self._settle, job, attempt, host_gone(instance.id)))

    def _settle(self, job: SimJob, attempt: SimAttempt, end: AttemptEnd) -> None:
        """Batch takes note of an attempt's end, the first it hears of, and decides what follows."""
        if attempt.settled:
            return
        attempt.settled = True
        stopped_by = job.stop_reason or (TIMED_OUT if attempt.timed_out else "")
        self._close(job, attempt, end, stopped_by or end.status_reason)
        if stopped_by:
            self._states.enter(job, JobStatus.FAILED, stopped_by)
        elif end.exit_code == 0:
            self._states.enter(job, JobStatus.SUCCEEDED, end.status_reason)
        elif is_retried(end, made=len(job.past), attempts_max=job.attempts_max, conditions=job.conditions):
            self._states.make_runnable(job, reason=end.status_reason, in_front=True)
        else:
            self._states.enter(job, JobStatus.FAILED, end.status_reason)

    def _close(self, job: SimJob, attempt: SimAttempt, end: AttemptEnd, status_reason: str) -> None:
        job.attempt, job.placed_on = None, None
        del self._open[job.id]
        self._fleet.vacate(attempt.instance, job.definition.vcpus)
        self.on_room()
        shown = {
            "container": attempt.container(end),
            "stoppedAt": epoch_ms(self._scheduler.now),
            "statusReason": status_reason,
        }
        if attempt.started_at is not None:
            shown["startedAt"] = epoch_ms(attempt.started_at)
        job.past.append(shown)

    def _note(self, what: str, job: SimJob, attempt: SimAttempt) -> None:
        self._trace.note(self._scheduler.now, "batch", what, f"{job.id} attempt {attempt.number}")
