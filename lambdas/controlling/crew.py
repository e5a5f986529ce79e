"""A run's workers as its sessions and Batch jobs show them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from spotproof import contract
from spotproof.capacity.deadline import SpotMarket
from spotproof.capacity.live_jobs import LiveJob
from spotproof.capacity.situation import Workforce
from spotproof.capacity.submitted_workers import SubmittedWorkers
from spotproof.leases.model import CapacityClass, Run, Session, SessionState

ON_DEMAND = CapacityClass.ON_DEMAND.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The sessions of a run at one moment. A worker outside AWS has no lifecycle: it counts as Spot."""

    sessions: Sequence[Session]
    now_ms: int

    def alive(self, *, on_demand: bool) -> list[Session]:
        """Workers of one lifecycle that take shards: heard of lately, told neither to stop nor to retire."""
        return [each for each in self._open(on_demand) if each.stop is None]

    def workforce(self, jobs: Iterable[LiveJob], *, on_demand: bool) -> Workforce:
        """Of one lifecycle; `jobs`: the run's in that lifecycle's queue.

        A running container that has no session yet is coming, like one that waits.
        """
        taking, present = self.alive(on_demand=on_demand), len(self._open(on_demand))
        listed = list(jobs)
        running = sum(job.running for job in listed)
        unseen = max(0, running - present)
        return Workforce(
            alive=len(taking),
            coming=sum(job.waiting + job.starting for job in listed) + unseen,
            working=sum(1 for each in taking if each.held is not None),
        )

    @property
    def held(self) -> int:
        """Shards that live sessions hold, those of leaving workers included."""
        return sum(1 for each in self.sessions if self._is_open(each) and each.held is not None)

    def nobody_since(self, run: Run) -> int | None:
        """Epoch ms since when no worker takes shards; None while somebody does."""
        if self.alive(on_demand=False) or self.alive(on_demand=True):
            return None
        return max((_end(each, self.now_ms) for each in self.sessions), default=run.created_at)

    def market(self, *, width: int, since_ms: int) -> SpotMarket:
        """What the run saw of Spot; `short_s` is what `width` places would have been beyond that."""
        spot = [each for each in self.sessions if not is_on_demand(each)]
        up_ms = sum(max(0, _end(each, self.now_ms) - each.started_at) for each in spot)
        wanted_ms = width * max(0, self.now_ms - since_ms)
        losses = sum(1 for each in spot if was_interrupted(each))
        return SpotMarket(up_s=up_ms / 1000, short_s=max(0, wanted_ms - up_ms) / 1000, losses=losses)

    def spot_pools(self) -> list[str]:
        """Pools in which Spot workers of the run live."""
        return sorted({pool for each in self.alive(on_demand=False) if (pool := pool_of(each))})

    def _open(self, on_demand: bool) -> list[Session]:
        return [each for each in self.sessions if self._is_open(each) and is_on_demand(each) is on_demand]

    def _is_open(self, session: Session) -> bool:
        return session.state is SessionState.ALIVE and session.until >= self.now_ms


def unheard_of(submitted: Iterable[SubmittedWorkers], *, heard: Collection[str]) -> int:
    """How many of the submitted workers are still coming; `heard`: Batch jobs, with their indices, that have come."""
    by_job = Counter(job_id.partition(":")[0] for job_id in set(heard))
    return sum(max(0, job.workers - (by_job[job.job_id] if job.job_id else 0)) for job in submitted)


def is_on_demand(session: Session) -> bool:
    return session.host.lifecycle == ON_DEMAND


def pool_of(session: Session) -> str:
    """Its Spot pool; empty if the worker does not know it, or is not on Spot."""
    host = session.host
    if not host.instance_type or not host.zone or host.lifecycle != CapacityClass.SPOT.value:
        return ""
    return contract.pool_sk(host.instance_type, host.zone)


def was_interrupted(session: Session) -> bool:
    """Whether its host was taken from under it, or is about to be."""
    if session.stop is not None:
        return session.stop.kind.interrupts
    return session.state is SessionState.DEAD


def _end(session: Session, now_ms: int) -> int:
    """When it was last known to live."""
    if session.ended_at is not None:
        return session.ended_at
    return min(session.until, now_ms)
