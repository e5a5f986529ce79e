"""One local account put together: the emulator with everything this package adds to it."""

import threading
from typing import Any

import boto3
from botocore.config import Config

from localcloud.batch.job import DEFAULT_LOG_GROUP
from localcloud.batch.service import BatchService
from localcloud.calls import Calls
from localcloud.cfn.batch_types import register_batch_types
from localcloud.cfn.drift import install_drift
from localcloud.cfn.fis_types import register_fis_types
from localcloud.cfn.monitoring_types import register_monitoring_types
from localcloud.cfn.network_types import register_network_types
from localcloud.cfn.property_repairs import install_property_repairs
from localcloud.chaos import ChaosPlan
from localcloud.clock import Clock
from localcloud.ec2_records import Ec2Records
from localcloud.errors import UsageError
from localcloud.event_bus import EventBus
from localcloud.executor import Executor
from localcloud.fis.api import FisApi
from localcloud.fis.experiments import Experiments
from localcloud.fis.injections import Injector
from localcloud.fis.role import ExperimentRole
from localcloud.fleet import Fleet
from localcloud.images import Images
from localcloud.journal import Journal
from localcloud.launches import Launches
from localcloud.log_shipper import LogShipper
from localcloud.market import Market
from localcloud.metadata import Metadata
from localcloud.outages import Outages
from localcloud.query_definitions import QueryDefinitions
from localcloud.quotas import Quotas
from localcloud.reactor import Reactor
from localcloud.repairs.alarms import Alarms
from localcloud.repairs.batch_authorization import install_batch_authorization
from localcloud.repairs.ec2_reads import install_ec2_reads
from localcloud.repairs.ecs_reads import EcsReads
from localcloud.repairs.emf import install_emf
from localcloud.repairs.event_delivery import EventDelivery
from localcloud.repairs.lambda_interpreter import install_lambda_interpreter
from localcloud.repairs.lambda_logs import install_lambda_logs
from localcloud.repairs.lambda_warmup import WarmUp
from localcloud.repairs.scaling_activities import install_scaling_activities
from localcloud.repairs.scaling_group_reads import ScalingGroupReads
from localcloud.repairs.schedules import Schedules
from localcloud.seams import Seams
from localcloud.service_quotas import ServiceQuotasApi
from localcloud.sessions import Sessions
from localcloud.settings import ROOT_SECRET, Settings
from localcloud.state_dir import StateDir
from localcloud.usage import Usage


