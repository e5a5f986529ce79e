"""The lease store: every transition of the protocol, one conditional request each."""

from collections.abc import Iterator
from typing import Protocol

from spotproof.leases.model import (
    Candidate,
    CapacityClass,
    CheckpointPointer,
    ClosedStripe,
    HistoryEntry,
    Lease,
    Ledger,
    OutputPointer,
    RequeueCause,
    Run,
    RunId,
    RunState,
    Session,
    SessionId,
    SessionKey,
    Shard,
    ShardUsage,
    Stop,
    StripeWalk,
)


class LeaseStore(Protocol):
    """Transitions return what they changed; a refused one returns None or False, or raises where said.

    Every method may raise AwsAccessError, AwsMissingError (table gone) or AwsUnavailableError. Every write recognises
    its own lost reply: a refusal whose stored item already carries our owner, token and content is a success.
    """

    # --- runs ---------------------------------------------------------------------------------------------------

    def create_run(self, run: Run) -> Run:
        """Put the run if absent and return the stored one, which may be another planner's.

        Raises:
            RunConflictError: the stored run has another parameters_sha256.
        """
        ...

    def get_run(self, run_id: RunId) -> Run | None:
        """The run, strongly consistent."""
        ...

    def active_runs(self) -> Iterator[RunId]:
        """Runs that have not ended (sparse index: a hint)."""
        ...

    def ended_runs(self) -> Iterator[RunId]:
        """Runs that have ended but whose checkpoints and staged objects are not deleted yet (same index)."""
        ...

    def mark_cleaned(self, run_id: RunId) -> bool:
        """Nothing of an ended run is left to delete (idempotent); False if the run has not ended.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    def cancel_run(self, run_id: RunId, *, reason: str) -> Run | None:
        """RUNNING or PAUSED -> CANCELLED; None if it had ended (cancelling twice returns the cancelled run).

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    def pause_run(self, run_id: RunId, *, reason: str, seen: Run | None = None) -> Run | None:
        """RUNNING -> PAUSED: nobody leases any more; None if it has ended (pausing twice returns the paused run).

        Args:
            seen: the run for whose budget it is paused; refused, None, if it was given another one since.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    def resume_run(self, run_id: RunId, *, usd_max: float | None) -> Run | None:
        """PAUSED -> RUNNING; None if it has ended (resuming twice changes nothing more).

        Args:
            usd_max: from now on the run's budget, paused or not; None: as it was.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    def close_stripe(self, run_id: RunId, stripe: int) -> ClosedStripe:
        """Add the stripe to the set of closed stripes (idempotent).

        Of many that close one stripe at once exactly one is the first; none, if its reply was lost.
        """
        ...

    def exhaust_stripe(self, run_id: RunId, stripe: int) -> Run:
        """Note that the stripe has no tickets left, which never changes again (idempotent); the run as stored."""
        ...

    def take_care(self, run_id: RunId, *, carer: str, ttl_s: float) -> Run:
        """Become, or stay, the one idle session that cares for the run: a hint that saves the others' reads.

        The run as stored; ours is the care if its `carer` is. Not given while another one's term runs, or when the run
        is not RUNNING.
        """
        ...

    def take_finalizer(self, run: Run, *, finalizer: str, ttl_s: float) -> Run | None:
        """Become the finalizer: all stripes closed, run not ended, nobody else's term runs.

        Epoch + 1. None if another finalizer's term still runs or the run is COMPLETE / FAILED / CANCELLED.
        """
        ...

    def end_run(self, run: Run, *, state: RunState, quarantined: int, reason: str | None) -> bool:
        """RUNNING or PAUSED -> COMPLETE or FAILED, conditional on run.finalizer_epoch; removes the run from the active index."""
        ...

    # --- sessions -----------------------------------------------------------------------------------------------

    def open_session(self, session: Session) -> Session:
        """Put the session; ids carry a nonce and are never reused."""
        ...

    def hold(self, session: Session, index: int, *, seq: int, until: int) -> Session | None:
        """Write-ahead: `held` = the shard about to be claimed; also a heartbeat.

        None: do not claim. A hard stop is on record (read it with get_session), or a later hold or heartbeat of the
        same session overtook this one, which can't happen while one lock orders them.

        Raises:
            SessionLostError: the session is not ALIVE.
        """
        ...

    def heartbeat(self, session: Session, *, seq: int, until: int, ledger: Ledger) -> Session:
        """Extend the session; the answer carries stop flags. A late duplicate changes nothing and returns the stored item.

        Raises:
            SessionLostError: the session is not ALIVE.
        """
        ...

    def end_session(self, session: Session, *, ledger: Ledger) -> bool:
        """ALIVE -> ENDED by its own worker; False if it was fenced before."""
        ...

    def get_session(self, key: SessionKey) -> Session | None:
        """The session, strongly consistent."""
        ...

    def sessions(self, run: Run) -> Iterator[Session]:
        """All sessions of the run, bucket by bucket, eventually consistent."""
        ...

    def sessions_on_instance(self, instance_id: str) -> list[SessionKey]:
        """Sessions that registered this host (sparse index: a hint); empty for an unknown host."""
        ...

    def mark_stop(self, key: SessionKey, stop: Stop) -> Session | None:
        """Put the stop on an ALIVE session, the first deadline wins; the stored session after it, None if not ALIVE.

        RETIRED gives way: whatever other stop comes before or after it is what the session says.
        """
        ...

    def mark_hint(self, key: SessionKey, *, until: int) -> Session | None:
        """Take no new lease before `until` (later ones win); the stored session, None if not ALIVE."""
        ...

    def fence_session(self, key: SessionKey, *, expired_at: int | None) -> Session | None:
        """ALIVE -> DEAD; with `expired_at` only if its `until` is before that. The fenced session with its `held`.

        Returns the session also when it is DEAD already, so that an interrupted rescue is finished by the next one;
        None if it is ENDED, unknown or not expired.
        """
        ...

    # --- claims -------------------------------------------------------------------------------------------------

    def take_ticket(self, run: Run, stripe: int) -> int | None:
        """The next never-leased shard index of the stripe; None when there is none. A crash leaves a hole."""
        ...

    def claim_fresh(self, run: Run, index: int, session: Session) -> Lease | None:
        """Put the row LEASED with token 1, if there is no row."""
        ...

    def candidates(
        self, run: Run, capacity_class: CapacityClass, *, limit: int, within_s: float = 0.0
    ) -> list[Candidate]:
        """Requeued shards, and drained ones whose reclaim time has passed, oldest first (index: a hint).

        Args:
            within_s: those too that become claimable in so many seconds: for those who count work, not for a claim.
        """
        ...

    def claim_requeued(self, run: Run, candidate: Candidate, session: Session) -> Lease | None:
        """READY, or LEASED with reclaim_at <= now, and the token as seen -> LEASED, token + 1."""
        ...

    # --- writes under a lease -----------------------------------------------------------------------------------

    def record_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> None:
        """Move the pointer forward.

        Raises:
            LeaseLostError: owner or token changed, or the pointer would go back.
        """
        ...

    def commit(self, lease: Lease, output: OutputPointer, *, usage: ShardUsage | None = None) -> None:
        """LEASED -> DONE with the staged output: the one moment of truth.

        Args:
            usage: kept on the row; None: nobody measured.

        Raises:
            LeaseLostError: owner or token changed.
        """
        ...

    def fail(self, lease: Lease, *, error: str, retry_at: int, failures_max: int, worked_ms: int = 0) -> Shard:
        """failures + 1; READY from `retry_at` (epoch ms), or QUARANTINED at the limit. `worked_ms` as in release.

        Raises:
            LeaseLostError: owner or token changed.
        """
        ...

    def release(self, lease: Lease, *, interrupted: bool, worked_ms: int = 0) -> None:
        """LEASED -> READY, claimable now, token + 1; interruptions + 1 if a stop was the cause.

        The interruption that reaches the lease's `class_changes_at` leaves the shard to on-demand workers.

        Args:
            interrupted: the host was taken, or will be.
            worked_ms: under this lease, as far as it is saved; added to the row's `earlier_ms`.

        Raises:
            LeaseLostError: owner or token changed.
        """
        ...

    # --- taking leases away --------------------------------------------------------------------------------------

    def drain(self, run: Run, index: int, *, owner: SessionId, reclaim_at: int) -> bool:
        """The shard becomes claimable at `reclaim_at` while its owner still works; the first time wins.

        By on-demand workers, if it is interrupted too often with this.
        """
        ...

    def requeue(self, run: Run, index: int, *, owner: SessionId, cause: RequeueCause, losses_max: int) -> Shard | None:
        """LEASED by `owner` -> READY now, token + 1, counter by cause; QUARANTINED at `losses_max` losses.

        The interruption that reaches the run's `class_changes_at` leaves the shard to on-demand workers.

        A missing row (ticket taken, claim never arrived) is put READY with token 1 so that the late claim fails.
        None if the shard is not the owner's (any more).
        """
        ...

    # --- completion ----------------------------------------------------------------------------------------------

    def walk_stripe(self, run: Run, stripe: int) -> StripeWalk:
        """One strongly consistent walk over head and rows of the stripe."""
        ...

    def repair_hole(self, run: Run, index: int) -> bool:
        """Put the row READY if absent, claimable now; the late owner's claim then fails."""
        ...

    def tickets_taken(self, run: Run, stripe: int) -> int:
        """How many tickets of the stripe were taken, strongly consistent: cheap proof that a stripe is not complete."""
        ...

    def get_shard(self, run: Run, index: int) -> Shard | None:
        """The row, strongly consistent; None while it has none."""
        ...

    def shards(self, run: Run) -> Iterator[Shard]:
        """All rows of the run in stripe order, eventually consistent."""
        ...

    # --- history ---------------------------------------------------------------------------------------------------

    def note_history(self, run_id: RunId, entry: HistoryEntry) -> bool:
        """Put the entry if the run has none of its key; whether it is this one that stands there now."""
        ...

    def history(self, run_id: RunId) -> Iterator[HistoryEntry]:
        """What was noted about the run, oldest first, eventually consistent; empty for an unknown run."""
        ...
