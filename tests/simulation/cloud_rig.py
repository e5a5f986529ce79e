"""A small simulated account: fleet, metadata and Batch, whose containers do what a test says."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from simulation.cloud.batch import Batch
from simulation.cloud.batch_api import NOT_LISTED_YET
from simulation.cloud.batch_attempts import CANNOT_PULL, HOST_TOO, ContainerFate
from simulation.cloud.batch_job import SimJob, SimJobDefinition, SimQueue
from simulation.cloud.fates import Fate, Fates
from simulation.cloud.fleet import BOOT_FAILED, METADATA_BLIND, Fleet
from simulation.cloud.imds import FAULT
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.cloud.market import NO_ON_DEMAND, NO_SPOT, Market
from simulation.faults.book import FaultBook
from simulation.kernel.process import Process
from simulation.kernel.scheduler import MICROSECONDS, Scheduler, microseconds
from simulation.kernel.trace import Trace

EVENTS: Final = Path(__file__).parent.parent / "events"
SPOT: Final = SimQueue(name="spot", lifecycle=Lifecycle.SPOT)
ON_DEMAND: Final = SimQueue(name="on-demand", lifecycle=Lifecycle.ON_DEMAND)
DAY_S: Final = 86_400.0
# Everything that can go wrong with hosts and containers, often.
STORM: Final[Mapping[str, float]] = {
    **{str(fate): 6.0 for fate in (*Fate, *ContainerFate)},
    **dict.fromkeys((FAULT, METADATA_BLIND, HOST_TOO, NO_SPOT, NOT_LISTED_YET), 0.3),
    **dict.fromkeys((BOOT_FAILED, CANNOT_PULL, NO_ON_DEMAND), 0.15),
}
Work = Callable[[Process, SimJob, int], int]


def recorded(name: str) -> dict[str, Any]:
    """A payload of tests/events."""
    payload: dict[str, Any] = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    return payload


def shape(value: Any) -> Any:
    """Names and types without values; of a list the shape of its first element."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case _:
            return type(value).__name__


class Bus:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def publish(self, event: dict[str, Any]) -> None:
        json.dumps(event)  # an event is JSON
        self.events.append(event)

    def of(self, detail_type: str, **detail: Any) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["detail-type"] == detail_type and detail.items() <= event["detail"].items()
        ]


class Rig:
    """The account; containers run `work`, one hour of sleep unless told otherwise."""

    def __init__(
        self,
        *,
        rates: Mapping[str, float] | None = None,
        seed: int = 1,
        work: Work | None = None,
        heeds_sigterm: bool = True,
        queues: tuple[SimQueue, ...] = (SPOT, ON_DEMAND),
        definitions: tuple[SimJobDefinition, ...] = (SimJobDefinition(name="fold"),),
        **batch: Any,
    ) -> None:
        self.scheduler = Scheduler()
        self.trace = Trace()
        self.faults = FaultBook(rates=rates or {}, rng=random.Random(seed))
        self.bus = Bus()
        self.rng = random.Random(f"rig {seed}")
        parts: dict[str, Any] = {
            "scheduler": self.scheduler,
            "trace": self.trace,
            "rng": self.rng,
            "faults": self.faults,
        }
        self.market = Market(**parts)
        self.fleet = Fleet(**parts, bus=self.bus, market=self.market)
        Fates(scheduler=self.scheduler, rng=self.rng, faults=self.faults, fleet=self.fleet)
        self.work: Work = work or (lambda process, _job, _attempt: process.wait(3600.0) or 0)  # type: ignore[func-returns-value]
        self.heeds_sigterm = heeds_sigterm
        self.deaf_attempts: set[int] = set()  # SIGTERM comes before their program listens
        self.containers: list[Process] = []
        self.started: list[tuple[str, int, str]] = []  # job id, attempt, instance id
        self.sigterms: list[tuple[str, float]] = []  # job id, when
        self.batch = Batch(
            **parts,
            bus=self.bus,
            fleet=self.fleet,
            queues=queues,
            definitions=definitions,
            start_container=self._start,
            **batch,
        )
        self.api = self.batch.api

    @property
    def now_s(self) -> float:
        return self.scheduler.now / MICROSECONDS

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True if `until` came true."""
        over: list[bool] = []
        self.scheduler.after(seconds, lambda: over.append(True))
        self.scheduler.run(until=self.scheduler.now + microseconds(seconds), done=lambda: until() or bool(over))
        return until()

    def submit(self, **more: Any) -> SimJob:
        given = {"jobName": "job", "jobQueue": "spot", "jobDefinition": "fold", **more}
        return self.batch.jobs[self.api.submit_job(**given)["jobId"]]

    def submit_running(self, **more: Any) -> SimJob:
        job = self.submit(**more)
        assert self.run(DAY_S, until=lambda: job.status == "RUNNING")
        return job

    def finish(self, job: SimJob) -> SimJob:
        assert self.run(30 * DAY_S, until=lambda: job.ended)
        return job

    def running_instance(self, lifecycle: Lifecycle = Lifecycle.SPOT) -> SimInstance:
        instance = self.fleet.launch(environment="e", lifecycle=lifecycle, vcpus=1)
        assert instance is not None
        assert self.run(DAY_S, until=lambda: instance.is_running)
        return instance

    def process_on(self, instance: SimInstance, main: Callable[[Process], int]) -> Process:
        """A process that is not Batch's."""
        process = Process(
            self.scheduler, name="p", kind="worker", rng=self.rng, on_exit=lambda one: instance.processes.remove(one)
        )
        instance.processes.append(process)
        process.start(lambda: main(process))
        return process

    def _start(self, job: SimJob, attempt: int, instance: SimInstance) -> Process:
        process = Process(
            self.scheduler,
            name=f"{job.id} #{attempt}",
            kind="worker",
            rng=self.rng,
            on_exit=self.batch.container_ended,
        )
        self.containers.append(process)
        self.started.append((job.id, attempt, instance.id))

        def on_sigterm() -> None:
            self.sigterms.append((job.id, self.now_s))
            if self.heeds_sigterm:
                process.end(75, "left")

        if attempt not in self.deaf_attempts:
            job.on_sigterm = on_sigterm
        process.start(lambda: self.work(process, job, attempt))
        return process
