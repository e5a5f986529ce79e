"""One simulated world: the account, the fleet, the job, the faults and the checkers, all from one scenario."""

import contextlib
import io
import logging
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from lambdas import controller, finalizer
from lambdas.functions import FUNCTIONS, Function
from lambdas.handler_settings import HandlerSettings
from simulation.campaign import DECISION
from simulation.checks.base import Check, ObjectChange, Report, TableWrite
from simulation.checks.budgets import BudgetCheck
from simulation.checks.caps import CapCheck
from simulation.checks.cleanup import CleanupCheck
from simulation.checks.failures import FailureCheck
from simulation.checks.generations import GenerationCheck
from simulation.checks.histories import HistoryCheck
from simulation.checks.ledger import LedgerCheck
from simulation.checks.lost_work import LostWorkCheck
from simulation.checks.objects import ObjectCheck
from simulation.checks.orders import OrderCheck
from simulation.checks.output import OutputCheck
from simulation.checks.parsed import run_from_item, shard_from_item
from simulation.checks.progress import ProgressCheck
from simulation.checks.rows import RowCheck
from simulation.checks.runs import RunCheck
from simulation.checks.sessions import SessionCheck
from simulation.checks.stop_files import StopFileCheck
from simulation.checks.stops import StopCheck
from simulation.checks.takings import TakingCheck
from simulation.checks.topups import TopUpCheck
from simulation.checks.workers import WorkerCheck
from simulation.cloud.aws_event import REGION, epoch_ms, moment_of
from simulation.cloud.batch import Batch
from simulation.cloud.batch_job import SimJob, SimJobDefinition, SimQueue
from simulation.cloud.bus import EventBus
from simulation.cloud.ec2_api import Ec2Api
from simulation.cloud.fates import Fates
from simulation.cloud.fleet import Fleet
from simulation.cloud.functions import Functions
from simulation.cloud.imds import SimMetadata
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.cloud.market import Market
from simulation.cloud.s3 import SimS3
from simulation.cloud.table import SimTable
from simulation.faults.book import FaultBook
from simulation.faults.calls import Call
from simulation.faults.deeds import Deeds
from simulation.faults.drawn import DrawnFaults
from simulation.gate import CallFaults, Gate
from simulation.kernel.process import Process
from simulation.kernel.scheduler import MICROSECONDS, Scheduler, microseconds
from simulation.kernel.trace import Trace
from simulation.operator import WATCH_S, Operator
from simulation.outcome import Outcome
from simulation.scenario import PROPERTIES, Scenario, Starvation, draw_scenario
from simulation.scratch import scratch_folder
from simulation.worker import JOB, KIND, TABLE, Container
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from spotproof import contract
from spotproof.checkpoints.garbage_sweep import SweepPace
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.clock import SystemClock
from spotproof.commits.buckets import PartSizes
from spotproof.leases.model import Run, RunId, RunOptions, Shard
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings
from spotproof.worker.options import parse_options

RUN_ID: Final = RunId("run")
SWEEPS: Final = SweepPace(minutes=1, grace=timedelta(0))  # worlds last minutes; what makes it safe are the epochs
LIVENESS_S: Final = 2 * 3600.0  # after peace the run has to end within
SPOT_QUEUE: Final = SimQueue(name="spot", lifecycle=Lifecycle.SPOT)
ON_DEMAND_QUEUE: Final = SimQueue(name="on-demand", lifecycle=Lifecycle.ON_DEMAND)
DEFINITION: Final = SimJobDefinition(name=f"{contract.JOB_DEFINITION_PREFIX}{JOB}")
SETTINGS: Final = HandlerSettings(
    table=TABLE,
    work_bucket=WORK_BUCKET,
    stack="Spotproof",
    notice_lead=timedelta(seconds=contract.NOTICE_LEAD_S),
    aws=AwsSettings(region=REGION, endpoint_url=None),
    spot_queue=SPOT_QUEUE.name,
    on_demand_queue=ON_DEMAND_QUEUE.name,
    event_bus="default",
    memory_mib_max=30_340,
)
CHECKS: Final[tuple[type[Check], ...]] = (
    RowCheck,
    SessionCheck,
    TakingCheck,
    FailureCheck,
    GenerationCheck,
    ObjectCheck,
    RunCheck,
    ProgressCheck,
    WorkerCheck,
    TopUpCheck,
    CleanupCheck,
    LedgerCheck,
    LostWorkCheck,
    StopCheck,
    StopFileCheck,
    OrderCheck,
    CapCheck,
    BudgetCheck,
    HistoryCheck,
    OutputCheck,
)


