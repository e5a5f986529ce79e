"""EC2 and Batch: instances that come, get notices and go; worker slots that are filled again after an interruption."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bench.scale.journal import Journal
from bench.scale.scenario import Scenario
from bench.scale.worker import ModelWorker
from simulation.kernel.process import EPOCH, Process
from simulation.kernel.scheduler import Scheduler
from spotproof import contract
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.requeue import NOTICE_S

if TYPE_CHECKING:
    from bench.scale.events import Events

CONTAINER_S = 3.0  # from a free place on a running host to the worker's first instruction
REBALANCE_LEAD_S = 600.0  # a recommendation comes up to so long before the notice


@dataclass(eq=False)
class Slot:
    """One Batch job: a worker, again and again until one leaves with nothing left to do."""

    number: int
    attempts: int = 0
    worker: ModelWorker | None = None
    done: bool = False


@dataclass(eq=False)
class Instance:
    """One host and the slots it runs."""

    instance_id: str
    slots: list[Slot] = field(default_factory=list)
    up: bool = False
    gone: bool = False
    signals: list[tuple[float, Signal]] = field(default_factory=list)  # as IMDS and the stop file show them
    noticed: bool = False
    replacement: "Instance | None" = None


class Fleet:
    """`make_worker` builds a worker in a process; `events` carries EC2's events to the functions."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        scheduler: Scheduler,
        rng: random.Random,
        journal: Journal,
        make_worker: Callable[[Process, Slot, Instance], ModelWorker],
    ) -> None:
        self._scenario = scenario
        self._scheduler = scheduler
        self._rng = rng
        self._journal = journal
        self._make_worker = make_worker
        self.events: Events | None = None
        self.instances: dict[str, Instance] = {}
        self.slots: list[Slot] = []
        self.alive = 0  # worker processes
        self.crashed = 0
        self.alive_over_time: list[tuple[float, int]] = [(0.0, 0)]
        self._launched = 0

    def launch(self) -> None:
        """Plan the first fleet, and what will happen to it."""
        scenario = self._scenario
        for first in range(0, scenario.workers, scenario.workers_per_instance):
            instance = self._new_instance()
            for number in range(first, min(first + scenario.workers_per_instance, scenario.workers)):
                slot = Slot(number)
                self.slots.append(slot)
                instance.slots.append(slot)
            self._after(self._rng.uniform(0.0, scenario.first_boot_s), lambda i=instance: self._boot(i))  # type: ignore[misc]
        for storm in scenario.storms:
            self._after(storm.at_s, lambda s=storm: self._storm(s.share, s.window_s))  # type: ignore[misc]
        if scenario.spot.per_hour:
            self._plan_background()
        for _ in range(scenario.frozen):
            self._after(self._rng.uniform(scenario.first_boot_s, 0.9 * scenario.ideal_s), self._freeze_one)

    def add_worker(self) -> None:
        """One more Batch job, on a host of its own."""
        slot = Slot(len(self.slots))
        self.slots.append(slot)
        self._place(self._new_instance(), [slot])

    @property
    def has_live_jobs(self) -> bool:
        return any(not slot.done for slot in self.slots)

    # --- what EC2 does -----------------------------------------------------------------------------------------

    def _storm(self, share: float, window_s: float) -> None:
        up = [instance for instance in self.instances.values() if instance.up and not instance.gone]
        for instance in self._rng.sample(up, round(share * len(up))):
            self._after(self._rng.uniform(0.0, window_s), lambda i=instance: self.reclaim(i))  # type: ignore[misc]

    def _plan_background(self) -> None:
        hosts = max(1, self._scenario.workers // self._scenario.workers_per_instance)
        wait_s = self._rng.expovariate(self._scenario.spot.per_hour * hosts / 3600.0)

        def happen() -> None:
            if not self.has_live_jobs:
                return
            up = [instance for instance in self.instances.values() if instance.up and not instance.gone]
            if up and self._rng.random() < len(up) / hosts:
                self._recommend_or_reclaim(self._rng.choice(up))
            self._plan_background()

        self._after(wait_s, happen)

    def _recommend_or_reclaim(self, instance: Instance) -> None:
        spot = self._scenario.spot
        if self._rng.random() >= spot.rebalance:
            self.reclaim(instance)
            return
        self.recommend(instance)
        self._after(self._rng.uniform(0.0, REBALANCE_LEAD_S), lambda: self.reclaim(instance))
        up = [other for other in self.instances.values() if other.up and not other.noticed]
        false_alarms = 1.0 / spot.rebalance_precision - 1.0
        for other in self._rng.sample(up, min(len(up), round(false_alarms))):
            self.recommend(other)

    def recommend(self, instance: Instance) -> None:
        expires = self.now() + timedelta(seconds=self._scenario.options.hint_s)
        self._show(instance, Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=expires))
        assert self.events is not None
        self.events.rebalance(instance)

    def reclaim(self, instance: Instance) -> None:
        """EC2 wants the host back."""
        if instance.gone or instance.noticed:
            return
        assert self.events is not None
        if self._rng.random() < self._scenario.spot.unannounced:
            self._take(instance)
            return
        instance.noticed = True
        deadline = self.now() + timedelta(seconds=NOTICE_S)
        if self._rng.random() >= self._scenario.spot.imds_lost:
            self._show(instance, Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=deadline))
        self.events.notice(instance, deadline)
        self._after(NOTICE_S, lambda: self._take(instance))

    def show_stop_file(self, instance: Instance, signal: Signal) -> None:
        self._show(instance, signal)

    def _show(self, instance: Instance, signal: Signal) -> None:
        """Each worker on the host sees it at its next poll."""
        instance.signals.append((self._seconds(), signal))
        for slot in instance.slots:
            if slot.worker is not None:
                self._poll(slot.worker, signal)

    def _poll_all(self, worker: ModelWorker, instance: Instance) -> None:
        """A worker that begins to poll finds what was announced before."""
        for _, signal in instance.signals:
            self._poll(worker, signal)

    def _poll(self, worker: ModelWorker, signal: Signal) -> None:
        def see() -> None:
            if worker.process.alive and worker.watch is not None:
                worker.watch.offer(signal)

        self._after(self._rng.uniform(0.0, self._scenario.options.poll_s), see)

    def _take(self, instance: Instance) -> None:
        """The host is gone, with whatever still runs on it."""
        if instance.gone:
            return
        instance.gone = True
        del self.instances[instance.instance_id]
        for slot in instance.slots:
            worker = slot.worker
            if worker is not None and worker.process.alive:
                lost_s = worker.stop_counting()
                self._journal.kills += 1
                (self._journal.lost_noticed_s if instance.noticed else self._journal.lost_s).append(lost_s)
                worker.process.kill("host reclaimed")
        assert self.events is not None
        self.events.terminated(instance)
        if not instance.up:  # it was reclaimed while it booted
            self._replace(instance, instance.slots)

    def _freeze_one(self) -> None:
        running = [slot.worker for slot in self.slots if slot.worker is not None and slot.worker.process.alive]
        if running:
            self._rng.choice(running).process.freeze(self._scenario.frozen_s)

    # --- what Batch does ---------------------------------------------------------------------------------------

    def _new_instance(self) -> Instance:
        self._launched += 1
        instance = Instance(f"i-{self._launched:017x}")
        self.instances[instance.instance_id] = instance
        return instance

    def _boot(self, instance: Instance) -> None:
        if instance.gone:
            return
        instance.up = True
        for slot in instance.slots:
            self._start(slot, instance)

    def _start(self, slot: Slot, instance: Instance) -> None:
        if instance.gone or slot.done:
            return
        slot.attempts += 1
        began = self._seconds()

        def ended(process: Process) -> None:
            self._count(-1)
            self._journal.worker_s += self._seconds() - began
            slot.worker = None
            self._ended(slot, instance, process)

        process = Process(self._scheduler, name=f"w{slot.number}", kind="worker", rng=self._rng, on_exit=ended)
        slot.worker = self._make_worker(process, slot, instance)
        slot.worker.on_watch = lambda worker=slot.worker: self._poll_all(worker, instance)  # type: ignore[misc]
        self._count(+1)
        process.start(slot.worker.run)

    def _ended(self, slot: Slot, instance: Instance, process: Process) -> None:
        code = process.exit_code
        self._journal.exits[code or 0] = self._journal.exits.get(code or 0, 0) + 1
        if process.crash is not None:
            self.crashed += 1
            name = type(process.crash).__name__
            self._journal.crashes[name] = self._journal.crashes.get(name, 0) + 1
        if code == contract.EXIT_DONE:
            slot.done = True
        elif instance.noticed or instance.gone:
            self._replace(instance, [slot])
        else:  # fenced while frozen, or the service stayed unavailable: Batch starts it again in place
            self._after(CONTAINER_S, lambda: self._start(slot, instance))

    def _replace(self, instance: Instance, slots: list[Slot]) -> None:
        """Batch runs these jobs again on another host."""
        slots = list(slots)
        instance.slots = [slot for slot in instance.slots if slot not in slots]
        if instance.replacement is None:
            instance.replacement = self._new_instance()
            self._place(instance.replacement, slots)
            return
        self._place_more(instance.replacement, slots)

    def _place(self, instance: Instance, slots: list[Slot]) -> None:
        instance.slots.extend(slots)
        at_s = self._seconds()
        starvation = self._scenario.starvation
        if starvation is not None and starvation.from_s <= at_s < starvation.until_s:
            at_s = starvation.until_s
        at_s += self._rng.uniform(*self._scenario.spot.boot_s)
        self._after(at_s - self._seconds(), lambda: self._boot(instance))

    def _place_more(self, instance: Instance, slots: list[Slot]) -> None:
        if instance.gone:
            self._replace(instance, slots)
            return
        instance.slots.extend(slots)
        if instance.up:
            for slot in slots:
                self._after(CONTAINER_S, lambda s=slot: self._start(s, instance))  # type: ignore[misc]

    # --- small things ------------------------------------------------------------------------------------------

    def _count(self, change: int) -> None:
        self.alive += change
        self.alive_over_time.append((self._seconds(), self.alive))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._scheduler.after(seconds, action)

    def _seconds(self) -> float:
        return self._scheduler.now / 1e6

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self._scheduler.now)
