"""One worker put together from its settings and the ports of its process."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spotproof import contract, events
from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.workshop import Workshop
from spotproof.clients import AwsClients
from spotproof.clock import Clock, to_epoch_ms
from spotproof.commits.buckets import DEFAULT_SIZES, PartSizes, S3OutputBuckets
from spotproof.concurrency import Spawner
from spotproof.ids import IdSource
from spotproof.interruptions.imds import ImdsSource, InstanceMetadata
from spotproof.interruptions.model import SignalSource
from spotproof.interruptions.monitor import TICK_S, Monitor
from spotproof.interruptions.sigterm import SigtermSource
from spotproof.interruptions.stop_file import StopFileReader
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import CapacityClass, Host, Lease, Run, RunState, Session, SessionId, SessionState
from spotproof.leases.sizing import session_bucket
from spotproof.retries import Retrier
from spotproof.settings import WorkerSettings
from spotproof.shards.plan_file import PlanReader
from spotproof.shards.reader import ShardReader
from spotproof.worker.announcements import RunAnnouncer
from spotproof.worker.caretaker import Caretaker
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.host import read_host
from spotproof.worker.leasing import LeaseFinder
from spotproof.worker.ledger import LedgerBook
from spotproof.worker.loop import WorkerLoop
from spotproof.worker.planning import RunJoiner, RunRequest
from spotproof.worker.registry import JobFunction
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_gauge import ShardGauge
from spotproof.worker.shard_handle import ShardHandle
from spotproof.worker.shard_requests import ShardRequests
from spotproof.worker.shard_run import ShardRun
from spotproof.worker.sink import ShardSink

logger = logging.getLogger(__name__)
DEFAULT_PORTIONS = EngineSizes()


@dataclass
class WorkerAssembly:
    """Everything one worker process needs; `run` is its life.

    It makes no clients, sockets, threads or signal handlers of its own: they are passed in, real or simulated.
    """

    settings: WorkerSettings
    request: RunRequest
    function: JobFunction
    clock: Clock
    ids: IdSource
    spawner: Spawner
    rng: random.Random
    bound: dict[str, Any]  # fields of every log line, extended as they become known
    clients: AwsClients
    metadata: InstanceMetadata
    sigterm: SigtermSource  # installed by the caller
    gauge: ShardGauge
    tick_s: float = TICK_S
    in_parts: PartSizes = DEFAULT_SIZES  # from which size on output files are written and copied in parts
    in_portions: EngineSizes = DEFAULT_PORTIONS  # in which checkpoints travel
    make_objects: Callable[[Retrier], ObjectStore] | None = None  # of the work bucket; None: over clients.s3

    def __post_init__(self) -> None:
        self.retrier = self._retrier()
        self.store = self._store(self.retrier)
        self.objects = (self.make_objects or self._over_boto3)(self.retrier)
        self.buckets = S3OutputBuckets(
            client=self.clients.s3,
            work_bucket=self.settings.work_bucket,
            retrier=self.retrier,
            sizes=self.in_parts,
        )
        self.ledger = LedgerBook(self.clock)

    def run(self) -> int:
        """Join the run, open a session, work until there is a reason to leave; the exit code.

        Raises:
            SpotproofError: the worker can't work at all; its type says why.
        """
        host = read_host(self.metadata, self.settings.batch)
        self.bound |= {"instance_id": host.instance_id, "instance_type": host.instance_type}
        self.bound |= {"zone": host.zone, "lifecycle": host.lifecycle}
        logger.info(events.WORKER_STARTED, extra={"shard_by": self.request.shard_by, "input": self.request.input_uri})
        run = self._joiner().join(self.request)
        if run.state.ended or run.state is RunState.PAUSED:
            logger.info(events.WORKER_FINISHED, extra={"exit_code": 0, "reason": f"run is {run.state}"})
            return contract.EXIT_DONE
        plan = self._plan_reader(run)
        monitor = self._monitor(host, run)
        monitor.start()
        session = self._session(host, run, monitor)
        try:
            return self._loop(run, plan, session, monitor).work()
        finally:
            session.close()
            monitor.close()

    def _retrier(self) -> Retrier:
        return Retrier(clock=self.clock, rng=self.rng)

    def _over_boto3(self, retrier: Retrier) -> ObjectStore:
        return S3ObjectStore(client=self.clients.s3, bucket=self.settings.work_bucket, retrier=retrier)

    def _store(self, retrier: Retrier) -> DynamoDBLeaseStore:
        return DynamoDBLeaseStore(
            client=self.clients.dynamodb, table_name=self.settings.table, clock=self.clock, retrier=retrier
        )

    def _joiner(self) -> RunJoiner:
        return RunJoiner(
            store=self.store,
            s3=self.clients.s3,
            retrier=self.retrier,
            clock=self.clock,
            work_bucket=self.settings.work_bucket,
        )

    def _plan_reader(self, run: Run) -> PlanReader:
        return PlanReader(
            s3=self.clients.s3,
            retrier=self.retrier,
            bucket=self.settings.work_bucket,
            key=run.plan_key,
            sha256=run.plan_sha256,
        )

    def _monitor(self, host: Host, run: Run) -> Monitor:
        sources: list[SignalSource] = []
        if host.instance_id:
            sources.append(
                StopFileReader(
                    client=self.clients.s3,
                    bucket=self.settings.work_bucket,
                    instance_id=host.instance_id,
                    clock=self.clock,
                )
            )
        if host.lifecycle != CapacityClass.ON_DEMAND and not self.settings.batch.on_fargate:
            sources.append(
                ImdsSource(self.metadata, hint_s=run.options.hint_s, notice_lead_s=self.settings.notice_lead_s)
            )
        return Monitor(
            sources=sources,
            free_sources=[self.sigterm],
            clock=self.clock,
            spawner=self.spawner,
            poll_s=run.options.poll_s,
            tick_s=self.tick_s,
        )

    def _session(self, host: Host, run: Run, monitor: Monitor) -> WorkerSession:
        batch = self.settings.batch
        home = f"{host.instance_id or 'host-unknown'}.{batch.job_id or 'local'}.{batch.attempt}"
        session_id = SessionId(f"{home}.{self.ids.nonce()}")
        self.bound["session_id"] = session_id
        now = to_epoch_ms(self.clock.now())
        session = Session(
            session_id=session_id,
            run_id=run.run_id,
            bucket=session_bucket(session_id, run.session_buckets),
            host=host,
            state=SessionState.ALIVE,
            until=now + round(run.options.ttl_s * 1000),
            seq=0,
            held=None,
            stop=None,
            hint_until=None,
            started_at=now,
        )
        opened = WorkerSession(
            session=session,
            run=run,
            store=self.store,
            heartbeat_store=self._store(self._retrier()),
            monitor=monitor,
            ledger=self.ledger,
            clock=self.clock,
            spawner=self.spawner,
        )
        opened.open()
        return opened

    def _loop(self, run: Run, plan: PlanReader, session: WorkerSession, monitor: Monitor) -> WorkerLoop:
        return WorkerLoop(
            run=run,
            store=self.store,
            session=session,
            finder=LeaseFinder(store=self.store, session=session, run=run, rng=self.rng, clock=self.clock),
            caretaker=Caretaker(
                store=self.store,
                announcer=RunAnnouncer(client=self.clients.events, retrier=self.retrier),
                clock=self.clock,
                carer=session.session.session_id,
            ),
            monitor=monitor,
            ledger=self.ledger,
            clock=self.clock,
            rng=self.rng,
            requests=ShardRequests(self.store.usage),
            run_shard=lambda lease: self._shard_run(lease, run, plan, session, monitor).execute(),
        )

    def _shard_run(
        self, lease: Lease, run: Run, plan: PlanReader, session: WorkerSession, monitor: Monitor
    ) -> ShardRun:
        planned = plan.shard(lease.index)
        sink = ShardSink(lease=lease, run=run, buckets=self.buckets, scratch_dir=self.settings.scratch_dir)
        workshop = Workshop(scratch_dir=self.settings.scratch_dir, tracker=self.settings.tracker, spawner=self.spawner)
        engine = CheckpointEngine(
            objects=self.objects,
            lease=lease,
            clock=self.clock,
            ids=self.ids,
            spawner=self.spawner,
            workshop=workshop,
            sizes=self.in_portions,
        )
        handle = ShardHandle(
            index=lease.index,
            shard_id=planned.shard_id,
            options=run.options.job,
            reader=ShardReader(planned, plan.header, s3=self.clients.s3, retrier=self.retrier),
            output=sink.writer,
            monitor=monitor,
            scratch=lambda: workshop.folder,
            clock=self.clock,
            input_format=plan.header.format,
            sharding=plan.header.strategy,
        )
        checkpointing = Checkpointing(
            engine=engine,
            objects=self.objects,
            lease=lease,
            options=run.options,
            window_s=self.settings.notice_lead_s,
            store=self.store,
            retrier=self.retrier,
            ledger=self.ledger,
            clock=self.clock,
        )
        return ShardRun(
            lease=lease,
            run=run,
            planned=planned,
            gauge=self.gauge,
            function=self.function,
            handle=handle,
            sink=sink,
            engine=engine,
            checkpointing=checkpointing,
            store=self.store,
            session=session,
            monitor=monitor,
            ledger=self.ledger,
            clock=self.clock,
        )
