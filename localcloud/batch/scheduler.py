"""Where runnable jobs go: free room first, then new instances, then the next compute environment."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from localcloud.batch.attempts import Attempts
from localcloud.batch.job import Job, Status
from localcloud.batch.store import BatchStore, ComputeEnvironment, JobQueue, name_of
from localcloud.batch.transitions import QUEUE_BLOCKED, Transitions
from localcloud.clock import Clock
from localcloud.ec2_records import Ec2Records
from localcloud.fleet import Fleet
from localcloud.instance import Instance, LaunchRequest, Lifecycle, State
from localcloud.market import Market, Pool, choose_on_demand, choose_spot
from localcloud.reactor import Reactor


class Refusal(Enum):
    """Why an environment has no place for a job now."""

    BUSY = "at its maximum of vCPUs"
    OFF = "disabled"
    CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    TOO_SMALL = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    NO_TYPE = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"


BLOCKING = (Refusal.CAPACITY, Refusal.TOO_SMALL, Refusal.NO_TYPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A queue whose first job can't be placed, and why, in Batch's words."""

    reason: str
    text: str


def judge_blocked(refusals: list[tuple[Refusal, list[str]]]) -> Blocked | None:
    """Whether these refusals of all environments of a queue block it: only if none of them will pass by itself."""
    if not refusals or any(refusal not in BLOCKING for refusal, _ in refusals):
        return None
    refusal, types = next(((one, names) for one, names in refusals if one is Refusal.CAPACITY), refusals[0])
    texts = {
        Refusal.CAPACITY: f"Service cannot fulfill the capacity requested for instance type [{', '.join(types)}]",
        Refusal.TOO_SMALL: "The job needs more vCPUs than the compute environment's maxvCpus",
        Refusal.NO_TYPE: "The job's resource requirements fit no instance type of the compute environment",
    }
    return Blocked(reason=refusal.value, text=f"{refusal.value} - {texts[refusal]}")


