"""Carries out routes: reads the pool of the worker that is replaced, and takes the probe if there is one to take."""

from collections.abc import Sequence
from dataclasses import dataclass

from lambdas.controlling.crew import pool_of
from lambdas.controlling.headroom import Headroom, Room
from spotproof.capacity.breaker import BreakerSettings, BreakerState, BreakerVerdict, judge_pool
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.routing import POOL_UNKNOWN, RouteDecision, decide_capped, decide_uncapped
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import ItemError
from spotproof.leases.model import Run, Session
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """For replacements and top-ups of Spot workers. One read of the pool; a write for a probe, else Headroom past a pool
    that loses hosts."""

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
        if not pool:
            return POOL_UNKNOWN
        now_ms = to_epoch_ms(self.clock.now())
        verdict = self._verdict(pool, now_ms)
        uncapped = decide_uncapped(verdict)
        if uncapped is not None and (not uncapped.probes or self.pools.take_probe(pool, self.breaker, now_ms=now_ms)):
            return uncapped
        room = self.headroom.of(run, sessions, ended=batch_job_id, vcpus=vcpus, workers=workers)
        return decide_capped(verdict, room.caps, on_demand_now=room.there)

    def _verdict(self, pool: str, now_ms: int) -> BreakerVerdict:
        """A pool whose record can't be read counts as closed: a worker on Spot is what the run asked for."""
        try:
            return judge_pool(self.pools.read(pool), self.breaker, now_ms=now_ms)
        except ItemError as error:
            return BreakerVerdict(pool=pool, state=BreakerState.CLOSED, probe_free=False, reason=str(error))
