"""The fleet: instances from launch to termination, and every way to lose one."""

import logging
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from localcloud.clock import NOTICE_S, Clock
from localcloud.ec2_records import Ec2Records
from localcloud.errors import UsageError
from localcloud.event_bus import EventBus, ServiceEvent
from localcloud.executor import Executor, Task, TaskExit, TaskSpec
from localcloud.instance import Instance, LaunchRequest, State, new_instance_id, reason_code
from localcloud.journal import Journal
from localcloud.reactor import Reactor

logger = logging.getLogger(__name__)

SHUTDOWN_S = 10.0  # from `shutting-down` to `terminated`
FARGATE_INTERRUPTED = "Your Spot Task was interrupted."  # statusReason of an attempt
REPLACED = "compute environment updated"
INTERRUPTION_WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE_RECOMMENDATION = "EC2 Instance Rebalance Recommendation"
STATE_CHANGE = "EC2 Instance State-change Notification"


def host_gone_reason(instance_id: str) -> str:
    """The statusReason of an attempt whose host vanished, as Batch writes it."""
    return f"Host EC2 (instance {instance_id}) terminated."


class Fleet:
    """Owns the instances. Every method expects the reactor's state to be held, unless it says otherwise."""

    def __init__(
        self,
        *,
        directory: Path,
        clock: Clock,
        reactor: Reactor,
        journal: Journal,
        events: EventBus,
        records: Ec2Records,
        executor: Executor,
        boot_s: float,
        idle_s: float,
        host_gone_s: float,
    ) -> None:
        self.instances: dict[str, Instance] = {}
        self.on_running: Callable[[Instance], None] = _ignore
        self.on_leaving: Callable[[Instance], None] = _ignore
        self.min_vcpus_of: Callable[[Instance], int] = _zero
        self._directory = directory
        self._clock = clock
        self._reactor = reactor
        self._journal = journal
        self._events = events
        self._records = records
        self._executor = executor
        self._boot_s = boot_s
        self._idle_s = idle_s
        self._host_gone_s = host_gone_s
        shutil.rmtree(directory, ignore_errors=True)

    # Life of an instance.

    def launch(self, request: LaunchRequest) -> Instance:
        """Start an instance; it is `running` after the boot time."""
        now = self._clock.now()
        instance = Instance(id=new_instance_id(), request=request, launched_at=now, idle_since=now)
        if not instance.is_fargate:
            self._records.add(instance)
        self.instances[instance.id] = instance
        (self._directory / instance.id).mkdir(parents=True)
        self._enter(instance, State.PENDING)
        self._reactor.after(self._clock.real(self._boot_s), partial(self._booted, instance))
        return instance

    def _booted(self, instance: Instance) -> None:
        if instance.state is not State.PENDING:
            return
        instance.running_at = instance.idle_since = self._clock.now()
        self._enter(instance, State.RUNNING)
        self.on_running(instance)
        self.watch_idle(instance)

    def run(
        self,
        instance: Instance,
        spec: TaskSpec,
        *,
        on_exit: Callable[[Task, TaskExit], None],
        on_line: Callable[[str], None],
    ) -> Task | TaskExit:
        """Start a container on the instance; `on_exit` is called once, also when the host is lost."""

        def ended(task: Task, how: TaskExit) -> None:
            instance.tasks.pop(spec.task_id, None)
            interrupted = instance.is_fargate and instance.reclaim_at is not None
            on_exit(task, replace(how, status_reason=FARGATE_INTERRUPTED) if interrupted else how)
            self.watch_idle(instance)

        directory = self._directory / instance.id / spec.task_id
        task = self._executor.start(spec, directory=directory, on_exit=ended, on_line=on_line)
        if isinstance(task, Task):
            instance.tasks[spec.task_id] = task
        return task

    def watch_idle(self, instance: Instance) -> None:
        """End the instance once it has been idle long enough and its environment can do without it."""
        wait = 0.0 if instance.outdated or instance.is_fargate else self._clock.real(self._idle_s) + 0.01
        self._reactor.after(wait, partial(self._scale_in, instance))

    def _scale_in(self, instance: Instance) -> None:
        if instance.state is not State.RUNNING or instance.vcpus_used:
            return
        if instance.outdated or instance.is_fargate:
            self.terminate(instance, why=REPLACED if instance.outdated else "task ended")
            return
        if self._clock.now() - instance.idle_since < self._clock.real(self._idle_s):
            return
        environment = instance.request.environment
        others = sum(
            other.type.vcpus
            for other in self.instances.values()
            if other.is_live and other is not instance and other.request.environment == environment
        )
        if others >= self.min_vcpus_of(instance):
            self.terminate(instance, why="idle")

    # Ways to lose an instance.

    def rebalance(self, instance: Instance) -> None:
        """Recommend a rebalance; nothing else happens."""
        self._require_running(instance)
        instance.rebalance_at = self._clock.now()
        self._journal.note("instance.rebalance", instance=instance.id)
        self._publish(instance, REBALANCE_RECOMMENDATION, {"instance-id": instance.id})

    def notice(self, instance: Instance, *, lead_s: float = NOTICE_S, reclaim: bool = True) -> float:
        """Give the interruption notice, and reclaim the instance when the window is over unless `reclaim` is False.

        Returns:
            When the reclaim is due, real seconds since 1970; instance metadata carries the same moment.
        """
        self._require_running(instance)
        if instance.is_fargate:
            return self._stop_task(instance)
        window = self._clock.warning_window(lead_s)
        instance.reclaim_at = self._clock.now() + window
        instance.draining = True
        self._journal.note("instance.notice", instance=instance.id, reclaim_at=instance.reclaim_at, reclaim=reclaim)
        detail = {"instance-id": instance.id, "instance-action": "terminate"}
        odd_arn = f"arn:aws:ec2:{instance.zone}:instance/{instance.id}"  # the zone, no account: as AWS sends it
        self._publish(instance, INTERRUPTION_WARNING, detail, resource=odd_arn)
        if reclaim:
            self._reactor.after(window, partial(self.power_off, instance, "reclaimed"))
        return instance.reclaim_at

    def _stop_task(self, instance: Instance) -> float:
        """Fargate takes its capacity back: SIGTERM is the notice, and the stop time-out the window."""
        instance.reclaim_at = self._clock.now() + self._clock.stop_grace()
        self._journal.note("task.notice", instance=instance.id, reclaim_at=instance.reclaim_at)
        self.terminate(instance, why="reclaimed")
        return instance.reclaim_at

    def interrupt(self, instance: Instance, *, lead_s: float = NOTICE_S) -> None:
        """The full sequence: rebalance now, notice two minutes before the reclaim, reclaim after `lead_s`."""
        if instance.is_fargate:  # knows no recommendation
            self.notice(instance)
            return
        self.rebalance(instance)
        wait = self._clock.real(max(0.0, lead_s - NOTICE_S))
        self._reactor.after(wait, partial(self._notice_if_running, instance, lead_s))

    def _notice_if_running(self, instance: Instance, lead_s: float) -> None:
        if instance.state is State.RUNNING:
            self.notice(instance, lead_s=lead_s)

    def power_off(self, instance: Instance, why: str) -> None:
        """Kill everything on the instance at once, as when the power goes; Batch learns of it later."""
        if not instance.is_live:
            return
        instance.draining = True
        for task in instance.tasks.values():
            task.host_lost = True
            self._executor.send(task, signal.SIGKILL)
        instance.state_reason = reason_code(why)
        self._journal.note(
            "instance.killed", instance=instance.id, why=why, jobs=[task.job_id for task in instance.tasks.values()]
        )
        self._leave(instance)

    def terminate(self, instance: Instance, *, why: str) -> None:
        """End the instance in order: SIGTERM to its containers, SIGKILL after the grace, then it is gone."""
        if not instance.is_live:
            return
        instance.draining = True
        instance.state_reason = reason_code(why)
        self._journal.note("instance.terminate", instance=instance.id, why=why)
        if not instance.tasks:
            self._leave(instance)
            return
        self._enter(instance, State.SHUTTING_DOWN)
        for task in instance.tasks.values():
            self._executor.send(task, signal.SIGTERM)
        self._reactor.after(self._clock.stop_grace(), partial(self._end_of_grace, instance))

    def _end_of_grace(self, instance: Instance) -> None:
        for task in instance.tasks.values():
            task.host_lost = True
            self._executor.send(task, signal.SIGKILL)
        self._gone(instance)

    def replace(self, instance: Instance, *, within_s: float) -> None:
        """Its environment was updated: no new job, the end as soon as it is idle or, at the latest, after `within_s`."""
        if not instance.is_live:
            return
        instance.draining = instance.outdated = True
        self._journal.note("instance.outdated", instance=instance.id, within_s=within_s)
        if within_s and instance.vcpus_used:
            self._reactor.after(self._clock.real(within_s), partial(self.terminate, instance, why=REPLACED))
        else:
            self.terminate(instance, why=REPLACED)

    def _leave(self, instance: Instance) -> None:
        self._enter(instance, State.SHUTTING_DOWN)
        self._reactor.after(self._clock.real(SHUTDOWN_S), partial(self._gone, instance))

    def _gone(self, instance: Instance) -> None:
        if instance.state is State.TERMINATED:
            return
        instance.ended_at = self._clock.now()
        self._enter(instance, State.TERMINATED)
        self._reactor.after(self._clock.real(self._host_gone_s), partial(self._report_lost, instance))

    def _report_lost(self, instance: Instance) -> None:
        for task in list(instance.tasks.values()):
            said = FARGATE_INTERRUPTED if instance.is_fargate else host_gone_reason(instance.id)
            how = TaskExit(exit_code=None, reason=None, status_reason=said)
            task.on_exit(task, how)
        shutil.rmtree(self._directory / instance.id, ignore_errors=True)

    # Reading.

    def find(self, instance_id: str) -> Instance:
        """The instance with this id.

        Raises:
            UsageError: if there is none.
        """
        try:
            return self.instances[instance_id]
        except KeyError as error:
            raise UsageError(f"no instance {instance_id!r}: `localcloud status` lists them") from error

    def task_of(self, target: str) -> list[Task]:
        """The containers of an instance id or of a job id.

        Raises:
            UsageError: if nothing runs there.
        """
        if target in self.instances:
            tasks = list(self.instances[target].tasks.values())
        else:
            tasks = [task for one in self.instances.values() for task in one.tasks.values() if task.job_id == target]
        if not tasks:
            raise UsageError(f"nothing runs on {target!r}: give the id of an instance or of a running job")
        return tasks

    def _require_running(self, instance: Instance) -> None:
        if instance.state is not State.RUNNING:
            raise UsageError(f"instance {instance.id} is {instance.state}, not running")

    def _enter(self, instance: Instance, state: State) -> None:
        instance.state = state
        if not instance.is_fargate:
            self._records.set_state(instance)
        self._journal.note(
            "instance." + str(state),
            instance=instance.id,
            type=instance.type.name,
            az=instance.zone,
            lifecycle=str(instance.request.lifecycle),
        )
        if not instance.is_fargate:
            self._publish(instance, STATE_CHANGE, {"instance-id": instance.id, "state": str(state)})
        if state is State.SHUTTING_DOWN:
            self.on_leaving(instance)

    def _publish(self, instance: Instance, detail_type: str, detail: dict[str, str], resource: str = "") -> None:
        self._events.publish(
            ServiceEvent(
                account=instance.request.account,
                region=instance.request.region,
                source="aws.ec2",
                detail_type=detail_type,
                detail=detail,
                resources=(resource or instance.arn,),
            )
        )


def _ignore(_instance: Instance) -> None:
    return None


def _zero(_instance: Instance) -> int:
    return 0
