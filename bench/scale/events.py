"""EventBridge, the functions it calls, and the scheduled controller: the product's Requeuer and Controller."""

import random
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from bench.scale.fleet import Fleet, Instance
from bench.scale.journal import Journal
from bench.scale.scenario import Scenario
from lambdas.controlling.notes import Notes
from lambdas.controlling.routing import Router
from lambdas.controlling.stuck import StuckRuns
from lambdas.controlling.tending import ANNOUNCE_EVERY_S, Controller
from lambdas.queue_pairs import QueuePair, QueuePairs
from lambdas.run_events import RunEvents
from lambdas.wiring import PATIENCE_S
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler
from spotproof.capacity.live_jobs import RunJobs, Submission
from spotproof.capacity.routing import RouteDecision
from spotproof.capacity.topup import TopUpOutcome, TopUpRequest, TopUpResult, WorkerTopUp
from spotproof.checkpoints.garbage_sweep import Sweeper, Swept
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.closing import StripeCloser
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.requeue import Requeuer
from spotproof.retries import Retrier, RetryPolicy

CONTROLLER_EVERY_S = 60.0
DELIVERY_S = (0.3, 3.0)  # from EC2 to the function's first instruction
TERMINATION_EVENT_S = (1.0, 15.0)  # EC2 says late that a host is gone
LATE_S = 300.0
StoreOf = Callable[[Process, Retrier, str], DynamoDBLeaseStore]


class Events:
    """Delivers each event to a function's process of its own."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        scheduler: Scheduler,
        rng: random.Random,
        fleet: Fleet,
        journal: Journal,
        store_of: StoreOf,
        bucket_s: Callable[[], float],
    ) -> None:
        self._scenario = scenario
        self._scheduler = scheduler
        self._rng = rng
        self._fleet = fleet
        self._journal = journal
        self._store_of = store_of
        self._bucket_s = bucket_s
        self.failures: dict[str, int] = {}

    def notice(self, instance: Instance, deadline: datetime) -> None:
        """The spot interruption warning: stop file, then stop marks and drained shards."""

        def flow(process: Process, store: DynamoDBLeaseStore) -> None:
            if not store.sessions_on_instance(instance.instance_id):
                return
            process.clock.sleep(self._bucket_s())
            signal = Signal(kind=SignalKind.NOTICE, channel=Channel.STOP_FILE, deadline=deadline)
            self._fleet.show_stop_file(instance, signal)
            Requeuer(store).drain_instance(instance.instance_id, to_epoch_ms(deadline))

        self._deliver("spot_interruption", flow, DELIVERY_S)

    def rebalance(self, instance: Instance) -> None:
        until = to_epoch_ms(self._fleet.now()) + round(self._scenario.options.hint_s * 1000)
        self._deliver(
            "rebalance", lambda _, store: Requeuer(store).hint_instance(instance.instance_id, until), DELIVERY_S
        )

    def terminated(self, instance: Instance) -> None:
        self._deliver(
            "instance_state_change",
            lambda _, store: Requeuer(store).requeue_instance(instance.instance_id),
            TERMINATION_EVENT_S,
        )

    def schedule_controller(self) -> None:
        """The controller, every minute while jobs of the run wait or run."""
        seen: dict[Any, Any] = {}
        announced: dict[Any, float] = {}

        def flow(process: Process, store: DynamoDBLeaseStore) -> None:
            controller = Controller(
                store=store,
                requeuer=Requeuer(store),
                closer=StripeCloser(store),
                stuck=StuckRuns(
                    store=store,
                    jobs=cast(RunJobs, _Jobs(self._fleet)),
                    topup=cast(WorkerTopUp, _TopUp(self._fleet)),
                    router=cast(Router, _Routes()),
                    queues=QueuePairs(pairs=(QueuePair(spot="spot", on_demand="on-demand"),)),
                    notes=Notes(store=store),
                ),
                run_events=cast(RunEvents, SimpleNamespace(announce_finished=lambda _: self.announce())),
                sweeper=cast(Sweeper, _Sweeper()),
                clock=process.clock,
                seen=seen,
                announce_every_s=ANNOUNCE_EVERY_S,
                announced=announced,
            )
            deadline = process.clock.monotonic() + CONTROLLER_EVERY_S
            controller.tend_all(deadline=deadline, telemetry=cast(Any, _Silent()))

        def happen() -> None:
            if self._journal.announced_s < 0:
                self._start("controller", flow, patience_s=CONTROLLER_EVERY_S)
                self._scheduler.after(CONTROLLER_EVERY_S, happen)

        self._scheduler.after(CONTROLLER_EVERY_S, happen)

    def announce(self) -> None:
        """Somebody said that the run is finished."""
        if self._journal.announced_s < 0:
            self._journal.announced_s = self._scheduler.now / 1e6

    def _deliver(
        self, name: str, flow: Callable[[Process, DynamoDBLeaseStore], Any], delay_s: tuple[float, float]
    ) -> None:
        spot, rng = self._scenario.spot, self._rng
        if rng.random() < spot.event_lost:
            return
        late_s = rng.uniform(0.0, LATE_S) if rng.random() < spot.event_late else 0.0
        delays = [rng.uniform(*delay_s) + late_s]
        if rng.random() < spot.event_twice:
            delays.append(delays[0] + rng.uniform(0.0, LATE_S))
        for delay in delays:
            self._scheduler.after(delay, lambda: self._start(name, flow, patience_s=PATIENCE_S))

    def _start(self, name: str, flow: Callable[[Process, DynamoDBLeaseStore], Any], *, patience_s: float) -> None:
        def ended(process: Process) -> None:
            if process.crash is not None:
                failure = f"{name}: {type(process.crash).__name__}: {process.crash}"
                self.failures[failure] = self.failures.get(failure, 0) + 1

        process = Process(self._scheduler, name=name, kind=name, rng=self._rng, on_exit=ended)

        def main() -> int:
            policy = RetryPolicy(max_s=2.0, patience_s=patience_s)
            retrier = Retrier(clock=process.clock, rng=self._rng, policy=policy)
            flow(process, self._store_of(process, retrier, f" by {name}"))
            return 0

        process.start(main)


class _Jobs:
    """Batch's answers about the run's jobs."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def has_live_job(self, _run_id: str) -> bool:
        return self._fleet.has_live_jobs

    def submission_of(self, _job_id: str) -> Submission:
        return Submission(job_name="scale", job_queue="spot", job_definition="scale:1", parameters={})


class _TopUp:
    """Submits a worker for each request."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def held(self, _run_id: str) -> None:
        return None

    def submit_once(self, _request: TopUpRequest) -> TopUpOutcome:
        self._fleet.add_worker()
        return TopUpOutcome(result=TopUpResult.SUBMITTED, job_id="scale", reason="")


class _Routes:
    """No pool is left alone."""

    def route_after(self, *_: Any, **__: Any) -> RouteDecision:
        return RouteDecision(on_demand=False, probes=False, reason="the model knows no breakers")


class _Sweeper:
    """Finds no orphans: the model's bucket holds nothing."""

    def sweep(self, _run: Any, *, deadline: float) -> Swept:  # noqa: ARG002
        return Swept()


class _Silent:
    """Telemetry that says nothing."""

    def info(self, *_: Any, **__: Any) -> None:
        """Nobody reads it."""

    warning = error = count = info