class World:
    """Built from a scenario, run once."""

    def __init__(self, scenario: Scenario, *, call_faults: CallFaults | None = None) -> None:
        """`call_faults`: instead of those that the scenario's rates give."""
        self.scenario = scenario
        self.workload = scenario.workload
        self.run_id = RUN_ID
        self.on_demand_queue = ON_DEMAND_QUEUE.name
        self.options: RunOptions = parse_options(_option_text(scenario))
        self.scheduler = Scheduler()
        self.trace = Trace()
        self.report = Report()
        self.rng = random.Random(f"world {scenario.seed}")
        self.book = FaultBook(rates=scenario.rates, rng=self._fork_rng())
        for name in (name for name, has in PROPERTIES.items() if has(scenario)):
            self.book.count(name, "scenario")
        self.sites: Counter[str] = Counter()
        self.processes: list[Process] = []
        self.skew_max_ms = 2 * scenario.skew_s * 1000
        self.may_quarantine = False
        self._cleaned = False  # the run ended and left nothing behind
        self._build_stores(call_faults)
        self._build_events()
        self._build_fleet()
        self._build_people()
        self._build_checks()

    # --- building ------------------------------------------------------------------------------------------------

    def _build_stores(self, call_faults: CallFaults | None) -> None:
        scenario, scheduler, trace, book = self.scenario, self.scheduler, self.trace, self.book
        self.call_faults = DrawnFaults(book, self._fork_rng())
        self.gate = Gate(
            scheduler=scheduler,
            trace=trace,
            rng=self._fork_rng(),
            faults=call_faults or self.call_faults,
            pause_s=scenario.pause_s,
        )
        self.table = SimTable(
            TABLE, scheduler=scheduler, faults=book, rng=self._fork_rng(), page_bytes_max=scenario.page_bytes_max
        )
        self.s3 = SimS3(
            (DATA_BUCKET, WORK_BUCKET),
            now=lambda: moment_of(scheduler.now),
            page_keys_max=scenario.page_keys_max,
            part_bytes_min=1,
            repeats_completion=scenario.repeats_completion,
        )
        self.pristine = SimS3((DATA_BUCKET,), now=lambda: moment_of(0))  # the input as the run found it
        self.services: dict[str, Any] = {"dynamodb": self.table, "s3": self.s3}

    def _build_events(self) -> None:
        scenario, scheduler, trace, book = self.scenario, self.scheduler, self.trace, self.book
        self.functions = Functions(
            scheduler=scheduler,
            trace=trace,
            rng=self._fork_rng(),
            faults=book,
            gate=self.gate,
            services=self.services,
            settings=SETTINGS,
            functions=_functions(scenario.in_parts),
            prepare=self._prepare,
        )
        self.bus = EventBus(
            scheduler=scheduler,
            trace=trace,
            rng=self._fork_rng(),
            faults=book,
            functions=self.functions,
            queue_arns=(SPOT_QUEUE.arn, ON_DEMAND_QUEUE.arn),
            burst_size=scenario.burst,
        )

    def _build_fleet(self) -> None:
        scenario, scheduler, trace, book = self.scenario, self.scheduler, self.trace, self.book
        self.market = Market(
            scheduler=scheduler, trace=trace, rng=self._fork_rng(), faults=book, timing=scenario.timing
        )
        self.fleet = Fleet(
            scheduler=scheduler,
            trace=trace,
            rng=self._fork_rng(),
            faults=book,
            bus=self.bus,
            market=self.market,
            timing=scenario.timing,
        )
        Fates(scheduler=scheduler, rng=self._fork_rng(), faults=book, fleet=self.fleet)
        self.batch = Batch(
            scheduler=scheduler,
            trace=trace,
            rng=self._fork_rng(),
            faults=book,
            bus=self.bus,
            fleet=self.fleet,
            queues=(SPOT_QUEUE, ON_DEMAND_QUEUE),
            definitions=(replace(DEFINITION, timeout_s=scenario.attempt_s, attempts_max=scenario.attempts_max),),
            start_container=self._start_container,
            timing=scenario.timing,
            stop_grace_s=scenario.stop_grace_s,
            page_max=scenario.page_jobs_max,
        )
        self.services |= {
            "events": self.bus,
            "batch": self.batch.api,
            "ec2": Ec2Api(fleet=self.fleet, market=self.market),
            "autoscaling": self.fleet.activities,
        }

    def _build_people(self) -> None:
        scenario = self.scenario
        queue = ON_DEMAND_QUEUE if scenario.on_demand else SPOT_QUEUE
        self.operator = Operator(self, queue=queue, definition=DEFINITION, options=_option_text(scenario))
        self.deeds = Deeds(self, self._fork_rng())

    def _build_checks(self) -> None:
        self.checks = {check: check(self) for check in CHECKS}
        self.gate.observers += [
            self,
            *(each for each in self.checks.values() if _overrides(each, "calling", "answered_call")),
        ]
        self._write_checks = [each for each in self.checks.values() if _overrides(each, "wrote")]
        self._change_checks = [each for each in self.checks.values() if _overrides(each, "changed")]
        self.table.watch.append(self._table_written)
        self.s3.watch.append(self._object_changed)
        self.raw_retrier = Retrier(clock=SystemClock(), rng=random.Random(0))
        self.raw_work = S3ObjectStore(client=self.s3, bucket=WORK_BUCKET, retrier=self.raw_retrier)  # type: ignore[arg-type]

    def _fork_rng(self) -> random.Random:
        """A stream of its own for every part: a new draw in one part moves no other part's."""
        return random.Random(self.rng.getrandbits(64))

    def _prepare(self, process: Process) -> None:
        """Give a new process its wrong clock."""
        process.skew_us = microseconds((2 * self.rng.random() - 1) * self.scenario.skew_s)
        self.processes.append(process)

    def _start_container(self, job: SimJob, attempt: int, instance: SimInstance) -> Process:
        name = f"worker {job.id[:8]}:{job.index or 0} #{attempt}"
        process = Process(self.scheduler, name=name, kind=KIND, rng=self._fork_rng(), on_exit=self._container_ended)
        self._prepare(process)
        self._container().run(process, job, attempt, instance)
        return process

    def _container(self) -> Container:
        progress, lost_work = self.checks[ProgressCheck], self.checks[LostWorkCheck]
        assert isinstance(progress, ProgressCheck)
        assert isinstance(lost_work, LostWorkCheck)
        return Container(
            gate=self.gate,
            services=self.services,
            function=lambda process: self.workload.function(
                lost_work.diary(process, progress.diary(process)), self.book, process.hang, process.clock.sleep
            ),
            metadata=self._metadata,
            rng=self.rng,
            scratch_dir=scratch_folder(),
            in_parts=self.scenario.in_parts,
            in_portions=self.scenario.in_portions,
        )

    def _metadata(self, process: Process, instance: SimInstance) -> SimMetadata:
        return SimMetadata(process=process, instance=instance, trace=self.trace, rng=self._fork_rng(), faults=self.book)

    def _container_ended(self, process: Process) -> None:
        if process.crash is not None:
            self.report.broken("assertion", f"{process.name} crashed: {process.crash!r}")
        self._tell(self.checks.values(), lambda check: check.exited(process))
        self.batch.container_ended(process)

    # --- what checkers ask ---------------------------------------------------------------------------------------

    def epoch_ms(self) -> int:
        """The true time."""
        return epoch_ms(self.scheduler.now)

    @property
    def run(self) -> Run | None:
        """The run as its row is now."""
        item = self.table.item((contract.run_pk(RUN_ID), contract.RUN_SK))
        return None if item is None else run_from_item(item)

    @property
    def run_ended(self) -> bool:
        run = self.run
        return run is not None and run.state.ended

    def shard(self, index: int) -> Shard | None:
        """The shard as its row is now; None without a row, or without a run."""
        run = self.run
        if run is None:
            return None
        item = self.table.item((contract.stripe_pk(RUN_ID, index % run.stripes), contract.shard_sk(index)))
        return None if item is None else shard_from_item(item)

    def decided(self, what: str) -> None:
        """The product decided something: counted, so that no kind of decision is silently dead."""
        self.book.count(what, DECISION)

    # --- observing -----------------------------------------------------------------------------------------------

    def calling(self, call: Call) -> None:
        self.sites[call.site] += 1

    def answered_call(self, call: Call) -> None:
        """Nothing to do."""

    def _table_written(self, key: tuple[str, str], old: Any, new: Any, _intent: str) -> None:
        self.report.now = self.scheduler.now
        if key[1] == contract.RUN_SK:
            self._cleaned = contract.ACTIVE_INDEX.partition_key not in new
        write = TableWrite(partition=key[0], sort=key[1], old=old, new=new, call=self.gate.current)
        self._tell(self._write_checks, lambda check: check.wrote(write))

    def _object_changed(self, bucket: str, key: str, old: bytes | None, new: bytes | None, _operation: str) -> None:
        self.report.now = self.scheduler.now
        change = ObjectChange(bucket=bucket, key=key, old=old, new=new, call=self.gate.current)
        self._tell(self._change_checks, lambda check: check.changed(change))

    def _tell(self, checks: Iterable[Check], tell: Callable[[Check], None]) -> None:
        """Inform checkers. Their errors are ours: raised here, they would reach the product as an AWS error."""
        for check in checks:
            try:
                tell(check)
            except Exception as error:
                self.report.broken("simulator", f"{type(check).__name__}: {error!r}")

    # --- running -------------------------------------------------------------------------------------------------

    def run_to_end(self) -> Outcome:
        """Submit the job, play everything, check the end."""
        for key, body in self.workload.objects.items():
            for s3 in (self.s3, self.pristine):
                s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=body)
        self.bus.start_schedules()
        self.scheduler.after(0.0, self.operator.submit)
        self.scheduler.after(WATCH_S, self.operator.watch)
        self.scheduler.after(self.scenario.resumes_after_s, self.operator.watch_budget)
        self.deeds.start()
        if self.scenario.starvation is not None:
            self.scheduler.after(self.scenario.starvation.from_s, partial(self._starve, self.scenario.starvation))
        self.scheduler.after(self.scenario.peace_s, self._make_peace)
        until = microseconds(self.scenario.peace_s + LIVENESS_S)
        with contextlib.redirect_stderr(io.StringIO()):  # workers write their last line there
            at_rest = self.scheduler.run(until=until, done=lambda: bool(self.report.violations) or self._at_rest())
        self.report.now = self.scheduler.now
        if not at_rest and not self.report.violations:
            self.report.broken("I10", f"the run did not end within two hours after the last fault: {self.run}")
        for wrong in (*self.functions.invariant_errors, *self.functions.surprises):
            self.report.broken("assertion", f"{wrong.service} raised {wrong.error!r}")
        if not self.report.violations:
            for check in self.checks.values():
                check.ended()
        outcome = self.outcome()
        for process in self.processes:
            process.dissolve()
        return outcome

    def _starve(self, starvation: Starvation) -> None:
        """The Spot market dries up."""
        if starvation.outlasts_peace:
            self.market.dry_up(Lifecycle.SPOT)
        else:
            self.market.begin_shortage(Lifecycle.SPOT, LIVENESS_S)
        for instance in self.fleet.live():
            if starvation.takes_hosts and instance.lifecycle is Lifecycle.SPOT and instance.reclaim_at is None:
                self.fleet.give_notice(instance)

    def _make_peace(self) -> None:
        self.trace.note(self.scheduler.now, "world", "peace: no fault from here on")
        self.book.at_peace = True

    def _at_rest(self) -> bool:
        """The run has ended and was cleaned up, and no worker is left."""
        return self._cleaned and not any(process.alive for process in self.processes if process.kind == KIND)

    def outcome(self) -> Outcome:
        violations = tuple(self.report.violations)
        return Outcome(
            seed=self.scenario.seed,
            violations=violations,
            digest=self.trace.digest(),
            struck=dict(self.book.struck),
            sites=dict(self.sites),
            calls=self.gate.calls,
            steps=self.scheduler.steps,
            virtual_s=self.scheduler.now / MICROSECONDS,
            last_words=tuple(entry.words() for entry in self.trace.last()) if violations else (),
            facts={"processes": len(self.processes), "trace": len(self.trace)},
        )


