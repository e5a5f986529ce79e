"""What an idle worker does for the whole run: rescues the silent, closes stripes, and announces the end."""

import logging

from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.model import Run, RunState
from spotproof.leases.requeue import Requeuer
from spotproof.leases.store import LeaseStore
from spotproof.worker.announcements import RunAnnouncer

logger = logging.getLogger(__name__)
RESCUES_PER_HEARTBEAT = 3  # silence is a matter of several heartbeats: no need to read all sessions at every look


class Caretaker:
    """One worker's share of the care. One idle worker cares at a time, so that the reads of a pass don't grow with the
    fleet; the others only read the run. Every step is safe to do by any number at once."""

    def __init__(self, *, store: LeaseStore, announcer: RunAnnouncer, clock: Clock, carer: str) -> None:
        """`carer`: this worker's session."""
        self._store = store
        self._requeuer = Requeuer(store)
        self._closer = StripeCloser(store)
        self._announcer = announcer
        self._clock = clock
        self._carer = carer
        self._last: Closing | None = None
        self._rescue_after: float = float("-inf")  # monotonic seconds
        self.caring = False  # whether the last `care` was ours

    def care(self, run: Run) -> Run:
        """One pass, if nobody else cares; the run as stored after it.

        Raises:
            AwsError: the table can't be reached.
        """
        current = self._store.get_run(run.run_id) or run
        self.caring = current.state is RunState.RUNNING and self._may_care(current)
        if self.caring and not self._has_half_a_term(current):
            current = self._store.take_care(run.run_id, carer=self._carer, ttl_s=run.options.heartbeat_s)
            self.caring = current.carer == self._carer and current.state is RunState.RUNNING
        return self._pass(current) if self.caring else current

    def _may_care(self, run: Run) -> bool:
        others = run.carer not in (None, self._carer) and (run.care_until or 0) >= to_epoch_ms(self._clock.now())
        return not others

    def _has_half_a_term(self, run: Run) -> bool:
        left_ms = (run.care_until or 0) - to_epoch_ms(self._clock.now())
        return run.carer == self._carer and left_ms > run.options.heartbeat_s * 500

    def _pass(self, run: Run) -> Run:
        now = self._clock.monotonic()
        if now >= self._rescue_after:
            self._rescue_after = now + run.options.heartbeat_s / RESCUES_PER_HEARTBEAT
            self._requeuer.rescue_expired(run, to_epoch_ms(self._clock.now()))
        closing = self._closer.close_finished_stripes(
            run,
            previously_missing=self._last.missing if self._last else (),
            blockers=self._last.blockers if self._last else (),
        )
        self._last = closing
        if closing.complete and closing.closed:
            self._announcer.finished(closing.run)
        return closing.run
