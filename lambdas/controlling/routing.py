"""Carries out routes: reads the pool of the worker that is replaced, and takes the probe if there is one to take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lambdas.controlling.crew import pool_of
from lambdas.controlling.headroom import Headroom, Room
from spotproof.capacity.breaker import BreakerSettings, judge_pool
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.routing import RouteDecision, decide_route
from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.model import Run, Session
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """For replacements and top-ups of Spot workers. One read of the pool, one write for a probe; see Headroom."""

    store: LeaseStore
    pools: PoolRecords
    headroom: Headroom
    breaker: BreakerSettings
    clock: Clock

    def route(self, run: Run, *, batch_job_id: str, vcpus: float, workers: int) -> RouteDecision:
        """Where the worker after `batch_job_id` goes.

        Args:
            batch_job_id: of the worker that ended, with its index in an array.
            vcpus: of one worker.
            workers: the run's width.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        return self.route_after(run, list(self.store.sessions(run)), batch_job_id, vcpus=vcpus, workers=workers)

    def room(self, run: Run, *, batch_job_id: str, vcpus: float, workers: int) -> Room:
        """Whether a worker on demand may follow `batch_job_id`; arguments and errors as of `route`."""
        sessions = list(self.store.sessions(run))
        return self.headroom.of(run, sessions, ended=batch_job_id, vcpus=vcpus, workers=workers)

    def route_after(
        self, run: Run, sessions: Sequence[Session], batch_job_id: str, *, vcpus: float, workers: int
    ) -> RouteDecision:
        """The same, with the run's sessions at hand."""
        lives = [each for each in sessions if each.host.batch_job_id == batch_job_id]
        pool = pool_of(max(lives, key=lambda each: each.started_at)) if lives else ""
        now_ms = to_epoch_ms(self.clock.now())
        verdict = judge_pool(self.pools.read(pool), self.breaker, now_ms=now_ms) if pool else None
        room = self.headroom.of(run, sessions, ended=batch_job_id, vcpus=vcpus, workers=workers)
        decision = decide_route(verdict, room.caps, on_demand_now=room.there)
        if verdict is None or not decision.probes or self.pools.take_probe(pool, self.breaker, now_ms=now_ms):
            return decision
        return decide_route(replace(verdict, probe_free=False), room.caps, on_demand_now=room.there)
