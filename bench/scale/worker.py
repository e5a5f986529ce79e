"""One worker of the model: the product's assembly with a model's bucket, metadata and user function in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from bench.scale.journal import Journal
from bench.scale.shard_work import ModelEngine, ModelSink, NoObjects, NudgingMonitor, Saves, WorkHandle
from simulation.kernel.process import Process
from spotproof.checkpoints.store import ObjectStore
from spotproof.interruptions.imds import ROOT
from spotproof.leases.model import Host, Lease, Run
from spotproof.settings import AwsSettings, BatchSettings, WorkerSettings
from spotproof.shards.model import PlannedShard
from spotproof.shards.plan_file import PlanReader
from spotproof.worker.assembly import WorkerAssembly
from spotproof.worker.checkpointing import Checkpointing
from spotproof.worker.leasing import LeaseFinder
from spotproof.worker.loop import WorkerLoop
from spotproof.worker.planning import RunJoiner
from spotproof.worker.session import WorkerSession
from spotproof.worker.shard_run import ShardRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers of the model share."""

    journal: Journal
    saves: Saves
    s3_s: Callable[[], float]
    work_s: Callable[[int], float]  # of a shard, by index
    safe_point_s: float


class ModelMetadata:
    """IMDS as far as a host tells about itself; notices reach the monitor from the model of EC2."""

    def __init__(self, instance_id: str) -> None:
        self._facts = {
            ROOT + "instance-id": instance_id,
            ROOT + "instance-type": "m6i.xlarge",
            ROOT + "placement/availability-zone": "eu-west-1a",
            ROOT + "instance-life-cycle": "spot",
        }

    def get(self, path: str) -> str | None:
        return self._facts.get(path)


@dataclass
class TimedFinder:
    """The product's search for work, timed."""

    finder: LeaseFinder
    journal: Journal
    process: Process
    looked_at: float | None = None  # the first look since the last lease

    def next_lease(self, *, eager: bool) -> Lease | None:
        began = self.process.clock.monotonic()
        self.looked_at = began if self.looked_at is None else self.looked_at
        lease = self.finder.next_lease(eager=eager)
        if lease is not None:
            self.journal.leased(looked_at=self.looked_at, found_look_at=began)
            self.looked_at = None
        return lease


@dataclass(kw_only=True)
class ModelWorker(WorkerAssembly):
    """`run` is the product's."""

    process: Process
    surroundings: Surroundings
    watch: NudgingMonitor | None = None  # from the moment it would poll
    handle: WorkHandle | None = field(default=None, init=False)  # of the shard under way
    on_watch: Callable[[], None] = field(default=lambda: None)

    def stop_counting(self) -> float:
        """The process ends here: seconds of work that no durable checkpoint holds."""
        if self.handle is None:
            return 0.0
        progress = self.handle.progress
        return min(self.handle.work_s, progress.done_s + self.handle.stop_counting()) - progress.saved_s

    def _joiner(self) -> RunJoiner:
        return cast(RunJoiner, SimpleNamespace(join=lambda request: self.store.get_run(request.run_id)))

    def _plan_reader(self, run: Run) -> PlanReader:  # noqa: ARG002 - the model's plan is in its surroundings
        return cast(PlanReader, None)

    def _monitor(self, host: Host, run: Run) -> NudgingMonitor:  # noqa: ARG002 - every host of the model is a spot host
        watch = NudgingMonitor(
            sources=[], free_sources=[], clock=self.clock, spawner=self.spawner, poll_s=run.options.poll_s
        )
        watch.nudge = self.spawner.flag()
        watch.start = self.on_watch  # type: ignore[method-assign]  # instead of polling
        self.watch = watch
        return watch

    def _loop(self, run: Run, plan: PlanReader, session: WorkerSession, monitor: Any) -> WorkerLoop:
        loop = super()._loop(run, plan, session, monitor)
        timed = TimedFinder(loop.finder, self.surroundings.journal, self.process)
        loop.finder = cast(LeaseFinder, timed)
        return loop

    def _shard_run(
        self,
        lease: Lease,
        run: Run,
        plan: PlanReader,  # noqa: ARG002 - see above
        session: WorkerSession,
        monitor: Any,
    ) -> ShardRun:
        shared = self.surroundings
        self.clock.sleep(shared.s3_s())  # reading the shard's place in the plan
        assert run.options.checkpoint_interval_s is not None, "the model's saves keep to an interval"
        handle = WorkHandle(
            process=self.process,
            journal=shared.journal,
            monitor=monitor,
            work_s=shared.work_s(lease.index),
            safe_point_s=shared.safe_point_s,
            checkpoint_interval_s=run.options.checkpoint_interval_s,
        )
        self.handle = handle
        engine = ModelEngine(handle=handle, lease=lease, saves=shared.saves, s3_s=shared.s3_s).as_engine()
        checkpointing = Checkpointing(
            engine=engine,
            objects=cast(ObjectStore, NoObjects(self.process, shared.s3_s)),
            lease=lease,
            options=run.options,
            window_s=120.0,
            store=self.store,
            retrier=self.retrier,
            ledger=self.ledger,
            clock=self.clock,
        )
        return CountedShardRun(
            lease=lease,
            run=run,
            planned=PlannedShard(index=lease.index, label="", parts=(), size_bytes=0),
            gauge=self.gauge,
            function=self.function,
            handle=cast(Any, handle),
            sink=ModelSink(process=self.process, lease=lease, s3_s=shared.s3_s),
            engine=engine,
            checkpointing=checkpointing,
            store=self.store,
            session=session,
            monitor=monitor,
            ledger=self.ledger,
            clock=self.clock,
            on_end=self._forget_shard,
        )

    def _forget_shard(self) -> None:
        self.handle = None


@dataclass
class CountedShardRun(ShardRun):
    """The product's run of a shard; tells when it is over."""

    on_end: Callable[[], None] = lambda: None

    def execute(self) -> Any:
        outcome = super().execute()
        self.on_end()
        return outcome


def settings_of(*, job_id: str, attempt: int) -> WorkerSettings:
    """What the job definition would set."""
    return WorkerSettings(
        table="scale",
        work_bucket="work",
        data_bucket="data",
        aws=AwsSettings(region="eu-west-1", endpoint_url=None),
        batch=BatchSettings(
            job_id=job_id, attempt=attempt, array_index=1, queue="spot", compute_environment="spot", vcpus=1.0
        ),
        imds_url="",
        notice_lead_s=120.0,
        stop_grace_s=30.0,
        log_level="INFO",
        scratch_dir="",
        job_definition="scale",
    )
