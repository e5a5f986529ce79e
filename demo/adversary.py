"""The adversary: carries a schedule out against a run, one step whenever the run has moved on far enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from demo.hits import Hit
from demo.schedule import Delivery, Kind, Step, choose_target, is_due, is_urgent
from demo.snapshot import Snapshot, Working
from spotproof.clock import Clock
from spotproof.leases.model import SessionState


class Controls(Protocol):
    """What the adversary can do to the account. Ids are EC2 instance ids and Batch job ids."""

    def place(self, instance_id: str) -> str:
        """Type and zone, for people."""
        ...

    def spoil_notice(self, instance_id: str, delivery: Delivery) -> None:
        """Let the instance's next notice reach the bus twice, or not at all."""
        ...

    def notice(self, instance_id: str) -> None:
        """Interruption notice now, reclaim when the window is over."""
        ...

    def kill(self, instance_id: str) -> None:
        """Everything on the instance dies at once; nobody is told."""
        ...

    def rebalance(self, instance_id: str) -> None:
        """Recommend a rebalance, and do nothing else."""
        ...

    def pause(self, job_id: str) -> None:
        """Stop the worker's processes where they are."""
        ...

    def resume(self, job_id: str) -> None:
        """Let them go on."""
        ...


@dataclass
class Adversary:
    """Acts on snapshots; the caller decides how often to look."""

    steps: Sequence[Step]
    controls: Controls
    clock: Clock
    hits: list[Hit] = field(default_factory=list)
    _spared: set[str] = field(default_factory=set)
    _progress: int = 0
    _zombie: Working | None = None

    @property
    def finished(self) -> bool:
        """Whether every step was carried out and the paused worker goes on."""
        return len(self.hits) == len(self.steps) and self._zombie is None

    @property
    def pausing(self) -> Working | None:
        """The worker that is stopped at the moment."""
        return self._zombie

    def act(self, snapshot: Snapshot) -> Hit | None:
        """Do what is due now: at most one new hit, which is returned."""
        if self._zombie is not None and has_lost_its_shard(self._zombie, snapshot):
            self.resume_zombie()
        if len(self.hits) == len(self.steps):
            return None
        step = self.steps[len(self.hits)]
        urgent = is_urgent(snapshot, steps_left=len(self.steps) - len(self.hits))
        if not urgent and not is_due(step, snapshot, progress_before=self._progress):
            return None
        target = choose_target(step, snapshot, spared=self._spared, urgent=urgent)
        if target is None:
            return None
        hit = self._strike(step, target, snapshot)
        self.hits.append(hit)
        self._spared.add(target.instance_id)
        self._progress = snapshot.progress
        return hit

    def resume_zombie(self) -> None:
        """Let the paused worker go on, if there is one."""
        if self._zombie is None:
            return
        self.controls.resume(self._zombie.batch_job_id)
        self._zombie = None
        resumed_at = self.clock.now().timestamp()
        self.hits = [replace(hit, resumed_at=resumed_at) if hit.step.kind is Kind.PAUSE else hit for hit in self.hits]

    def _strike(self, step: Step, target: Working, snapshot: Snapshot) -> Hit:
        at = self.clock.now().timestamp()
        match step.kind:
            case Kind.NOTICE:
                if step.delivery is not Delivery.ONCE:
                    self.controls.spoil_notice(target.instance_id, step.delivery)
                self.controls.notice(target.instance_id)
            case Kind.KILL:
                self.controls.kill(target.instance_id)
            case Kind.REBALANCE:
                self.controls.rebalance(target.instance_id)
            case Kind.PAUSE:
                self.controls.pause(target.batch_job_id)
                self._zombie = target
        place = self.controls.place(target.instance_id)
        return Hit(
            step=step, at=at, instance_id=target.instance_id, place=place, victims=victims(step, target, snapshot)
        )


def victims(step: Step, target: Working, snapshot: Snapshot) -> tuple[Working, ...]:
    """Whose shards the step strikes: a pause one worker, everything else all workers of the instance."""
    if step.kind is Kind.PAUSE:
        return (target,)
    return tuple(each for each in snapshot.working if each.instance_id == target.instance_id)


def has_lost_its_shard(zombie: Working, snapshot: Snapshot) -> bool:
    """Whether the paused worker's session was fenced and its shard was leased again."""
    session, shard = snapshot.sessions.get(zombie.session_id), snapshot.shards.get(zombie.shard)
    fenced = session is not None and session.state is SessionState.DEAD
    return fenced and shard is not None and shard.owner not in (None, zombie.session_id)
