"""What an idle worker does for the whole run: rescues the silent, closes stripes, and announces the end."""

import logging

from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.closing import Closing, StripeCloser
from spotproof.leases.model import Run
from spotproof.leases.requeue import Requeuer
from spotproof.leases.store import LeaseStore
from spotproof.worker.announcements import RunAnnouncer

logger = logging.getLogger(__name__)


class Caretaker:
    """One worker's share of the care; every step is safe to do by all workers at once."""

    def __init__(self, *, store: LeaseStore, announcer: RunAnnouncer, clock: Clock) -> None:
        self._requeuer = Requeuer(store)
        self._closer = StripeCloser(store)
        self._announcer = announcer
        self._clock = clock
        self._last: Closing | None = None

    def care(self, run: Run) -> Run:
        """One pass; the run as stored after it.

        Raises:
            AwsError: the table can't be reached.
        """
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
