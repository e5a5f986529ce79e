"""The fleet: instances from launch to termination, and every way to lose one."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from simulation.cloud.aws_event import EventSink, iso, service_event
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.cloud.market import Market, vcpus_of
from simulation.cloud.scaling import NO_CAPACITY, ScalingActivities
from simulation.cloud.timing import USUAL, Timing
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from simulation.kernel.trace import Trace
from spotproof import contract
from spotproof.interruptions.eventbridge import EC2_SOURCE, InstanceState

BOOT_FAILED: Final = "P1 boot failed"  # chance per launch
RECLAIMED: Final = "reclaimed"  # how the reason for such an end begins
IDLE: Final = "idle"
METADATA_BLIND: Final = "E4 notice not in metadata"  # chance per notice: metadata is best effort like the event

Callback = Callable[[SimInstance], None]


class Fleet:
    """Owns the instances. Batch listens: `on_running`, `on_lost` (everything on it is dead), `on_terminated`."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        bus: EventSink,
        market: Market,
        timing: Timing = USUAL,
    ) -> None:
        self.instances: dict[str, SimInstance] = {}
        self.on_running: list[Callback] = []
        self.on_lost: list[Callback] = []
        self.on_terminated: list[Callback] = []
        self.faults = faults
        self.activities = ScalingActivities(scheduler=scheduler)
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._bus = bus
        self._market = market
        self._timing = timing
        self._live: dict[str, SimInstance] = {}

    @property
    def types(self) -> Sequence[str]:
        """Names of the instance types that there are."""
        return self._market.types

    def live(self) -> list[SimInstance]:
        return list(self._live.values())

    # From launch to idleness.

    def launch(self, *, environment: str, lifecycle: Lifecycle, vcpus: int) -> SimInstance | None:
        """Start an instance of at least `vcpus`; None if EC2 has none."""
        pool = self._market.choose(lifecycle, vcpus=vcpus)
        self.activities.note(environment, refusal="" if pool else NO_CAPACITY[lifecycle])
        if pool is None:
            return None
        kind, zone = pool
        instance = SimInstance(
            id=f"i-{self._rng.getrandbits(68):017x}",
            type=kind,
            zone=zone,
            lifecycle=lifecycle,
            vcpus=vcpus_of(kind),
            environment=environment,
            launched_at=self._scheduler.now,
            idle_since=self._scheduler.now,
        )
        self.instances[instance.id] = self._live[instance.id] = instance
        self._enter(instance, InstanceState.PENDING, f"{kind} {zone} {lifecycle}")
        self._after(self._rng.randrange(*self._timing.boot_s), self._booted, instance)
        return instance

    def occupy(self, instance: SimInstance, vcpus: int) -> None:
        instance.vcpus_used += vcpus

    def vacate(self, instance: SimInstance, vcpus: int) -> None:
        """Give back room; an instance that stays empty is ended."""
        instance.vcpus_used -= vcpus
        if not instance.vcpus_used:
            instance.idle_since = self._scheduler.now
            self._after(self._timing.idle_s, self._scale_in, instance)

    def _booted(self, instance: SimInstance) -> None:
        if not instance.is_live:
            return
        if self.faults.strikes(BOOT_FAILED, f"ec2 {instance.lifecycle}"):
            self.lose(instance, "boot failed")
            return
        instance.running_at = instance.idle_since = self._scheduler.now
        self._enter(instance, InstanceState.RUNNING)
        _call(self.on_running, instance)
        self._after(self._timing.idle_s, self._scale_in, instance)

    def _scale_in(self, instance: SimInstance) -> None:
        idle = self._scheduler.now - instance.idle_since
        if instance.is_running and not instance.vcpus_used and idle >= microseconds(self._timing.idle_s):
            self.lose(instance, IDLE)

    # Ways to lose an instance.

    def recommend_rebalance(self, instance: SimInstance) -> None:
        """The host is at risk; nothing else happens."""
        instance.rebalance_at = self._scheduler.now
        self._note(instance, "rebalance recommendation")
        self._publish(instance, contract.DETAIL_REBALANCE, {})

    def give_notice(
        self, instance: SimInstance, *, lead_s: float = contract.NOTICE_LEAD_S, reclaim: bool = True
    ) -> None:
        """Announce the reclaim by event and metadata; without `reclaim` EC2 changes its mind."""
        instance.reclaim_at = self._scheduler.now + microseconds(lead_s)
        instance.draining = True  # the container agent saw it
        if not self.faults.strikes(METADATA_BLIND, "imds"):
            instance.notice_seen_from = self._scheduler.now + microseconds(5 * self._rng.random())
        self._note(instance, "notice", f"for {iso(instance.reclaim_at)}")
        odd_arn = f"arn:aws:ec2:{instance.zone}:instance/{instance.id}"  # the zone and no account: as EC2 sends it
        self._publish(instance, contract.DETAIL_SPOT_WARNING, {"instance-action": "terminate"}, resource=odd_arn)
        if reclaim:
            self._after(lead_s, self._reclaim, instance)

    def lose(self, instance: SimInstance, why: str) -> None:
        """Power off: all processes on it are killed, and EC2 says so at once."""
        if self._power_off(instance, why):
            self._shut_down(instance)

    def fail(self, instance: SimInstance, why: str) -> None:
        """The host dies and EC2 notices it minutes later."""
        if self._power_off(instance, why):
            self._after(self._timing.unseen_s * self._rng.random(), self._shut_down, instance)

    def suspend(self, instance: SimInstance, seconds: float) -> None:
        """The whole machine stands still, as in a live migration; afterwards everything on it goes on."""
        self._note(instance, "suspended", f"for {seconds} s")
        for process in list(instance.processes):
            process.freeze(seconds, suspend=True)

    def _reclaim(self, instance: SimInstance) -> None:
        if self.faults.at_peace:
            self._note(instance, "not reclaimed")
        else:
            self.lose(instance, RECLAIMED)

    def _power_off(self, instance: SimInstance, why: str) -> bool:
        if not instance.is_live:
            return False
        instance.powered, instance.state_reason = False, _reason_code(why)
        instance.draining = True
        del self._live[instance.id]
        self._note(instance, "power off", why)
        for process in list(instance.processes):
            process.kill(f"host {instance.id} lost: {why}")
        _call(self.on_lost, instance)
        return True

    def _shut_down(self, instance: SimInstance) -> None:
        self._enter(instance, InstanceState.SHUTTING_DOWN)
        self._after(self._rng.randrange(*self._timing.shutdown_s), self._terminated, instance)

    def _terminated(self, instance: SimInstance) -> None:
        instance.ended_at = self._scheduler.now
        self._enter(instance, InstanceState.TERMINATED)
        _call(self.on_terminated, instance)

    # Telling.

    def _enter(self, instance: SimInstance, state: InstanceState, detail: str = "") -> None:
        instance.state = state
        self._note(instance, str(state), detail)
        self._publish(instance, contract.DETAIL_INSTANCE_STATE, {"state": str(state)})

    def _publish(self, instance: SimInstance, detail_type: str, detail: dict[str, Any], resource: str = "") -> None:
        event = service_event(
            self._rng,
            self._scheduler.now,
            source=EC2_SOURCE,
            detail_type=detail_type,
            detail={"instance-id": instance.id, **detail},
            resources=(resource or instance.arn,),
        )
        self._bus.publish(event)

    def _note(self, instance: SimInstance, what: str, detail: str = "") -> None:
        self._trace.note(self._scheduler.now, instance.id, what, detail)

    def _after(self, seconds: float, action: Callback, instance: SimInstance) -> None:
        self._scheduler.after(seconds, partial(action, instance))


def _reason_code(why: str) -> str:
    """EC2's code for an end (EC2 API reference, StateReason)."""
    if why.startswith(RECLAIMED):
        return "Server.SpotInstanceTermination"
    return "Client.UserInitiatedShutdown" if why == IDLE else "Server.InternalError"


def _call(listeners: Iterable[Callback], instance: SimInstance) -> None:
    for listener in listeners:
        listener(instance)
