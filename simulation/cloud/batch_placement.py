"""Where runnable jobs go: free room first, then new instances, up to the environment's vCPUs."""

from typing import Final

from simulation.cloud.batch_attempts import Attempts
from simulation.cloud.batch_blocked import BlockedQueues
from simulation.cloud.batch_job import SimJob
from simulation.cloud.batch_states import JobStates
from simulation.cloud.fleet import Fleet
from simulation.cloud.instance import SimInstance
from simulation.kernel.scheduler import Scheduler, microseconds

EVERY_S: Final = 1.0  # Batch looks no more often
CAPACITY_EVERY_S: Final = 30.0  # and asks EC2 again after that


class Placement:
    """Batch's scheduler."""

    def __init__(
        self, *, scheduler: Scheduler, fleet: Fleet, states: JobStates, attempts: Attempts, blocked: BlockedQueues
    ) -> None:
        self._scheduler = scheduler
        self._fleet = fleet
        self._states = states
        self._attempts = attempts
        self._blocked = blocked
        self._next_at: int | None = None
        self._booting: dict[str, list[SimJob]] = {}  # jobs by the instance they wait for
        states.on_runnable = self.wake
        attempts.on_room = self.wake
        fleet.on_running.append(self._host_running)
        fleet.on_lost.append(self._host_lost)

    def wake(self, after_s: float = EVERY_S) -> None:
        """Look for places soon."""
        moment = self._scheduler.now + microseconds(after_s)
        if self._next_at is None or moment < self._next_at:
            self._next_at = moment
            self._scheduler.at(moment, self._look)

    def unplace(self, job: SimJob) -> None:
        """Take back the place of a job that has not begun."""
        instance = job.placed_on
        if instance is None or job.attempt is not None:
            return
        job.placed_on = None
        self._booting[instance.id].remove(job)
        self._fleet.vacate(instance, job.definition.vcpus)

    def _look(self) -> None:
        if self._next_at != self._scheduler.now:
            return  # an earlier look was asked for meanwhile
        self._next_at = None
        full: set[str] = set()
        for job in sorted(self._states.waiting.values(), key=lambda job: job.order):
            if job.queue.name not in full and not self._place(job):
                full.add(job.queue.name)

    def _place(self, job: SimJob) -> bool:
        instance = self._with_room(job) or self._new(job)
        if instance is None:
            return False
        del self._states.waiting[job.id]
        self._blocked.placed(job)
        job.placed_on = instance
        self._fleet.occupy(instance, job.definition.vcpus)
        if instance.is_running:
            self._attempts.start(job, instance)
        else:
            self._booting.setdefault(instance.id, []).append(job)
        return True

    def _with_room(self, job: SimJob) -> SimInstance | None:
        """The fullest instance that still has room."""
        fitting = [one for one in self._live(job) if one.has_room(job.definition.vcpus)]
        return min(fitting, key=lambda one: one.vcpus - one.vcpus_used, default=None)

    def _new(self, job: SimJob) -> SimInstance | None:
        """All allocation strategies may exceed the maximum by one instance (Batch API, maxvCpus)."""
        if sum(one.vcpus for one in self._live(job)) >= job.queue.vcpus_max:
            return None  # until an attempt or an instance ends
        launched = self._fleet.launch(
            environment=job.queue.environment, lifecycle=job.queue.lifecycle, vcpus=job.definition.vcpus
        )
        if launched is None:  # the first of its queue: nobody behind it is looked at
            self._blocked.no_capacity(job, types=", ".join(self._fleet.types))
            self.wake(CAPACITY_EVERY_S)
        return launched

    def _live(self, job: SimJob) -> list[SimInstance]:
        return [one for one in self._fleet.live() if one.environment == job.queue.environment]

    def _host_running(self, instance: SimInstance) -> None:
        for job in self._booting.pop(instance.id, []):
            self._attempts.start(job, instance)

    def _host_lost(self, instance: SimInstance) -> None:
        self.wake()
        for job in list(self._booting.get(instance.id, ())):
            self.unplace(job)
            self._states.wait_for_place(job)
        self._booting.pop(instance.id, None)
