"""A run from one seed: table, fleet, events, until every worker has left."""

import gc
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from bench.scale.events import Events
from bench.scale.fleet import Fleet, Instance, Slot
from bench.scale.journal import Journal
from bench.scale.network import Bill, ScaleClient
from bench.scale.scenario import Scenario
from bench.scale.shard_work import Saves, model_job
from bench.scale.table import ScaleTable
from bench.scale.worker import ModelMetadata, ModelWorker, Surroundings, settings_of
from simulation.fixed_gauge import FixedGauge
from simulation.kernel.process import EPOCH, Process
from simulation.kernel.scheduler import MICROSECONDS, Scheduler
from spotproof.clients import AwsClients
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.imds import InstanceMetadata
from spotproof.interruptions.sigterm import SigtermSource
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import Run, RunId, RunState
from spotproof.leases.run_items import run_to_item
from spotproof.leases.sizing import choose_partitions
from spotproof.retries import Retrier
from spotproof.worker.planning import WORKERS_MAX_EXPECTED, RunRequest

RUN_ID = RunId("2026-11-22")
JOB_ID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
END_S = 14 * 86400.0  # a run that lasts longer will never end
CRASHES_MAX = 10  # for each worker of the fleet


class World:
    """Everything that exists in one simulated run."""

    def __init__(self, scenario: Scenario, *, seed: int, table_of: Callable[..., ScaleTable] = ScaleTable) -> None:
        self.scenario = scenario
        self.scheduler = Scheduler()
        self._rng = random.Random(seed)
        network_rng, times_rng = random.Random(seed + 1), random.Random(seed + 2)
        self._store_s = scenario.store_latency.sampler(network_rng)
        bucket_s = scenario.bucket_latency.sampler(network_rng)
        self.work_s = [scenario.times.draw(times_rng) for _ in range(scenario.shards)]
        self.journal = Journal(shards=scenario.shards, epoch_ms=to_epoch_ms(EPOCH))
        self.bill = Bill()
        self.table = table_of(
            name="scale",
            now=self.seconds,
            lag_s=scenario.index_lag.sampler(network_rng),
            watch=self._watch,
        )
        self.fleet = Fleet(
            scenario=scenario, scheduler=self.scheduler, rng=self._rng, journal=self.journal, make_worker=self._worker
        )
        self.events = Events(
            scenario=scenario,
            scheduler=self.scheduler,
            rng=self._rng,
            fleet=self.fleet,
            journal=self.journal,
            store_of=self._store,
            bucket_s=bucket_s,
        )
        self.fleet.events = self.events
        self._surroundings = Surroundings(
            journal=self.journal,
            saves=Saves(),
            s3_s=bucket_s,
            work_s=self.work_s.__getitem__,
            safe_point_s=scenario.safe_point_s,
        )
        self.run = self._plan()

    def seconds(self) -> float:
        return self.scheduler.now / MICROSECONDS

    def play(self) -> bool:
        """Until the last worker has left; whether that ever happened."""
        logging.disable(logging.WARNING)
        gc.disable()  # ten thousand workers make few cycles, and looking through a million rows takes long
        try:
            self.fleet.launch()
            self.events.schedule_controller()
            self.scheduler.run(until=round(END_S * MICROSECONDS), done=self._is_over_or_hopeless)
            return self._is_over()
        finally:
            gc.enable()
            logging.disable(logging.NOTSET)

    def _is_over(self) -> bool:
        return self.journal.announced_s >= 0 and self.fleet.alive == 0

    def _is_over_or_hopeless(self) -> bool:
        """Batch starts crashed workers again for ever: a bug must not take two weeks to show."""
        return self._is_over() or self.fleet.crashed > CRASHES_MAX * self.scenario.workers

    def _watch(self, old: Any, new: Any) -> None:
        self.journal.now = self.seconds()
        self.journal.saw(old, new)

    def _plan(self) -> Run:
        scenario = self.scenario
        chosen = choose_partitions(shards=scenario.shards, workers=min(WORKERS_MAX_EXPECTED, scenario.shards))
        stripes, buckets = scenario.partitions or (chosen.stripes, chosen.session_buckets)
        run = Run(
            run_id=RUN_ID,
            state=RunState.RUNNING,
            job="scale",
            plan_key=f"runs/{RUN_ID}/plan-0123456789abcdef",
            plan_sha256="0f" * 32,
            parameters_sha256="1e" * 32,
            input_uri="s3://data/input/",
            output_uri="s3://data/output/",
            shards=scenario.shards,
            stripes=stripes,
            session_buckets=buckets,
            options=scenario.options,
            closed=frozenset(),
            created_at=to_epoch_ms(EPOCH),
            batch_queue="spot",
            batch_job_definition="scale:1",
        )
        self.table.put_item(
            Item=run_to_item(run), ConditionExpression="attribute_not_exists(#pk)",
            ExpressionAttributeNames={"#pk": "pk"},
        )  # fmt: skip
        return run

    def _client(self, process: Process, suffix: str = "") -> ScaleClient:
        return ScaleClient(
            table=self.table,
            process=process,
            latency_s=self._store_s,
            bill=self.bill,
            suffix=suffix,
        )

    def _store(self, process: Process, retrier: Retrier, suffix: str) -> DynamoDBLeaseStore:
        client = self._client(process, suffix)
        return DynamoDBLeaseStore(client=client, table_name=self.table.name, clock=process.clock, retrier=retrier)

    def _worker(self, process: Process, slot: Slot, instance: Instance) -> ModelWorker:
        clients = SimpleNamespace(
            dynamodb=self._client(process), s3=None, events=_Bus(self.events, process, self._surroundings), batch=None
        )
        return ModelWorker(
            settings=settings_of(job_id=f"{JOB_ID}:{slot.number}", attempt=slot.attempts),
            request=RunRequest(
                run_id=RUN_ID, job="scale", input_uri="", output_uri="", shard_by="", options=self.scenario.options,
                queue="spot", job_definition="scale:1",
            ),
            function=model_job,
            clock=process.clock,
            ids=process.ids,
            spawner=process.spawner,
            rng=random.Random(self._rng.getrandbits(32)),
            bound={},
            clients=cast(AwsClients, clients),
            metadata=cast(InstanceMetadata, ModelMetadata(instance.instance_id)),
            sigterm=SigtermSource(clock=process.clock, window_s=30.0),
            gauge=FixedGauge(),
            process=process,
            surroundings=self._surroundings,
        )  # fmt: skip


@dataclass
class _Bus:
    """EventBridge's client of one worker."""

    events: Events
    process: Process
    surroundings: Surroundings

    def put_events(self, **_: Any) -> dict[str, Any]:
        self.process.clock.sleep(self.surroundings.s3_s())
        self.events.announce()
        return {"FailedEntryCount": 0, "Entries": [{}]}