class Scheduler:
    """Places jobs whenever something changed. Every method expects the reactor's state to be held."""

    def __init__(
        self,
        *,
        stores: Callable[[], Iterable[BatchStore]],
        clock: Clock,
        reactor: Reactor,
        fleet: Fleet,
        market: Market,
        records: Ec2Records,
        attempts: Attempts,
        transitions: Transitions,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._reactor = reactor
        self._fleet = fleet
        self._market = market
        self._records = records
        self._attempts = attempts
        self._transitions = transitions

    def settle(self) -> None:
        """Place what can be placed."""
        for store in self._stores():
            store.runnable = {key: job for key, job in store.runnable.items() if job.status is Status.RUNNABLE}
            waiting = [job for job in store.runnable.values() if job.placed_on is None]
            by_queue = sorted(waiting, key=lambda job: (-_priority(store, job), job.order))
            refused: set[tuple[str, int, int]] = set()
            for job in by_queue:
                self._place_first(store, job, refused)

    def instance_running(self, instance: Instance) -> None:
        """Start the jobs that waited for the instance to boot."""
        for job in self._waiting_for(instance):
            self._attempts.start(job, instance)

    def instance_leaving(self, instance: Instance) -> None:
        """Give back the jobs that had not started."""
        for job in self._waiting_for(instance):
            self.unplace(job)

    def unplace(self, job: Job) -> None:
        """Take back the place of a job that has not started."""
        if job.placed_on is not None and job.attempt is None:
            job.placed_on.vacate(vcpus=job.vcpus, memory_mib=job.memory_mib, now=self._clock.now())
            self._fleet.watch_idle(job.placed_on)
            job.placed_on = None

    def _waiting_for(self, instance: Instance) -> list[Job]:
        return [
            job
            for store in self._stores()
            for job in store.runnable.values()
            if job.placed_on is instance and job.attempt is None and job.status is Status.RUNNABLE
        ]

    def _place_first(self, store: BatchStore, job: Job, refused: set[tuple[str, int, int]]) -> None:
        queue = store.queues.get(name_of(job.queue_arn))
        shape = (job.queue_arn, job.vcpus, job.memory_mib)
        if queue is None or not queue.is_enabled or shape in refused:
            return
        refusals: list[tuple[Refusal, list[str]]] = []
        for name in queue.environments:
            environment = store.environments.get(name)
            if environment is None:
                continue
            found = self._find(environment, job)
            if isinstance(found, Instance):
                self._assign(queue, job, found)
                return
            refusals.append((found, [kind.name for kind in environment.types]))
        is_head = not any(queue_arn == job.queue_arn for queue_arn, _, _ in refused)
        refused.add(shape)
        if is_head:
            self._report_blocked(queue, job, judge_blocked(refusals))

    def _assign(self, queue: JobQueue, job: Job, instance: Instance) -> None:
        if queue.blocked_by == job.id:
            queue.blocked_by = None
        instance.occupy(vcpus=job.vcpus, memory_mib=job.memory_mib)
        job.placed_on = instance
        if instance.state is State.RUNNING:
            self._attempts.start(job, instance)

    def _find(self, environment: ComputeEnvironment, job: Job) -> Instance | Refusal:
        if not environment.is_enabled:
            return Refusal.OFF
        mine = [
            one for one in self._fleet.instances.values() if one.is_live and one.request.cluster == environment.cluster
        ]
        fitting = [one for one in mine if one.has_room(vcpus=job.vcpus, memory_mib=job.memory_mib)]
        if fitting:
            return min(fitting, key=lambda one: (one.type.vcpus - one.vcpus_used, one.launched_at))
        return self._launch(environment, job, used_vcpus=sum(one.type.vcpus for one in mine))

    def _launch(self, environment: ComputeEnvironment, job: Job, *, used_vcpus: int) -> Instance | Refusal:
        fitting = [
            kind
            for kind in environment.types
            if kind.vcpus >= job.vcpus and kind.registered_memory_mib >= job.memory_mib
        ]
        if not fitting:
            return Refusal.NO_TYPE
        if all(kind.vcpus > environment.max_vcpus for kind in fitting):
            return Refusal.TOO_SMALL
        allowed = {kind.name for kind in fitting if used_vcpus + kind.vcpus <= environment.max_vcpus}
        if not allowed:
            return Refusal.BUSY
        pools = [pool for pool in self._pools(environment) if pool.type.name in allowed]
        spot = environment.lifecycle is Lifecycle.SPOT
        chosen = choose_spot(pools) if spot else choose_on_demand(pools)
        return Refusal.CAPACITY if chosen is None else self._fleet.launch(self._request(environment, chosen))

    def _pools(self, environment: ComputeEnvironment) -> Iterable[Pool]:
        place = {"account": environment.account, "region": environment.region}
        for subnet in environment.resources["subnets"]:
            zone = self._records.zone_of_subnet(**place, subnet=subnet)
            for kind in environment.types:
                if environment.lifecycle is Lifecycle.ON_DEMAND:
                    price, free = kind.on_demand_usd, 1
                else:
                    price = self._market.price_usd(kind, zone)
                    taken = sum(
                        one.is_spot and one.state is not State.TERMINATED and (one.type, one.zone) == (kind, zone)
                        for one in self._fleet.instances.values()
                    )
                    free = self._market.capacity(kind, zone) - taken
                if price <= kind.on_demand_usd * environment.bid_fraction:
                    risk = self._market.risk(kind, zone)
                    yield Pool(type=kind, zone=zone, subnet=subnet, price_usd=price, free=free, risk=risk)

    def _request(self, environment: ComputeEnvironment, pool: Pool) -> LaunchRequest:
        place = {"account": environment.account, "region": environment.region}
        return LaunchRequest(
            environment=environment.name,
            cluster=environment.cluster,
            account=environment.account,
            region=environment.region,
            lifecycle=environment.lifecycle,
            pool=pool,
            instance_role=self._records.role_of_profile(**place, profile=environment.resources.get("instanceRole")),
            tags={**(environment.resources.get("tags") or {}), "AWSBatchServiceTag": "batch"},
        )

    def _report_blocked(self, queue: JobQueue, job: Job, blocked: Blocked | None) -> None:
        if blocked is None or (queue.blocked_by == job.id and job.status_reason == blocked.text):
            return
        queue.blocked_by = job.id
        job.status_reason = blocked.text
        self._transitions.note_blocked(job, queue.arn, QUEUE_BLOCKED)
        for limit in queue.document["jobStateTimeLimitActions"]:
            if limit["reason"] == blocked.reason and limit["state"] == "RUNNABLE":
                wait = self._clock.real(int(limit["maxTimeSeconds"]))
                self._reactor.after(wait, partial(self._time_limit, queue, job, blocked))

    def _time_limit(self, queue: JobQueue, job: Job, blocked: Blocked) -> None:
        if queue.blocked_by == job.id and job.status is Status.RUNNABLE and job.status_reason == blocked.text:
            queue.blocked_by = None
            job.is_cancelled = True
            text = f"Canceled by JobStateTimeLimit action due to reason: {blocked.reason}"
            self._transitions.enter(job, Status.FAILED, text)


def _priority(store: BatchStore, job: Job) -> int:
    queue = store.queues.get(name_of(job.queue_arn))
    return int(queue.document["priority"]) if queue else 0