class Account:
    """Builds the parts in the order they need each other; `start` and `stop` run them."""

    def __init__(self, *, settings: Settings, endpoint: str, state: StateDir, seams: Seams) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self.seams = seams
        self.clock = Clock(
            scale=settings.scale,
            warning_floor_s=settings.warning_floor_real_s,
            stop_grace_floor_s=settings.stop_grace_floor_real_s,
        )
        self.journal = Journal()
        self.reactor = Reactor()
        self.chaos = ChaosPlan()
        self.market = Market(seed=settings.seed, now=self.clock.now)
        self.quotas = Quotas()
        self.launches = Launches(clock=self.clock)
        self.outages = Outages()
        self.images = Images(state.images)
        self.events = EventBus(seams)
        self.records = Ec2Records(seams)
        self.executor = Executor(images=self.images, reactor=self.reactor, journal=self.journal)
        self.fleet = Fleet(
            directory=state.instances,
            clock=self.clock,
            reactor=self.reactor,
            journal=self.journal,
            events=self.events,
            records=self.records,
            executor=self.executor,
            boot_s=settings.boot_s,
            idle_s=settings.idle_s,
            host_gone_s=settings.host_gone_s,
        )
        sessions = Sessions(seams)
        self.metadata = Metadata(sessions=sessions, role_of=lambda instance: instance.request.instance_role)
        self.batch = BatchService(
            seams=seams,
            endpoint=endpoint,
            clock=self.clock,
            reactor=self.reactor,
            journal=self.journal,
            events=self.events,
            fleet=self.fleet,
            market=self.market,
            outages=self.outages,
            quotas=self.quotas,
            launches=self.launches,
            records=self.records,
            executor=self.executor,
            metadata=self.metadata,
            logs=LogShipper(seams),
        )
        self.alarms = Alarms(seams=seams, clock=self.clock)
        self.queries = QueryDefinitions(seams=seams, clock=self.clock)
        self.fis = FisApi(seams=seams, reactor=self.reactor, experiments=self._experiments())
        self.schedules = Schedules(seams=seams, clock=self.clock)
        self.warm_up = WarmUp(seams=seams, journal=self.journal)
        self.usage = Usage(seams)
        self.calls = Calls(seams)

    def _experiments(self) -> Experiments:
        return Experiments(
            clock=self.clock,
            reactor=self.reactor,
            journal=self.journal,
            injector=Injector(
                fleet=self.fleet, outages=self.outages, records=self.records, batch_store=self.batch.store
            ),
            role_for=lambda store, experiment: ExperimentRole(
                seams=self.seams,
                account=store.account,
                region=store.region,
                role_arn=experiment.template["roleArn"],
                experiment_arn=experiment.arn,
            ),
            alarm_state=lambda store, arn: self.alarms.state_of(account=store.account, region=store.region, arn=arn),
            seed=self.settings.seed,
        )

    def start(self) -> None:
        """Register everything on the emulator, and start the threads."""
        seams = self.seams
        install_property_repairs(seams, on_function=self.warm_up.request)
        register_batch_types(seams, self.batch.api)
        install_drift(seams, lambda: self.batch.store(*seams.current()))
        register_fis_types(seams, self.fis)
        register_monitoring_types(seams, self.queries)
        register_network_types(seams)
        self.calls.install()  # before what checks more than the emulator does, so that it sees those checks too
        install_batch_authorization(seams)
        install_emf(seams)
        install_lambda_logs(seams)
        install_lambda_interpreter(seams, self.images, self.clock)
        install_ec2_reads(seams=seams, fleet=self.fleet, market=self.market, reactor=self.reactor)
        install_scaling_activities(seams=seams, launches=self.launches)
        EcsReads(seams=seams, fleet=self.fleet, reactor=self.reactor).install()
        ScalingGroupReads(seams=seams, fleet=self.fleet, reactor=self.reactor, store_for=self.batch.store).install()
        self.alarms.install()
        self.queries.install()
        EventDelivery(
            seams=seams,
            clock=self.clock,
            journal=self.journal,
            reactor=self.reactor,
            chaos=self.chaos,
            send_message=self._send_message,
        ).install()
        self.schedules.install()
        seams.serve("batch", self.batch.api.handle)
        seams.serve("fis", self.fis.handle)
        seams.serve("servicequotas", ServiceQuotasApi(self.quotas).handle)
        self.usage.install()
        self.reactor.start()
        self.warm_up.start()
        self.alarms.start()
        self.metadata.start(self.fleet)

    def stop(self) -> None:
        """Kill every process of the fleet and of the Lambda functions."""
        self.executor.shutdown()
        self.reactor.stop()
        self.alarms.stop()
        self.metadata.stop()
        self.seams.lambda_runtime.reset()

    def client(self, service: str) -> Any:
        """A boto3 client of the account's root, for threads other than the event loop."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=self.settings.region,
            aws_access_key_id=self.settings.account,
            aws_secret_access_key=ROOT_SECRET,
            config=Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 3}),
        )

    def pools(self) -> list[dict[str, Any]]:
        """Every pool that a compute environment of the account can use."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for store in self.batch.stores.values():
            for environment in store.environments.values():
                for subnet in environment.resources["subnets"]:
                    zone = self.records.zone_of_subnet(account=store.account, region=store.region, subnet=subnet)
                    for kind in environment.types:
                        rows[kind.name, zone] = {
                            "type": kind.name,
                            "az": zone,
                            "vcpus": kind.vcpus,
                            "on_demand_usd": kind.on_demand_usd,
                            "spot_usd": self.market.price_usd(kind, zone),
                            "capacity": self.market.capacity(kind, zone),
                            "risk": round(self.market.risk(kind, zone), 3),
                        }
        return [rows[key] for key in sorted(rows)]

    def job_output(self, job_id: str) -> list[dict[str, Any]]:
        """The lines of every attempt of a job.

        Raises:
            UsageError: if there is no such job.
        """
        with self.reactor.reading():
            job = next((one for one in self.batch.all_jobs() if one.id == job_id), None)
            if job is None:
                raise UsageError(f"no job {job_id!r}: `localcloud status` lists them")
            streams = [attempt["container"]["logStreamName"] for attempt in job.past]
            streams += [job.attempt.log_stream] if job.attempt else []
            group = job.log_options().get("awslogs-group", DEFAULT_LOG_GROUP)
        logs = self.client("logs")
        return [{"stream": stream, "lines": _lines(logs, group, stream)} for stream in streams]

    def _send_message(self, queue_arn: str, body: str, attributes: dict[str, str]) -> None:
        threading.Thread(target=self._send, args=(queue_arn, body, attributes), name="dead-letter", daemon=True).start()

    def _send(self, queue_arn: str, body: str, attributes: dict[str, str]) -> None:
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=typed)
        self.journal.note("delivery.dead_letter", queue=queue_arn, error=attributes.get("ERROR_CODE"))


def _lines(logs: Any, group: str, stream: str) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=[stream])
    try:
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []  # nothing was written yet