def run_seed(seed: int) -> Outcome:
    """One world of the seed's own scenario."""
    silence()
    world = World(draw_scenario(seed))
    try:
        return world.run_to_end()
    except Exception as error:  # of the simulator itself: told like a violation, with its seed
        place = traceback.extract_tb(error.__traceback__)[-1]
        world.report.broken("simulator", f"{error!r} at {place.filename.rpartition('/')[2]}:{place.lineno}")
        return world.outcome()


def silence() -> None:
    """The product's log lines are not written: the trace tells the same story."""
    logging.getLogger("spotproof").setLevel(logging.CRITICAL + 1)


def _overrides(check: Check, *names: str) -> bool:
    """Whether the checker wants to hear of it: most hear of little, and all that happens is told."""
    return any(getattr(type(check), name) is not getattr(Check, name) for name in names)


def _functions(in_parts: PartSizes) -> list[Function[Any]]:
    """The deployed ones, but for the size of parts and for how often orphans are looked for."""
    builds: dict[str, Callable[..., Any]] = {
        finalizer.SERVICE: partial(finalizer.build, in_parts=in_parts),
        controller.SERVICE: partial(controller.build, pace=SWEEPS),
    }
    return [replace(each, build=builds.get(each.service, each.build)) for each in FUNCTIONS]


def _option_text(scenario: Scenario) -> str:
    return ",".join(f"{name}={value}" for name, value in scenario.options.items())
