"""Where runnable jobs go: free room first, then new instances, then the next compute environment."""

from collections.abc import Callable, Iterable
from functools import partial

from localcloud.batch.attempts import Attempts
from localcloud.batch.blocked import Blocked, Refusal, judge_blocked, launch_failure
from localcloud.batch.job import Job, Status
from localcloud.batch.store import BatchStore, ComputeEnvironment, JobQueue, QueueBlocked, name_of
from localcloud.batch.transitions import QUEUE_BLOCKED, Transitions
from localcloud.catalog import fargate_task
from localcloud.clock import Clock
from localcloud.ec2_records import Ec2Records
from localcloud.fleet import Fleet
from localcloud.instance import Instance, LaunchRequest, Lifecycle, State
from localcloud.launches import GROUP_TAG, Launches, group_of
from localcloud.market import Market, Pool, choose_on_demand, choose_spot
from localcloud.outages import Outages
from localcloud.quotas import Quotas
from localcloud.reactor import Reactor

TEMPLATE_VERSION_TAG = "aws:ec2launchtemplate:version"


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
        outages: Outages,
        quotas: Quotas,
        launches: Launches,
        records: Ec2Records,
        attempts: Attempts,
        transitions: Transitions,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._reactor = reactor
        self._fleet = fleet
        self._market = market
        self._outages = outages
        self._quotas = quotas
        self._launches = launches
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
            held_up: set[str] = set()
            for job in by_queue:
                if job.queue_arn not in held_up and self._place_first(store, job, refused):
                    held_up.add(job.queue_arn)

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

    def _place_first(self, store: BatchStore, job: Job, refused: set[tuple[str, int, int]]) -> bool:
        """Whether the job holds up its queue: the first of it, and it fits nowhere."""
        queue = store.queues.get(name_of(job.queue_arn))
        shape = (job.queue_arn, job.vcpus, job.memory_mib)
        if queue is None or not queue.is_enabled or shape in refused:
            return False
        refusals: list[tuple[Refusal, list[str]]] = []
        for name in queue.environments:
            environment = store.environments.get(name)
            if environment is None:
                continue
            found = self._find(environment, job)
            if isinstance(found, Instance):
                self._assign(queue, job, found)
                return False
            refusals.append((found, [kind.name for kind in environment.types]))
        is_head = not any(queue_arn == job.queue_arn for queue_arn, _, _ in refused)
        refused.add(shape)
        if not is_head:
            return False
        blocked = judge_blocked(refusals)
        self._report_blocked(queue, job, blocked)
        return blocked is not None and blocked.is_misfit

    def _assign(self, queue: JobQueue, job: Job, instance: Instance) -> None:
        self._unblock(queue, job)
        instance.occupy(vcpus=job.vcpus, memory_mib=job.memory_mib)
        job.placed_on = instance
        if instance.state is State.RUNNING:
            self._attempts.start(job, instance)

    def _find(self, environment: ComputeEnvironment, job: Job) -> Instance | Refusal:
        if not environment.is_enabled:
            return Refusal.OFF
        if not environment.is_valid:
            return Refusal.INVALID
        mine = [
            one for one in self._fleet.instances.values() if one.is_live and one.request.cluster == environment.cluster
        ]
        if environment.is_fargate:
            return self._launch_task(environment, job, used_vcpus=sum(one.vcpus_used for one in mine))
        fitting = [one for one in mine if one.has_room(vcpus=job.vcpus, memory_mib=job.memory_mib)]
        if fitting:
            return min(fitting, key=lambda one: (one.type.vcpus - one.vcpus_used, one.launched_at))
        return self._launch(environment, job, used_vcpus=sum(one.type.vcpus for one in mine))

    def _launch_task(self, environment: ComputeEnvironment, job: Job, *, used_vcpus: int) -> Instance | Refusal:
        """A Fargate task is a host for its job alone."""
        if job.vcpus > environment.max_vcpus:
            return Refusal.TOO_SMALL
        if used_vcpus + job.vcpus > environment.max_vcpus:
            return Refusal.BUSY
        if environment.fault is not None:
            return environment.fault
        place = {"account": environment.account, "region": environment.region}
        subnet = str(environment.resources["subnets"][0])
        zone = self._records.zone_of_subnet(**place, subnet=subnet)
        size = fargate_task(vcpus=job.vcpus, memory_mib=job.memory_mib)
        pool = Pool(type=size, zone=zone, subnet=subnet, price_usd=0.0, free=1, risk=0.0)
        return self._fleet.launch(self._request(environment, pool))

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
        chosen = environment.fault or self._choose(environment, pools)
        if isinstance(chosen, Refusal):
            self._note_failure(environment, chosen, pools)
            return chosen
        self._launches.note(account=environment.account, region=environment.region, group=group_of(environment))
        return self._fleet.launch(self._request(environment, chosen))

    def _choose(self, environment: ComputeEnvironment, pools: list[Pool]) -> Pool | Refusal:
        used = sum(
            one.type.vcpus
            for one in self._fleet.instances.values()
            if one.state is not State.TERMINATED
            and (one.request.account, one.request.region) == (environment.account, environment.region)
            and one.request.lifecycle is environment.lifecycle
        )
        allowed = [
            pool for pool in pools if self._quotas.allows(environment.lifecycle, used=used, more=pool.type.vcpus)
        ]
        if pools and not allowed:
            return Refusal.QUOTA
        spot = environment.lifecycle is Lifecycle.SPOT
        return (choose_spot(allowed) if spot else choose_on_demand(allowed)) or Refusal.CAPACITY

    def _note_failure(self, environment: ComputeEnvironment, refusal: Refusal, pools: list[Pool]) -> None:
        """Auto Scaling tells only of launches that were tried, so of none without a pool to try."""
        message = "" if not pools else launch_failure(
            refusal,
            spot=environment.lifecycle is Lifecycle.SPOT,
            type_name=pools[0].type.name,
            zone=pools[0].zone,
            quota=self._quotas.limit(environment.lifecycle),
        )  # fmt: skip
        if message:
            place = {"account": environment.account, "region": environment.region}
            self._launches.note(**place, group=group_of(environment), message=message)

    def _pools(self, environment: ComputeEnvironment) -> Iterable[Pool]:
        place = {"account": environment.account, "region": environment.region}
        for subnet in environment.resources["subnets"]:
            zone = self._records.zone_of_subnet(**place, subnet=subnet)
            closed = self._outages.covers(group=group_of(environment), zone=zone)
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
                    left = 0 if closed else free
                    yield Pool(type=kind, zone=zone, subnet=subnet, price_usd=price, free=left, risk=risk)

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
            fargate=environment.is_fargate,
            tags={
                **(environment.resources.get("tags") or {}),
                "AWSBatchServiceTag": "batch",
                GROUP_TAG: group_of(environment),
                **_template_tag(environment),
            },
        )

    def _report_blocked(self, queue: JobQueue, job: Job, blocked: Blocked | None) -> None:
        if blocked is None:
            self._unblock(queue, job)
            return
        if queue.blocked is not None and (queue.blocked.job_id, queue.blocked.text) == (job.id, blocked.text):
            return
        queue.blocked = QueueBlocked(job_id=job.id, text=blocked.text)
        job.status_reason = blocked.text
        self._transitions.note_blocked(job, queue.arn, QUEUE_BLOCKED)
        for limit in queue.document["jobStateTimeLimitActions"]:
            if limit["reason"] == blocked.reason and limit["state"] == "RUNNABLE":
                wait = self._clock.real(int(limit["maxTimeSeconds"]))
                self._reactor.after(wait, partial(self._time_limit, queue, job, queue.blocked, blocked.reason))

    def _unblock(self, queue: JobQueue, job: Job) -> None:
        """The job does not hold up the queue any more, whatever it waits for now."""
        if queue.blocked is not None and queue.blocked.job_id == job.id:
            queue.blocked = None
            job.status_reason = None

    def _time_limit(self, queue: JobQueue, job: Job, since: QueueBlocked, reason: str) -> None:
        if queue.blocked is since and job.status is Status.RUNNABLE:
            queue.blocked = None
            job.is_cancelled = True
            self._transitions.enter(job, Status.FAILED, f"Canceled by JobStateTimeLimit action due to reason: {reason}")


def _template_tag(environment: ComputeEnvironment) -> dict[str, str]:
    """As EC2 tags instances; on AWS the version is that of Batch's own copy of the template."""
    return {} if environment.template_version is None else {TEMPLATE_VERSION_TAG: environment.template_version}


def _priority(store: BatchStore, job: Job) -> int:
    queue = store.queues.get(name_of(job.queue_arn))
    return int(queue.document["priority"]) if queue else 0
