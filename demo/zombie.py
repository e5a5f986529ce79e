"""The paused worker's commit, tried against the table with its own lease."""

from collections.abc import Sequence
from typing import Final

from demo.hits import Hit
from demo.schedule import Kind
from demo.snapshot import Working
from spotproof import contract, events
from spotproof.errors import LeaseLostError
from spotproof.leases.model import Lease, OutputPointer, Run
from spotproof.leases.store import LeaseStore
from spotproof_cli.game_day.log_entries import LogEntry

_REFUSALS: Final = (events.COMMIT_FENCED, events.LEASE_LOST, events.SESSION_LOST)


def is_commit_refused(store: LeaseStore, run: Run, zombie: Working) -> bool:
    """Whether the table refuses a commit under the lease that the worker had when it was paused."""
    lease = Lease(
        run_id=run.run_id,
        index=zombie.shard,
        stripe=run.stripe_of(zombie.shard),
        owner=zombie.session_id,
        fencing_token=zombie.fencing_token,
        checkpoint=None,
        failures=0,
        interruptions=0,
        losses=0,
    )
    try:
        store.commit(lease, _output_nobody_wrote(lease))
    except LeaseLostError:
        return True
    return False


def _output_nobody_wrote(lease: Lease) -> OutputPointer:
    key = f"{contract.staging_prefix(lease.run_id, lease.index)}{lease.fencing_token}-zombie/manifest"
    return OutputPointer(files=(), manifest_key=key, sha256="0" * 64, size_bytes=0, records=0)


def paused_worker(hits: Sequence[Hit]) -> tuple[Working, float | None] | None:
    """The worker that was paused, and when it was let go on."""
    for hit in hits:
        if hit.step.kind is Kind.PAUSE:
            return hit.victims[0], hit.resumed_at
    return None


def what_it_noticed(entries: Sequence[LogEntry], zombie: Working, *, resumed_at: float) -> str | None:
    """The first event after its resumption with which the worker itself says that it is no longer entitled."""
    for entry in entries:
        is_its_own = entry.fields.get("session_id") == zombie.session_id
        if is_its_own and entry.at >= resumed_at and entry.event in _REFUSALS:
            return entry.event
    return None
