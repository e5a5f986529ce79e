"""AWS Batch put together: stores, scheduler, API."""

from localcloud.batch.afflictions import afflict, condition_of
from localcloud.batch.api import BatchApi
from localcloud.batch.attempts import Attempts
from localcloud.batch.infrastructure import job_time_left_s
from localcloud.batch.job import Job
from localcloud.batch.operations import JobOperations
from localcloud.batch.resources import Resources
from localcloud.batch.scheduler import Scheduler
from localcloud.batch.store import BatchStore, ComputeEnvironment
from localcloud.batch.transitions import Transitions
from localcloud.clock import Clock
from localcloud.ec2_records import Ec2Records
from localcloud.errors import UsageError
from localcloud.event_bus import EventBus
from localcloud.executor import Executor
from localcloud.fleet import Fleet
from localcloud.instance import Instance
from localcloud.journal import Journal
from localcloud.launches import Launches
from localcloud.log_shipper import LogShipper
from localcloud.market import Market
from localcloud.metadata import Metadata
from localcloud.outages import Outages
from localcloud.quotas import Quotas
from localcloud.reactor import Reactor
from localcloud.seams import Seams

QUEUE_DELETED = "Job queue deleted"


class BatchService:
    """The parts of Batch, wired to one fleet."""

    def __init__(
        self,
        *,
        seams: Seams,
        endpoint: str,
        clock: Clock,
        reactor: Reactor,
        journal: Journal,
        events: EventBus,
        fleet: Fleet,
        market: Market,
        outages: Outages,
        quotas: Quotas,
        launches: Launches,
        records: Ec2Records,
        executor: Executor,
        metadata: Metadata,
        logs: LogShipper,
    ) -> None:
        self.stores: dict[tuple[str, str], BatchStore] = {}
        self._reactor = reactor
        self._fleet = fleet
        transitions = Transitions(
            clock=clock, journal=journal, events=events, store_of=lambda job: self.store(job.account, job.region)
        )
        attempts = Attempts(
            endpoint=endpoint,
            clock=clock,
            reactor=reactor,
            journal=journal,
            fleet=fleet,
            executor=executor,
            metadata=metadata,
            logs=logs,
            transitions=transitions,
        )
        scheduler = Scheduler(
            stores=lambda: self.stores.values(),
            clock=clock,
            reactor=reactor,
            fleet=fleet,
            market=market,
            outages=outages,
            quotas=quotas,
            launches=launches,
            records=records,
            attempts=attempts,
            transitions=transitions,
        )
        self.jobs = JobOperations(clock=clock, transitions=transitions, scheduler=scheduler, attempts=attempts)
        self.api = BatchApi(
            seams=seams,
            reactor=reactor,
            store_for=self.store,
            resources=Resources(
                records=records,
                retire=self._retire,
                renew=self._renew,
                is_renewing=self._is_renewing,
                end_jobs=lambda store, queue: self.jobs.stop_queue(store, queue, QUEUE_DELETED),
                desired_vcpus=self._live_vcpus,
            ),
            jobs=self.jobs,
        )
        fleet.on_running = scheduler.instance_running
        fleet.on_leaving = scheduler.instance_leaving
        fleet.min_vcpus_of = self._min_vcpus
        reactor.on_change(scheduler.settle)
        reactor.on_change(self._forget_deleted_queues)

    def store(self, account: str, region: str) -> BatchStore:
        """What this account holds in this region."""
        return self.stores.setdefault((account, region), BatchStore(account=account, region=region))

    def all_jobs(self) -> list[Job]:
        """Every job of every account."""
        return [job for store in self.stores.values() for job in store.jobs.values()]

    def reset_jobs(self) -> int:
        """Fail every job that has not ended, for a test that wants to begin with none.

        Returns:
            How many jobs were still alive.
        """
        with self._reactor.changing():
            return sum(self.jobs.stop_everything(store, "reset") for store in self.stores.values())

    def afflict(self, name: str, condition: str, *, reason: str = "") -> None:
        """Make something wrong, or well again, with the compute environments of this name, in every region.

        Raises:
            UsageError: no such environment or condition.
        """
        found = [one for one in self._environments() if one.name == name]
        if not found:
            raise UsageError(f"no compute environment {name!r}: `localcloud environment` lists them")
        for environment in found:
            afflict(environment, condition, reason=reason)

    def heal(self) -> None:
        """Lift what `afflict` did; who was disabled through the API is enabled too."""
        for environment in self._environments():
            afflict(environment, "well")

    def conditions(self) -> dict[str, str]:
        """What is wrong with each compute environment."""
        return {one.name: condition_of(one) for one in self._environments()}

    def _environments(self) -> list[ComputeEnvironment]:
        return [one for store in self.stores.values() for one in store.environments.values()]

    def _forget_deleted_queues(self) -> None:
        """A deleted queue is there until the last of its jobs has ended."""
        for store in self.stores.values():
            for queue in [one for one in store.queues.values() if one.is_deleting]:
                if all(job.ended for job in store.jobs.values() if job.queue_arn == queue.arn):
                    del store.queues[queue.name]
                    queue.gone.set()

    def _hosts(self, environment: ComputeEnvironment) -> list[Instance]:
        return [one for one in self._fleet.instances.values() if one.request.cluster == environment.cluster]

    def _retire(self, environment: ComputeEnvironment) -> None:
        for instance in self._hosts(environment):
            self._fleet.terminate(instance, why="compute environment deleted")

    def _renew(self, environment: ComputeEnvironment) -> None:
        within_s = job_time_left_s(environment.document["updatePolicy"])
        for instance in self._hosts(environment):
            self._fleet.replace(instance, within_s=within_s)

    def _is_renewing(self, environment: ComputeEnvironment) -> bool:
        return any(one.outdated and one.is_live for one in self._hosts(environment))

    def _live_vcpus(self, environment: ComputeEnvironment) -> int:
        """What the environment's instances add up to; here an instance is wanted exactly when it is launched."""
        return sum(one.type.vcpus for one in self._hosts(environment) if one.is_live)

    def _min_vcpus(self, instance: Instance) -> int:
        store = self.store(instance.request.account, instance.request.region)
        environment = store.environments.get(instance.request.environment)
        return environment.min_vcpus if environment else 0
