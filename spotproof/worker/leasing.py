"""Finding work: requeued shards first, then tickets for shards never leased."""

import random

from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.model import Candidate, CapacityClass, Lease, Run, SessionId
from spotproof.leases.sizing import session_bucket
from spotproof.leases.store import LeaseStore
from spotproof.worker.session import WorkerSession

CANDIDATES_READ = 100  # enough that workers asking at once choose different ones, though some were taken already
CANDIDATES_TRIED = 2
TRY_SHARE_DOUBLINGS = 8  # one look in 256 tries a shard the moment it becomes claimable...
TRY_SHARE_DOUBLES_MS = 125  # ...twice as many every eighth of a second, all of them after a second
FRESH_TRIED = 16  # bound of one search: lost races for tickets whose rows somebody repaired


def stripe_order(session_id: SessionId, stripes: int) -> list[int]:
    """All stripes, beginning with the session's home: workers spread over the partitions."""
    home = session_bucket(session_id, stripes)
    return [(home + step) % stripes for step in range(stripes)]


def classes_for(lifecycle: str) -> tuple[CapacityClass, ...]:
    """Which shards a worker looks for: an on-demand worker its own class first, a spot worker only spot's."""
    if lifecycle == CapacityClass.ON_DEMAND:
        return (CapacityClass.ON_DEMAND, CapacityClass.SPOT)
    return (CapacityClass.SPOT,)


def try_share(*, claimable_ms: int) -> float:
    """The share of looks that should try a shard which has been claimable for so long, 0 to 1.

    The index shows a shard for a moment after it was taken. Were all workers of a large fleet to try each shard they
    see, hundreds would be refused for one that leases it; so few try at first, and the more the longer it waits. In a
    small fleet a second or more passes between two looks: everybody tries.
    """
    doublings = min(max(0, claimable_ms) / TRY_SHARE_DOUBLES_MS, TRY_SHARE_DOUBLINGS)
    share: float = 2.0 ** (doublings - TRY_SHARE_DOUBLINGS)
    return share


class LeaseFinder:
    """Claims the next shard for one session."""

    def __init__(
        self,
        *,
        store: LeaseStore,
        session: WorkerSession,
        run: Run,
        rng: random.Random,
        clock: Clock,
    ) -> None:
        self._store = store
        self._session = session
        self._run = run
        self._classes = classes_for(session.session.host.lifecycle)
        self._rng = rng
        self._clock = clock
        home, *others = stripe_order(session.session.session_id, run.stripes)
        self._stripes_left = [home, *rng.sample(others, len(others))]

    def next_lease(self, *, eager: bool = False) -> Lease | None:
        """A new lease, or None when nothing is claimable now or a stop is on record.

        Args:
            eager: take a requeued shard however young it is, and one that waits in vain for an on-demand worker; for
                one worker at a time.

        Raises:
            SessionLostError: our session was fenced.
        """
        return self._requeued(eager) or self._fresh() or (self._left_waiting() if eager else None)

    def _requeued(self, eager: bool) -> Lease | None:
        for capacity_class in self._classes:
            found = self._store.candidates(self._run, capacity_class, limit=CANDIDATES_READ)
            lease = self._claim_one_of(found, eager=eager)
            if lease is not None:
                return lease
        return None

    def _left_waiting(self) -> Lease | None:
        """A shard that was left to on-demand workers, none of which came: no shard waits for ever.

        Looked for when there is nothing else, by one idle worker: an undisturbed shard costs no read more.
        """
        if CapacityClass.ON_DEMAND in self._classes:
            return None
        found = self._store.candidates(self._run, CapacityClass.ON_DEMAND, limit=CANDIDATES_READ)
        patience_ms = self._run.options.fallback_after_s * 1000
        now = to_epoch_ms(self._clock.now())
        return self._claim_one_of([each for each in found if now - each.claimable_at >= patience_ms], eager=True)

    def _claim_one_of(self, found: list[Candidate], *, eager: bool) -> Lease | None:
        for candidate in self._rng.sample(found, min(CANDIDATES_TRIED, len(found))):
            if not eager and not self._is_ours_to_try(candidate):
                continue
            lease = self._claim_requeued(candidate)
            if lease is not None:
                return lease
        return None

    def _is_ours_to_try(self, candidate: Candidate) -> bool:
        claimable_ms = to_epoch_ms(self._clock.now()) - candidate.claimable_at
        return self._rng.random() < try_share(claimable_ms=claimable_ms)

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
            stripe = self._stripes_left[0]
            index = self._store.take_ticket(self._run, stripe)
            if index is not None:
                if index + self._run.stripes >= self._run.shards:  # it was the last one: spare the others a refusal
                    self._pass_over_exhausted(self._store.exhaust_stripe(self._run.run_id, stripe))
                return index
            # One refusal tells of all stripes that anybody found without tickets.
            run = self._store.get_run(self._run.run_id) or self._run
            if stripe not in run.exhausted:
                run = self._store.exhaust_stripe(run.run_id, stripe)
            self._pass_over_exhausted(run)
        return None

    def _pass_over_exhausted(self, run: Run) -> None:
        self._stripes_left = [stripe for stripe in self._stripes_left if stripe not in run.exhausted]
