"""Finding work: requeued shards first, then tickets for shards never leased."""

import random

from spotproof.leases.model import Candidate, CapacityClass, Lease, Run, SessionId
from spotproof.leases.sizing import session_bucket
from spotproof.leases.store import LeaseStore
from spotproof.worker.session import WorkerSession

CANDIDATES_READ = 12  # enough that workers asking at once choose different ones
CANDIDATES_TRIED = 2
FRESH_TRIED = 16  # bound of one search: lost races for tickets whose rows somebody repaired


def stripe_order(session_id: SessionId, stripes: int) -> list[int]:
    """All stripes, beginning with the session's home: workers spread over the partitions."""
    home = session_bucket(session_id, stripes)
    return [(home + step) % stripes for step in range(stripes)]


def classes_for(lifecycle: str) -> tuple[CapacityClass, ...]:
    """Which shards a worker may take: an on-demand worker its own class first, a spot worker only spot's."""
    if lifecycle == CapacityClass.ON_DEMAND:
        return (CapacityClass.ON_DEMAND, CapacityClass.SPOT)
    return (CapacityClass.SPOT,)


class LeaseFinder:
    """Claims the next shard for one session."""

    def __init__(
        self,
        *,
        store: LeaseStore,
        session: WorkerSession,
        run: Run,
        rng: random.Random,
    ) -> None:
        self._store = store
        self._session = session
        self._run = run
        self._classes = classes_for(session.session.host.lifecycle)
        self._rng = rng
        self._stripes_left = stripe_order(session.session.session_id, run.stripes)

    def next_lease(self) -> Lease | None:
        """A new lease, or None when nothing is claimable now or a stop is on record.

        Raises:
            SessionLostError: our session was fenced.
        """
        return self._requeued() or self._fresh()

    def _requeued(self) -> Lease | None:
        for capacity_class in self._classes:
            found = self._store.candidates(self._run, capacity_class, limit=CANDIDATES_READ)
            for candidate in self._rng.sample(found, min(CANDIDATES_TRIED, len(found))):
                lease = self._claim_requeued(candidate)
                if lease is not None:
                    return lease
        return None

    def _claim_requeued(self, candidate: Candidate) -> Lease | None:
        if not self._session.hold(candidate.index):
            return None
        return self._store.claim_requeued(self._run, candidate, self._session.session)

    def _fresh(self) -> Lease | None:
        for _ in range(FRESH_TRIED):
            index = self._ticket()
            if index is None or not self._session.hold(index):
                return None
            lease = self._store.claim_fresh(self._run, index, self._session.session)
            if lease is not None:
                return lease
        return None

    def _ticket(self) -> int | None:
        while self._stripes_left:
            index = self._store.take_ticket(self._run, self._stripes_left[0])
            if index is not None:
                return index
            self._stripes_left.pop(0)
        return None
