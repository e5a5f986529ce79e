"""The worker's session: its registration in the table, kept alive by heartbeats."""

import logging
from collections.abc import Callable
from datetime import timedelta

from spotproof import events
from spotproof.clock import Clock, from_epoch_ms, to_epoch_ms
from spotproof.concurrency import Spawner
from spotproof.errors import AwsError, SessionLostError
from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.interruptions.monitor import Monitor
from spotproof.leases.model import Run, Session, SessionState, StopKind
from spotproof.leases.store import LeaseStore
from spotproof.worker.ledger import LedgerBook, Spent

logger = logging.getLogger(__name__)
_SIGNAL_OF_STOP = {
    StopKind.NOTICE: SignalKind.NOTICE,
    StopKind.TERMINATED: SignalKind.TERMINATE,
    StopKind.CANCELLED: SignalKind.CANCEL,
    StopKind.PAUSED: SignalKind.PAUSE,
    StopKind.RETIRED: SignalKind.RETIRE,
}


def signals_of(session: Session) -> list[Signal]:
    """What the flags on a stored session say."""
    signals = []
    if session.stop is not None:
        deadline = None if session.stop.deadline is None else from_epoch_ms(session.stop.deadline)
        kind = _SIGNAL_OF_STOP[session.stop.kind]
        signals.append(Signal(kind=kind, channel=Channel.SESSION, deadline=deadline))
    if session.hint_until is not None:
        expires_at = from_epoch_ms(session.hint_until)
        signals.append(Signal(kind=SignalKind.REBALANCE, channel=Channel.SESSION, expires_at=expires_at))
    return signals


class WorkerSession:
    """Holds and heartbeats in one order: the sequence number rises with every request.

    `heartbeat_store` has a retry layer of its own, because heartbeats go on while the main thread is in a retry.
    """

    def __init__(
        self,
        *,
        session: Session,
        run: Run,
        store: LeaseStore,
        heartbeat_store: LeaseStore,
        monitor: Monitor,
        ledger: LedgerBook,
        clock: Clock,
        spawner: Spawner,
    ) -> None:
        self.session = session
        self._run = run
        self._store = store
        self._heartbeat_store = heartbeat_store
        self._monitor = monitor
        self._ledger = ledger
        self._clock = clock
        self._spawner = spawner
        self._order = spawner.lock()
        self._lost = spawner.flag()
        self._closed = spawner.flag()

    @property
    def lost(self) -> bool:
        """Whether this session is over: somebody fenced it, or it was abandoned."""
        return self._lost.is_set()

    def open(self) -> None:
        """Register, then heartbeat in the background until closed."""
        self.session = self._store.open_session(self.session)
        self._spawner.spawn(self._beat_until_closed, name="session-heartbeat")

    def hold(self, index: int) -> bool:
        """Write ahead that we are about to claim shard `index`; False if a stop is on record.

        Raises:
            SessionLostError: the session was fenced.
        """
        with self._order:
            held = self._guard(lambda: self._store.hold(self.session, index, seq=self._next(), until=self._until()))
            if held is not None:
                self.session = held
        if held is None:
            self.beat()  # fetches the flags that refused us
            return False
        self._take_in(held)
        return True

    def beat(self) -> None:
        """One heartbeat now.

        Raises:
            SessionLostError: the session was fenced.
        """
        with self._order:
            ledger = self._ledger.snapshot()
            stored = self._guard(
                lambda: self._heartbeat_store.heartbeat(
                    self.session, seq=self._next(), until=self._until(), ledger=ledger
                )
            )
            if stored is not None:
                self.session = stored
        if stored is not None:
            self._take_in(stored)

    def close(self) -> None:
        """Stop the heartbeat and end the session; the table's refusal or absence changes nothing for the leaver."""
        self._closed.set()
        if self.lost:
            return
        waiting_since = self._clock.monotonic()
        with self._order:
            self._ledger.book(self._clock.monotonic() - waiting_since, Spent.IDLE)  # for a heartbeat under way
            try:
                self._store.end_session(self.session, ledger=self._ledger.snapshot())
            except AwsError as error:
                logger.warning(events.SESSION_LOST, extra={"error": str(error), "while": "ending"})

    def abandon(self) -> None:
        """Fall silent while a shard of ours is still leased: the session expires, and whoever rescues it frees the shard.

        Going on would hold the next shard instead, and nothing would cover this one any more (invariant I11).
        """
        self._closed.set()
        self._lost.set()
        self._monitor.wake()

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(self._run.options.heartbeat_s):
            try:
                self.beat()
            except SessionLostError:
                return
            except AwsError as error:
                # Silence past the ttl lets others rescue our shard; the tokens keep that safe.
                logger.warning(events.HEARTBEAT_LATE, extra={"error": str(error)})
            except Exception as error:
                # Without heartbeats the worker would go on for nothing: it must not outlive this thread.
                self.abandon()
                logger.exception(events.SESSION_LOST, extra={"error": repr(error), "while": "heartbeat"})

    def _guard(self, request: Callable[[], Session | None]) -> Session | None:
        try:
            return request()
        except SessionLostError:
            if not self._lost.is_set() and not self._closed.is_set():
                self._lost.set()
                self._monitor.wake()
                logger.warning(events.SESSION_LOST, extra={"held": self.session.held})
            raise

    def _take_in(self, stored: Session) -> None:
        if stored.state is SessionState.ALIVE:
            for signal in signals_of(stored):
                self._monitor.offer(signal)

    def _next(self) -> int:
        return self.session.seq + 1

    def _until(self) -> int:
        return to_epoch_ms(self._clock.now() + timedelta(seconds=self._run.options.ttl_s))
