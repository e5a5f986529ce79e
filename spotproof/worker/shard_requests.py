"""What one shard asked of the table, from the look that found it to its end; counted, not estimated."""

import logging
from collections.abc import Callable

from spotproof import events
from spotproof.leases.model import Lease
from spotproof.leases.table import Usage
from spotproof.worker.outcome import ShardOutcome

logger = logging.getLogger(__name__)


class ShardRequests:
    """Reads the store's meter around each shard. Idle looks and heartbeats belong to the session, not to a shard."""

    def __init__(self, read: Callable[[], Usage]) -> None:
        self._read = read
        self._before = read()

    def begin(self) -> None:
        """A look for work starts: what was asked before belongs to nobody."""
        self._before = self._read()

    def report(self, lease: Lease, outcome: ShardOutcome) -> None:
        """Log what was asked since `begin`."""
        before, now = self._before, self._read()
        logger.info(
            events.SHARD_USAGE,
            extra={
                "shard": lease.index,
                "fencing_token": lease.fencing_token,
                "outcome": outcome,
                "requests": now.requests - before.requests,
                "write_units": now.write_units - before.write_units,
                "read_units": now.read_units - before.read_units,
            },
        )
